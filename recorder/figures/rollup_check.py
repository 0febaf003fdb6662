"""Comparison of the roll-up with the rows, for every day that still has all of its rows, and the recount of such a day.

A day has all of its rows if nothing of that day, or of a later one, was pruned. Everything is compared: the number of
calls of each key, each sum, each bucket. Sums of fractions may differ by what doubles cannot hold.
"""

import math
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.figures.rollup import SPANS
from llm_metrics_proxy.recorder.figures.sums import COST_KEYS, COST_SUMS, ERROR_KEYS, KEYS, ROW, SUMS, Sums, sums_of
from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.slices import Slices
from llm_metrics_proxy.recorder.store.timestamps import bound

_HOURS_SURE = timedelta(days=7)  # less than what is kept
_CLOSE = 1e-9

_PRUNED = "SELECT ifnull(max(substr(to_at, 1, 10)), '') FROM recorder_events WHERE kind = 'prune'"
_DAYS = """
    SELECT period FROM rollup_calls WHERE span = 'day' AND period > :pruned
    UNION SELECT substr(timestamp, 1, 10) FROM completion_requests WHERE id <= :mark AND timestamp > :pruned || 'T~'
"""
_COMPLETED = """
    SELECT DISTINCT substr(timestamp, 1, 10)
    FROM completed_later JOIN completion_requests ON id = row_id WHERE NOT added
"""
_MONTHS = "SELECT DISTINCT substr(period, 1, 7) FROM rollup_calls WHERE span IN ('day', 'month')"
_ROWS = f"SELECT {ROW} FROM completion_requests WHERE timestamp >= ? AND timestamp < ? AND id <= ?"  # noqa: S608
_CALLS = (
    f"SELECT period, {', '.join(KEYS)}, {', '.join(SUMS)} FROM rollup_calls WHERE span = ? AND period GLOB ? || '*'"  # noqa: S608
)
_COSTS = f"""
    SELECT period, {", ".join(COST_KEYS)}, {", ".join(COST_SUMS)} FROM rollup_costs
    WHERE span = ? AND period GLOB ? || '*' AND calls <> 0
"""  # noqa: S608 - names of our own
_ERRORS = f"""
    SELECT period, {", ".join(ERROR_KEYS)}, calls FROM rollup_errors WHERE span = ? AND period GLOB ? || '*'
"""  # noqa: S608 - names of our own
_TIMES = """
    SELECT period, measure, dimension, value, counts FROM rollup_times WHERE span = ? AND period GLOB ? || '*'
"""
_TABLES = ("rollup_calls", "rollup_costs", "rollup_errors", "rollup_times")
_FORGET_DAY = [f"DELETE FROM {name} WHERE span IN ('hour', 'day') AND period GLOB ? || '*'" for name in _TABLES]  # noqa: S608
_FORGET_MONTHS = [f"DELETE FROM {name} WHERE span = 'month'" for name in _TABLES]  # noqa: S608


def compared(connection: sqlite3.Connection) -> Iterator[tuple[str, str | None]]:
    """Months, then days from the newest on, each with what its roll-up differs from and how; None if it does not."""
    for (month,) in connection.execute(_MONTHS).fetchall():
        of_days = _of_rollup(connection, "day", month).by(SPANS["month"])
        difference = _difference(_of_rollup(connection, "month", month), of_days)
        yield month, difference and f"days ({difference})"
    for day in reversed(_complete_days(connection)):
        difference = _of_day(connection, day)
        yield day, difference and f"rows ({difference})"


