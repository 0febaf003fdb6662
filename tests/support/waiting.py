"""Waiting for what happens in another thread or process."""

import time
from collections.abc import Callable

PATIENCE = 10.0  # seconds


def eventually[T](look: Callable[[], T], *, within: float = PATIENCE) -> T:
    """Look until there is something to be seen, or `within` seconds are over; return what was seen last."""
    ends = time.monotonic() + within
    while not (seen := look()) and time.monotonic() < ends:
        time.sleep(0.01)
    return seen


def wait_until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it does not within so many seconds.
    """
    assert eventually(condition, within=seconds), "it did not happen in time"
