"""Bounded fuzzing of everything that reads bytes which somebody else wrote: `make fuzz SECONDS=60`."""
