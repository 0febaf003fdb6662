"""How a time is put together: as many whole months, days and hours as fit into it, and what is left at its ends."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from llm_metrics_proxy.recorder.store.timestamps import bound

BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
END: Final = datetime(9999, 1, 1, tzinfo=UTC)  # so that there is a next one to each unit before it


@dataclass(frozen=True, slots=True)
class Cover:
    """Half-open ranges that do not overlap: of names of periods by span, and of timestamps."""

    periods: list[tuple[str, str, str]] = field(default_factory=list)  # span, from, to
    rest: list[tuple[str, str]] = field(default_factory=list)


def cover(start: datetime, end: datetime, *, hours_since: datetime) -> Cover:
    """Cover start <= t < end; hours are used only from `hours_since` on. All times are aware."""
    found = Cover()
    first, last = (min(moment.astimezone(UTC), END) for moment in (start, end))
    _cover(found, first, last, list(_UNITS), hours_since.astimezone(UTC))
    return found


def _cover(found: Cover, start: datetime, end: datetime, units: list[str], hours_since: datetime) -> None:
    if start >= end:
        return
    if not units:
        found.rest.append((bound(start), bound(end)))
        return
    unit, *smaller = units
    first = _floor(start, unit)
    if first < start:
        first = _next(first, unit)
    if unit == "hour":
        first = max(first, _next(_floor(hours_since, unit), unit))
    last = _floor(end, unit)
    if first >= last:
        _cover(found, start, end, smaller, hours_since)
        return
    length = _UNITS[unit]
    found.periods.append((unit, bound(first)[:length], bound(last)[:length]))
    _cover(found, start, first, smaller, hours_since)
    _cover(found, last, end, smaller, hours_since)


_UNITS = {"month": 7, "day": 10, "hour": 13}  # how much of a timestamp names one


def _floor(moment: datetime, unit: str) -> datetime:
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    return moment.replace(day=1 if unit == "month" else moment.day, hour=0, minute=0, second=0, microsecond=0)


def _next(moment: datetime, unit: str) -> datetime:
    if unit == "month":
        return _floor(moment + timedelta(days=32), "month")
    return moment + timedelta(**{f"{unit}s": 1})
