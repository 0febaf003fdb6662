"""What calls of a period add up to: from the roll-up as far as it goes, the rest from the rows, all of one moment."""

import sqlite3
from datetime import UTC, datetime, timedelta

from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.figures.periods import cover
from llm_metrics_proxy.recorder.figures.sums import KEYS, ROW, SUMS, Sums, sums_of
from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.timestamps import bound

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
_REST = f"SELECT {ROW} FROM completion_requests WHERE timestamp >= ? AND timestamp < ? AND id <= ?"  # noqa: S608


def sums_between(connection: sqlite3.Connection, start: datetime, end: datetime) -> Sums:
    """The calls with start <= timestamp < end, under one period named ''. Both times are aware."""
    own_moment = not connection.in_transaction
    if own_moment:
        connection.execute("BEGIN")
    try:
        return _sums(connection, start, end)
    finally:
        if own_moment:
            connection.execute("COMMIT")


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
