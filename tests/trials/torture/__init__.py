"""Fault tests of the storage: what tests/ shows in seconds, here with many rounds, real disks and real kills.

`make torture` runs all of them, `make torture ARGS="T3 T9"` some.
"""
