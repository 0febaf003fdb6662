"""`sqlite-utils llm-top`: figures of the calls of the last minutes, by model, session, label or what else they have.

This module reads them; choice.py says which and by what, table.py draws them, watch.py shows them once or again and
again.
"""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.figures import SUMS, Figures, Sums, most_requests_first
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.top import choice
from llm_metrics_proxy.recorder.top.choice import Condition

_LAST: Final = "SELECT max(timestamp) FROM completion_requests"


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; the names are the keys of the JSON document, which others' programs read: add, never rename."""

    at: str
    since: str
    by: str
    lines: tuple[Figures, ...]  # most requests first
    total: Figures | None  # None when there were no calls
    last_at: str | None  # of all calls, also those before `since`
    where: tuple[str, ...] = ()  # conditions, as NAME=VALUE


def collect(connection: sqlite3.Connection, window: timedelta, by: str, where: tuple[Condition, ...] = ()) -> Top:
    """The figures of the calls of the last `window` that fit all conditions, all as of one moment.

    Raises:
        sqlite3.Error: they could not be read.
    """
    now = datetime.now(UTC)
    since = timestamps.bound(now - window)
    connection.execute("BEGIN")  # ends with the connection
    line, of_line = choice.sql_of(by)
    fits, of_fits = choice.where(where)
    # The plus keeps SQLite from reading a whole index in the order of the groups, instead of the window's part of the
    # table.
    calls = f"""
        SELECT {line} AS line, {SUMS} FROM completion_requests WHERE timestamp >= ?{fits} GROUP BY +line
    """  # noqa: S608 - names of our own
    groups = {name: Sums.of(columns) for name, *columns in connection.execute(calls, (*of_line, since, *of_fits))}
    (last_at,) = connection.execute(_LAST).fetchone()
    return Top(
        at=timestamps.bound(now),
        since=since,
        by=by,
        lines=most_requests_first(sums.figures(name) for name, sums in groups.items()),
        total=Sums.added(list(groups.values())).figures("total") if groups else None,
        last_at=last_at,
        where=tuple(f"{one.name}={one.value}" for one in where),
    )
