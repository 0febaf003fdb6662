"""`sqlite-utils llm-top`: figures of the calls of the last minutes, by model, origin or provider.

This module reads them; table.py draws them, watch.py shows them once or again and again.
"""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

import msgspec

from llm_metrics_proxy.recorder.figures import SUMS, Figures, Sums, most_requests_first
from llm_metrics_proxy.recorder.store import timestamps

type By = Literal["model", "origin", "provider"]

BY: Final[tuple[By, ...]] = get_args(By.__value__)

# The plus keeps SQLite from reading a whole index in the order of the groups instead of the window's part of the table.
_CALLS: Final[dict[By, str]] = {
    by: f"SELECT {by}, {SUMS} FROM completion_requests WHERE timestamp >= ? GROUP BY +{by}"  # noqa: S608 - our names
    for by in BY
}
_LAST = "SELECT max(timestamp) FROM completion_requests"


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; the names are the keys of the JSON document, which others' programs read: add, never rename."""

    at: str
    since: str
    by: str
    lines: tuple[Figures, ...]  # most requests first
    total: Figures | None  # None when there were no calls
    last_at: str | None  # of all calls, also those before `since`


def collect(connection: sqlite3.Connection, window: timedelta, by: By) -> Top:
    """The figures of the calls of the last `window`, all as of one moment.

    Raises:
        sqlite3.Error: they could not be read.
    """
    now = datetime.now(UTC)
    since = timestamps.bound(now - window)
    connection.execute("BEGIN")  # ends with the connection
    groups = {name: Sums.of(columns) for name, *columns in connection.execute(_CALLS[by], (since,))}
    (last_at,) = connection.execute(_LAST).fetchone()
    return Top(
        at=timestamps.bound(now),
        since=since,
        by=by,
        lines=most_requests_first(sums.figures(name) for name, sums in groups.items()),
        total=Sums.added(list(groups.values())).figures("total") if groups else None,
        last_at=last_at,
    )
