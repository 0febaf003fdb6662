"""Calls whose answer comes later: the row that a call left at once is completed by its answer, whoever fetched that.

Both are events with the id of one response, and whichever comes second completes the row of the first. All others
change nothing: an answer that is fetched ten times counts once. What the roll-up had of the row by then stands in
`completed_later`, until the roll-up and its cost have followed (recorder/figures/completed.py).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

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
_SAID_BY_BOTH: Final = ("model", "response_model", "service_tier", "region")  # the first that is known counts
_PRICED: Final = (  # anew, after this
    *("cost_usd", "cost_source", "cost_complete", "cost_note"),
    *("cache_saved_usd", "cache_spent_usd"),
)
_COLUMNS: Final = CompletionRequest.__struct_fields__
_ASKED: Final = tuple(name for name in _COLUMNS if name not in {*_SAID, *_SAID_BY_BOTH, *_PRICED})
_FIND = f"""
    SELECT id, {", ".join(_COLUMNS)} FROM completion_requests
    WHERE response_id = ? AND provider IS ? ORDER BY id DESC LIMIT 1
"""  # noqa: S608 - names of our own columns, here and below


def _update(columns: Sequence[str]) -> str:
    first_known = (f"{name} = ifnull({name}, ?)" for name in _SAID_BY_BOTH)
    return f"""
        UPDATE completion_requests SET {", ".join((*(f"{name} = ?" for name in columns), *first_known))} WHERE id = ?
    """  # noqa: S608


_UPDATES: Final = {columns: _update(columns) for columns in (_SAID, _ASKED)}
_NOTE = """
    INSERT INTO completed_later (row_id, before, added) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET before = iif(added, excluded.before, before), added = added AND excluded.added
"""


class Found(NamedTuple):
    """The row of a response that was known before."""

    completed: bool
    """By this event."""
    kept_out: bool = False
    """A trigger ignored that."""


def complete(connection: sqlite3.Connection, request: CompletionRequest) -> Found | None:
    """Complete the row of the response that `request` is about, in the caller's transaction; None if there is none.

    Of two calls that a server gave the same id each has its row; a fetch is then about the later one.
    """
    found = connection.execute(_FIND, (request.response_id, request.provider)).fetchone()
    if found is None:
        return None
    row_id, before, event = found[0], dict(zip(_COLUMNS, found[1:], strict=True)), msgspec.structs.asdict(request)
    if _is_fetched(before) and not _is_fetched(event):
        columns = _ASKED
    elif not _is_fetched(event):
        return None
    elif _is_open(before) and not _is_open(event):
        columns = _SAID
    else:
        return Found(completed=False)
    values = [event[name] for name in (*columns, *_SAID_BY_BOTH)]
    if not connection.execute(_UPDATES[columns], (*values, row_id)).rowcount:
        return Found(completed=False, kept_out=True)
    is_added = row_id <= watermarks.get(connection, watermarks.ROLLUP)
    if not is_added:  # somebody may be adding up this very row, and has to see that it is no longer what it was
        watermarks.move(connection, watermarks.CHANGES, watermarks.get(connection, watermarks.CHANGES) + 1)
    noted = connection.execute(_NOTE, (row_id, msgspec.json.encode(before).decode(), not is_added))
    sqlite.check_written(noted, "completed_later", 1)
    return Found(completed=True)


def _is_open(call: Mapping[str, Any]) -> bool:
    """The final answer has not come."""
    return call["finish_reason"] is None and call["usage"] is None


def _is_fetched(call: Mapping[str, Any]) -> bool:
    """Nothing is known but a fetch of the answer, which names no model and has no messages."""
    return call["model"] is None and call["message_count"] is None
