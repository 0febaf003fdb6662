"""Metrics of a period: sums from the roll-up as far as it goes, the rest from the rows, all of one moment.

A period is covered by whole months, days and hours of the roll-up; what is left at its ends is read from the rows. The
percentiles of at most `EXACT_CALLS` calls whose rows are all there are exact; others are those of the roll-up's counts.
"""

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.figures.metrics import Metrics, metrics_of
from llm_metrics_proxy.recorder.figures.sums import KEYS, MEASURED, ROW, SUMS, Sums, Values, read, sums_of, values_of
from llm_metrics_proxy.recorder.store import watermarks
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


EXACT_CALLS: Final = 10_000  # of so many the percentiles are exact: reading their rows takes 40 ms
_HOURS_SURE = timedelta(days=1)  # less than what is kept: clocks differ

_CALLS = f"""
    SELECT {", ".join(KEYS)}, {", ".join(f"total({name})" for name in SUMS)} FROM rollup_calls
    WHERE span = ? AND period >= ? AND period < ? GROUP BY {", ".join(KEYS)}
"""  # noqa: S608 - names of our own
_TIMES = """
    SELECT measure, dimension, value, counts FROM rollup_times WHERE span = ? AND period >= ? AND period < ?
"""
# + keeps SQLite from the index on timestamp: what is not in the roll-up yet are the last rows.
_ABOVE = f"SELECT {ROW} FROM completion_requests WHERE id > ? AND +timestamp >= ? AND +timestamp < ?"  # noqa: S608
_MEASURES = f"SELECT {MEASURED} FROM completion_requests WHERE timestamp >= ? AND timestamp < ? LIMIT ?"  # noqa: S608
_REST = f"SELECT {ROW} FROM completion_requests WHERE timestamp >= ? AND timestamp < ? AND id <= ?"  # noqa: S608


def metrics_between(
    connection: sqlite3.Connection, start: datetime, end: datetime, *, exact_calls: int = EXACT_CALLS
) -> Metrics:
    """The figures of the calls with start <= timestamp < end. Both times are aware.

    Percentiles are exact if there are at most `exact_calls` and none of their rows was pruned.
    """
    own_moment = not connection.in_transaction
    if own_moment:
        connection.execute("BEGIN")
    try:
        sums = _sums(connection, start, end)
        return metrics_of(sums, _times(connection, start, end, sums, exact_calls))
    finally:
        if own_moment:
            connection.execute("COMMIT")


def _times(connection: sqlite3.Connection, start: datetime, end: datetime, sums: Sums, at_most: int) -> Values | None:
    """The times of each call; None if there are too many, or if rows of the period were pruned."""
    calls = round(sum(of_key[0] for of_key in sums.calls.values()))
    if calls > at_most:
        return None
    rows = read(connection, _MEASURES, (bound(start), bound(end), at_most + 1), list)
    return values_of(rows) if len(rows) == calls else None


def _sums(connection: sqlite3.Connection, start: datetime, end: datetime) -> Sums:
    mark = watermarks.get(connection, watermarks.ROLLUP)
    covered = cover(start, end, hours_since=datetime.now(UTC) - rollup.HOURS_KEPT + _HOURS_SURE)
    sums = sums_of(connection, _ABOVE, (mark, bound(start), bound(end))).by(0)
    for begin, until in covered.rest:
        sums.add(sums_of(connection, _REST, (begin, until, mark)).by(0))
    for period in covered.periods:
        for row in connection.execute(_CALLS, period):
            model, origin, provider, streaming, success, error_type, *of_key = row
            sums.add_calls(("", model, origin, provider, streaming, success, error_type), of_key)
        for measure, dimension, value, text in connection.execute(_TIMES, period):
            sums.add_times(("", measure, dimension, value), rollup.counts_of(text))
    return sums
