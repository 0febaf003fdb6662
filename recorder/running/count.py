"""How many workers there are to be: a number, or as many as this process has cores."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

MOST: Final = 64
AUTO: Final = "auto"
_MOST_DIGITS: Final = 8

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of CPU in so many microseconds, or max


def workers_of(text: str) -> int:
    """Return the number.

    Raises:
        ValueError: it is none.
    """
    if text.strip().lower() == AUTO:
        return min(cores(), MOST)
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and 1 <= int(text) <= MOST):
        message = f"{text[:100]!r} is no number of workers: write 1 to {MOST}, or {AUTO}"
        raise ValueError(message)
    return int(text)


def cores(quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use, of which a container may have less than the machine."""
    cores = os.process_cpu_count() or 1
    with suppress(OSError, ValueError):
        allowed, period = quota.read_text().split()
        cores = min(cores, max(int(allowed) // int(period), 1))  # "max" is no number
    return cores
