"""Calls whose answer comes later: the row that a call left at once is completed by its answer, whoever fetched that.

Both are events with the id of one response. The first leaves the row; a final one completes it, and all others change
nothing: an answer that is fetched ten times counts once. What the roll-up had of the row by then stands in
`completed_later`, until the roll-up and its cost have followed (recorder/figures/completed.py).
"""

import sqlite3
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.store import sqlite, watermarks

# What an answer says; the terms of its price only where the row does not have them yet.
_SAID: Final = (
    "success",
    "error_type",
    "error_code",
    "error_message",
    "error_class",
    "finish_reason",
    "finish_class",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "usage_source",
    "usage",
    "billed",
)
_SAID_FIRST: Final = ("model", "response_model", "service_tier", "region")
_FIND = """
    SELECT id, finish_reason IS NULL AND usage IS NULL, success, error_type, error_class
    FROM completion_requests WHERE response_id = ? ORDER BY id LIMIT 1
"""
_COMPLETE = f"""
    UPDATE completion_requests
    SET {", ".join(f"{name} = ?" for name in _SAID)}, {", ".join(f"{name} = ifnull({name}, ?)" for name in _SAID_FIRST)}
    WHERE id = ?
"""  # noqa: S608 - names of our own columns
_NOTE = "INSERT INTO completed_later (row_id, success, error_type, error_class, added) VALUES (?, ?, ?, ?, ?)"


class Found(NamedTuple):
    """The row of a response that was known before."""

    completed: bool
    """By this event."""
    kept_out: bool = False
    """A trigger ignored that."""


def complete(connection: sqlite3.Connection, request: CompletionRequest) -> Found | None:
    """Complete the row of the response that `request` is about, in the caller's transaction; None if there is none."""
    found = connection.execute(_FIND, (request.response_id,)).fetchone()
    if found is None:
        return None
    row_id, is_open, *before = found
    if not is_open or request.finish_reason is None:
        return Found(completed=False)
    values = [getattr(request, name) for name in (*_SAID, *_SAID_FIRST)]
    if not connection.execute(_COMPLETE, (*values, row_id)).rowcount:
        return Found(completed=False, kept_out=True)
    is_added = row_id <= watermarks.get(connection, watermarks.ROLLUP)
    if not is_added:  # somebody may be adding up this very row, and has to see that it is no longer what it was
        watermarks.move(connection, watermarks.CHANGES, watermarks.get(connection, watermarks.CHANGES) + 1)
    noted = connection.execute(_NOTE, (row_id, *before, not is_added))
    sqlite.check_written(noted, "completed_later", 1)
    return Found(completed=True)
