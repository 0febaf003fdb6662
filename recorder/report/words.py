"""How a report writes names, moments and marks of an axis. Names were chosen by clients and may hold anything."""

from datetime import datetime

from llm_metrics_proxy.recorder.figures.quantities import NAMELESS, UNKNOWN
from llm_metrics_proxy.recorder.printable import printable
from llm_metrics_proxy.recorder.report import scale
from llm_metrics_proxy.recorder.report.content import Period

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
    return f"{scale.day(parsed, weekday=False)} {parsed:%H:%M}"


def minute(at: datetime) -> str:
    """`2 Mar 2026, 14:00`."""
    return f"{scale.day(at, weekday=False)} {at:%Y, %H:%M}"


def span(start: datetime, end: datetime) -> str:
    """`Mon 2 Mar 14:00 to 16:00`."""
    first = f"{scale.day(start, weekday=True)} {start:%H:%M} to "
    return first + (f"{end:%H:%M}" if start.date() == end.date() else f"{scale.day(end, weekday=True)} {end:%H:%M}")


def slot(period: Period) -> str:
    """What follows `in each`: `2 hours`, `day`."""
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
