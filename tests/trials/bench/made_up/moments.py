"""Moments at which calls begin: more by day than by night, more from Monday to Friday, no hour quite like another."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from math import cos, pi
from random import Random

_HOUR_MS = 3_600_000
_DAY_HOURS = 24
_MONDAY_TO_SUNDAY = (1.0, 1.06, 1.05, 1.02, 0.93, 0.4, 0.36)
_PEAK_HOUR = 12.5  # UTC
_NIGHT = 0.22  # of the load at the peak
_NOISE = 0.12


def moments(calls: int, days: float, until: int, *, seed: int = 1) -> Iterator[int]:
    """Yield the beginnings of `calls` calls in ms since 1970, in order; the last ones are just before `until`.

    The last 24 hours have as many as the mean day, whatever day of the week they are, so that what is asked about them
    costs the same whenever the rows are made.
    """
    random = Random(f"moments {seed}")
    hours = max(1, round(days * _DAY_HOURS))
    weights = [_weight(until - (hours - hour) * _HOUR_MS) * random.lognormvariate(0, _NOISE) for hour in range(hours)]
    if hours > _DAY_HOURS:
        wanted = _DAY_HOURS / hours
        before, last = sum(weights[:-_DAY_HOURS]), sum(weights[-_DAY_HOURS:])
        scale = wanted / (1 - wanted) * before / last
        weights[-_DAY_HOURS:] = [weight * scale for weight in weights[-_DAY_HOURS:]]
    total = sum(weights)
    made = 0
    for hour, weight in enumerate(accumulate(weights), start=1):
        due = calls if hour == hours else round(calls * weight / total)
        begins = until - (hours - hour + 1) * _HOUR_MS
        yield from sorted([begins + int(random.random() * _HOUR_MS) for _ in range(due - made)])
        made = due


def _weight(moment: int) -> float:
    """Return how busy an hour is that begins at `moment`."""
    at = datetime.fromtimestamp(moment / 1_000, UTC)
    by_day = (1 + cos((at.hour + 0.5 - _PEAK_HOUR) / _DAY_HOURS * 2 * pi)) / 2
    return _MONDAY_TO_SUNDAY[at.weekday()] * (_NIGHT + (1 - _NIGHT) * by_day)
