"""Where the marks of an axis stand: round numbers, whole counts, and round moments of the clock (UTC)."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

_ROUND: Final = (1, 2, 2.5, 5, 10)
_TEN = 10
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_STEPS: Final = (
    *(n * _MINUTE for n in (5, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28, 91, 182, 364)),
)
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def marks(highest: float, *, most: int = 4, whole: bool = False) -> list[float]:
    """From 0 to at least `highest` in at most `most` round steps; of a quarter of 1 no count is told if `whole`."""
    if highest <= 0:
        return [0, 1]
    magnitude = _TEN ** math.floor(math.log10(highest / most))
    steps = [factor * magnitude for factor in _ROUND]
    step = next(step for step in steps if math.ceil(highest / step - 1e-9) <= most)
    if whole:
        step = max(math.ceil(step), 1)
    return [step * n for n in range(math.ceil(highest / step - 1e-9) + 1)]


def moments(start: datetime, end: datetime, *, most: int) -> Iterator[tuple[datetime, str]]:
    """Round moments from `start` to `end`, at most about `most`, each with its label."""
    step = next((step for step in _STEPS if (end - start) / step <= most), _STEPS[-1])
    at = _MONDAY + math.ceil((start - _MONDAY) / step) * step
    while at <= end:
        yield at, f"{at:%H:%M}" if at.hour or at.minute else day(at, weekday=step == _DAY)
        at += step


def day(at: datetime, *, weekday: bool) -> str:
    """`Mon 2 Mar`, or `2 Mar`, whatever the locale."""
    return f"{at:%a} {at.day} {at:%b}" if weekday else f"{at.day} {at:%b}"