def recount(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Count the days that differ anew, each in one transaction, and all months from their days; return those days.

    Raises:
        DatabaseRefused: SQLite refused; what was counted before stays.
    """
    rollup.follow_completed(connection, Slices(connection, path))
    days = [day for day in _complete_days(connection) if _of_day(connection, day)]
    for day in days:
        with Slices(connection, path).hold():
            of_rows = _of_rows(connection, day)
            for statement in _FORGET_DAY:
                connection.execute(statement, (day,))
            for span in ("hour", "day"):
                rollup.add(connection, span, of_rows.by(SPANS[span]))
    with Slices(connection, path).hold():
        months = connection.execute(_MONTHS).fetchall()
        for statement in _FORGET_MONTHS:
            connection.execute(statement)
        for (month,) in months:
            rollup.add(connection, "month", _of_rollup(connection, "day", month).by(SPANS["month"]))
    return days


def _of_day(connection: sqlite3.Connection, day: str) -> str | None:
    """The difference between the roll-up of the day and its rows, and while hours are kept between those, too."""
    of_rows = _of_rows(connection, day)
    difference = _difference(_of_rollup(connection, "day", day), of_rows.by(SPANS["day"]))
    if difference is None and day >= bound(datetime.now(UTC) - _HOURS_SURE)[: SPANS["day"]]:
        difference = _difference(_of_rollup(connection, "hour", day), of_rows)
    return difference


def _complete_days(connection: sqlite3.Connection) -> list[str]:
    """The days that the roll-up or the rows have, and whose rows are all there as the roll-up has them, in order."""
    (pruned,) = connection.execute(_PRUNED).fetchone()
    parameters = {"pruned": pruned, "mark": watermarks.get(connection, watermarks.ROLLUP)}
    completed = {day for (day,) in connection.execute(_COMPLETED)}
    return sorted(day for (day,) in connection.execute(_DAYS, parameters) if day not in completed)


def _of_rows(connection: sqlite3.Connection, day: str) -> Sums:
    return sums_of(connection, _ROWS, (day, f"{day}~", watermarks.get(connection, watermarks.ROLLUP)))


def _of_rollup(connection: sqlite3.Connection, span: str, begins: str) -> Sums:
    """The sums in the roll-up of the periods whose names begin so."""
    sums = Sums()
    for period, model, origin, provider, streaming, success, error_type, *of_key in connection.execute(
        _CALLS, (span, begins)
    ):
        sums.calls[period, model, origin, provider, streaming, success, error_type] = of_key
    for period, model, origin, provider, billing, note, *of_costs in connection.execute(_COSTS, (span, begins)):
        sums.costs[period, model, origin, provider, billing, note] = of_costs
    for *error_key, failed in connection.execute(_ERRORS, (span, begins)):
        sums.errors[tuple(error_key)] = failed
    for period, measure, dimension, value, text in connection.execute(_TIMES, (span, begins)):
        sums.times[period, measure, dimension, value].update(rollup.counts_of(text))
    return sums


def _difference(found: Sums, expected: Sums) -> str | None:
    """The difference in one phrase; None if there is none."""
    calls, should_be = (round(sum(sums[0] for sums in one.calls.values())) for one in (found, expected))
    if calls != should_be:
        return f"{calls} calls, and not {should_be}"
    if found.calls.keys() != expected.calls.keys():
        return "calls of other models, origins, providers or errors"
    for key, sums in expected.calls.items():
        for name, had, value in zip(SUMS, found.calls[key], sums, strict=True):
            if not math.isclose(had, value, rel_tol=_CLOSE, abs_tol=_CLOSE):
                return f"{name} of {key[1] or 'no model'} is {had:g}, and not {value:g}"
    if found.costs.keys() != expected.costs.keys():
        return "calls of other bills or notes of costs"
    for cost_key, sums in expected.costs.items():
        for name, had, value in zip(COST_SUMS, found.costs[cost_key], sums, strict=True):
            if not math.isclose(had, value, rel_tol=_CLOSE, abs_tol=_CLOSE):
                return f"{name} of costs of {cost_key[1] or 'no model'} is {had:g}, and not {value:g}"
    rest = {
        "the causes of its failures": found.errors != expected.errors,
        "its percentiles": found.times != expected.times,
    }
    return next((what for what, differs in rest.items() if differs), None)
