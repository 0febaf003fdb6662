"""Calls that were completed after the roll-up had them: the difference is added to it."""

import sqlite3

from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.figures.sums import ROW, Sums, sums_of

_COLUMNS = CompletionRequest.__struct_fields__
_WAITING = "SELECT row_id FROM completed_later WHERE NOT added LIMIT 1000"
_NOW_ROW = f"""
    SELECT {ROW} FROM completion_requests WHERE id = (SELECT row_id FROM completed_later WHERE row_id = ? AND NOT added)
"""  # noqa: S608 - names of our own columns, here and below
_BEFORE_ROW = f"""
    SELECT {ROW} FROM (
        SELECT {", ".join(f"json_extract(before, '$.{name}') AS {name}" for name in _COLUMNS)}
        FROM completed_later JOIN completion_requests ON id = row_id WHERE row_id = ? AND NOT added
    )
"""  # noqa: S608
_GONE = "SELECT row_id FROM completed_later WHERE row_id NOT IN (SELECT id FROM completion_requests)"
_FORGET = "DELETE FROM completed_later WHERE row_id = ?"
_ADDED = "UPDATE completed_later SET added = 1 WHERE row_id = ?"


def waiting(connection: sqlite3.Connection) -> list[int]:
    """Ids of some of the rows that the roll-up has as they were before they were completed."""
    return [row_id for (row_id,) in connection.execute(_WAITING)]


def gone(connection: sqlite3.Connection) -> list[int]:
    """Ids of rows that were deleted meanwhile."""
    return [row_id for (row_id,) in connection.execute(_GONE)]


def forget(connection: sqlite3.Connection, row_ids: list[int]) -> None:
    """Wait no longer for these, in the caller's transaction."""
    connection.executemany(_FORGET, ((row_id,) for row_id in row_ids))


def change(connection: sqlite3.Connection, row_id: int) -> Sums:
    """Return what a completed row adds to the sums that have it as it was, and note that they have it now.

    In the caller's transaction; nothing if another process was faster.
    """
    sums = sums_of(connection, _NOW_ROW, (row_id,))
    sums.subtract(sums_of(connection, _BEFORE_ROW, (row_id,)))
    connection.execute(_ADDED, (row_id,))
    return sums
