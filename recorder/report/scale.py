"""Where the marks of an axis stand: round numbers, whole counts, and round moments of the clock (UTC)."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

_ROUND: Final = (1, 2, 2.5, 5, 10)
_TEN = 10
_LEAST = 1e-9  # below it nothing is told apart
_ROUNDING = 1e-9  # of a step: what binary fractions are off
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_STEPS: Final = (
    *(n * _MINUTE for n in (5, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28, 91, 182, 364, 728, 1456)),
)
_SEASON = 91 * _DAY  # from which on marks are told by month and year
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def marks(highest: float, *, most: int = 4, whole: bool = False) -> list[float]:
    """From 0 to at least `highest` in at most `most` round steps, of whole numbers if `whole`."""
    if highest < _LEAST:
        return [0, 1]
    magnitude = _TEN ** math.floor(math.log10(highest / most))
    steps = [factor * magnitude for factor in _ROUND]
    step = next(step for step in steps if _parts(highest, step) <= most)
    if whole:
        step = math.ceil(step)
    return [step * n for n in range(_parts(highest, step) + 1)]


def _parts(highest: float, step: float) -> int:
    return math.ceil(highest / step - _ROUNDING)


def moments(start: datetime, end: datetime, *, most: int) -> Iterator[tuple[datetime, str]]:
    """Round moments from `start` to `end`, at most about `most`, each with its label."""
    step = next((step for step in _STEPS if (end - start) / step <= most), _STEPS[-1])
    at = _MONDAY + math.ceil((start - _MONDAY) / step) * step
    while at <= end:
        yield at, _label(at, step)
        at += step


def _label(at: datetime, step: timedelta) -> str:
    if at.hour or at.minute:
        return f"{at:%H:%M}"
    return f"{at:%b %Y}" if step >= _SEASON else day(at, weekday=step == _DAY)


def day(at: datetime, *, weekday: bool) -> str:
    """`Mon 2 Mar`, or `2 Mar`, whatever the locale."""
    return f"{at:%a} {at.day} {at:%b}" if weekday else f"{at.day} {at:%b}"
