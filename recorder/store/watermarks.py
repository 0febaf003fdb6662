"""Watermarks: for each piece of work that follows the calls, the id of the last row that it has done.

Ids grow in the order of the commits, since one transaction at a time inserts: no row appears below a watermark later.
"""

import sqlite3
from typing import Final

from llm_metrics_proxy.recorder.store import sqlite

PRICING: Final = "pricing"
ROLLUP: Final = "rollup"
ANSWERS: Final = "answers"  # which model answered to which name
CHANGES: Final = "cost changes above the roll-up"  # not an id, but their number

_GET = "SELECT row_id FROM watermarks WHERE name = ?"
# Only forward: two that do the same work may overlap.
_MOVE = """
    INSERT INTO watermarks (name, row_id) VALUES (?, ?)
    ON CONFLICT(name) DO UPDATE SET row_id = max(row_id, excluded.row_id)
"""
_NEWEST = "SELECT ifnull(max(id), 0) FROM completion_requests"


def get(connection: sqlite3.Connection, name: str) -> int:
    """The id up to which rows have been through this; 0 for none."""
    found = connection.execute(_GET, (name,)).fetchone()
    return int(found[0]) if found else 0


def move(connection: sqlite3.Connection, name: str, row_id: int) -> None:
    """All rows up to `row_id` have been through this; in the transaction of what came of it.

    Raises:
        DatabaseRefused: a trigger ignores it.
    """
    # Or the next run would do the same rows once more.
    sqlite.check_written(connection.execute(_MOVE, (name, row_id)), "watermarks", 1)


def newest(connection: sqlite3.Connection) -> int:
    """The id of the newest row; 0 if there is none."""
    (row_id,) = connection.execute(_NEWEST).fetchone()
    return int(row_id)


def waiting(connection: sqlite3.Connection, name: str) -> int:
    """About how many rows have not been through this: ids may have gaps."""
    return max(newest(connection) - get(connection, name), 0)
