"""Texts of a report: names, moments, and the marks of an axis. Names were chosen by clients and may hold anything.

Marks stand at round numbers, whole counts, and round moments of the clock (UTC).
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from llm_metrics_proxy.recorder.figures.quantities import NAMELESS, UNKNOWN
from llm_metrics_proxy.recorder.report.content import Period
from llm_metrics_proxy.recorder.reporting import printable

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
    return [step * n for n in range(max(_parts(highest, step), 1) + 1)]


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


_LONGEST_NAME = 80  # characters
_THOUSAND = 1000
_MINUTES = {"day": 1440, "hour": 60, "minute": 1}


def name(of: str | None) -> str:
    """A model, an origin, an error's type."""
    return NAMELESS if of is None else printable(of[:_LONGEST_NAME])


def text(of: str | None) -> str:
    """Anything longer."""
    return UNKNOWN if of is None else printable(of)


def partial(total: str, without: int) -> str:
    """A sum, with a mark if it is not over everything."""
    return f"{total}+" if without and total != UNKNOWN else total


def moment(at: str) -> str:
    """A timestamp of the database, to the second; one that somebody else wrote may be anything."""
    return printable(at[:19].replace("T", " "))


def short_moment(at: str) -> str:
    """The same to the minute, without the year."""
    try:
        parsed = datetime.fromisoformat(at)
    except ValueError:
        return moment(at)
    return f"{day(parsed, weekday=False)} {parsed:%H:%M}"


def minute(at: datetime) -> str:
    """`2 Mar 2026, 14:00`."""
    return f"{day(at, weekday=False)} {at:%Y, %H:%M}"


def span(start: datetime, end: datetime) -> str:
    """`Mon 2 Mar 14:00 to 16:00`."""
    first = f"{day(start, weekday=True)} {start:%H:%M} to "
    return first + (f"{end:%H:%M}" if start.date() == end.date() else f"{day(end, weekday=True)} {end:%H:%M}")


def slot(period: Period) -> str:
    """The words after `in each`: `2 hours`, `day`."""
    minutes = period.slot.total_seconds() / 60
    unit, length = next((unit, length) for unit, length in _MINUTES.items() if minutes >= length)
    return unit if minutes == length else f"{minutes / length:.3g} {unit}s"


def count_mark(value: float) -> str:
    """On the axis of a chart."""
    return f"{value:,.0f}"


def time_mark(value: float) -> str:
    """On the axis of a chart, from milliseconds."""
    if not value:
        return "0"
    return f"{value:g} ms" if value < _THOUSAND else f"{value / _THOUSAND:,g} s"


def dollar_mark(value: float) -> str:
    """On the axis of a chart."""
    return f"${value:,.0f}" if value >= _THOUSAND else "$" + f"{value:.7f}".rstrip("0").rstrip(".")


def percent_mark(value: float) -> str:
    """On the axis of a chart."""
    return f"{value:.0f} %"
