"""The table `exporters`: how far each has come, and until when the rows that it lacks are kept for it.

Every function runs in the caller's transaction.
"""

import secrets
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.recorder.store import sqlite, timestamps, watermarks

ACTIVE_FOR: Final = timedelta(days=7)  # after an exporter last reached its destination, rows are kept for it

_GET = "SELECT source_id, row_id, ifnull(change_id, 0) FROM exporters WHERE name = ?"
_REGISTER = """
    INSERT INTO exporters (name, source_id, row_id, claimed_id, change_id, sent, refused, reached_at)
    VALUES (?, ?, ?, 0, ?, 0, 0, ?)
    ON CONFLICT DO UPDATE SET row_id = excluded.row_id, change_id = excluded.change_id, reached_at = excluded.reached_at
"""
_CLAIM = "UPDATE exporters SET claimed_id = max(claimed_id, ?) WHERE name = ?"
_ADVANCE = """
    UPDATE exporters
    SET row_id = ?, change_id = CASE WHEN change_id IS NOT NULL THEN ? END, sent = sent + ?, refused = refused + ?,
        reached_at = ?, error = NULL
    WHERE name = ?
"""
# One that was never reached has a row as well, by which nothing is kept for it.
_NOTE_ERROR = """
    INSERT INTO exporters (name, source_id, row_id, claimed_id, sent, refused, reached_at, error)
    VALUES (?, ?, 0, 0, 0, 0, '', ?)
    ON CONFLICT DO UPDATE SET error = excluded.error
"""
_NEEDED = "SELECT min(row_id) FROM exporters WHERE reached_at >= ?"
# A change is known for as long as an exporter that is active lacks it, or until there is none. A few at a time: the
# lock is held.
_FORGET_CHANGES = """
    DELETE FROM export_changes WHERE id IN (
        SELECT id FROM export_changes WHERE id <= (
            SELECT ifnull(min(change_id), 9223372036854775807) FROM exporters
            WHERE change_id IS NOT NULL AND reached_at >= ?
        )
        ORDER BY id LIMIT 5000
    )
"""
_MARK = "SELECT source_id, row_id, sent, reached_at FROM exporters WHERE name = ?"
_STATE = "SELECT CAST(state AS TEXT) FROM exporters WHERE name = ?"
_KEEP = "UPDATE exporters SET state = ? WHERE name = ?"
_ALL = "SELECT name, row_id, sent, refused, reached_at, error FROM exporters ORDER BY name"
# By the table's own order: the first that waits is about the oldest, and nothing that grows with the table is read.
_FIRST_WAITING = "SELECT timestamp FROM completion_requests WHERE id > ? ORDER BY id LIMIT 1"
_OLDEST = "SELECT ifnull(min(id), 1) FROM completion_requests"
_FORGET = "DELETE FROM exporters WHERE name = ?"

type Mark = tuple[str, int, int, str]


class Position(NamedTuple):
    """The ids of the newest row and of the newest change that a destination has; 0 for none."""

    row_id: int
    change_id: int


class Cursor(msgspec.Struct, frozen=True):
    """Of one exporter: the name that its destination knows this database by, and how far it has come."""

    source_id: str
    position: Position


class Lag(msgspec.Struct, frozen=True):
    """The standing of one exporter; `waiting` is about how many rows are not there yet: ids may have gaps.

    `reached_at` is empty as long as it never was.
    """

    name: str
    active: bool  # rows are kept for it
    waiting: int
    waiting_since: str | None  # the timestamp of the first of them
    sent: int
    refused: int
    reached_at: str
    error: str | None


def find(connection: sqlite3.Connection, name: str) -> Cursor:
    """The cursor of the exporter of this name; it stands at the beginning if it was never registered."""
    found = connection.execute(_GET, (name,)).fetchone()
    if found is None:
        return Cursor(secrets.token_hex(16), Position(0, 0))
    source_id, row_id, change_id = found
    return Cursor(source_id, Position(row_id, change_id))


def register(connection: sqlite3.Connection, name: str, cursor: Cursor, *, wants_changes: bool) -> None:
    """The destination was reached, and this is how far it has come; from now on rows are kept for it."""
    change_id = cursor.position.change_id if wants_changes else None
    connection.execute(_REGISTER, (name, cursor.source_id, cursor.position.row_id, change_id, _now()))


def claim(connection: sqlite3.Connection, name: str, up_to: int) -> None:
    """Rows up to this id are about to be read: if they change from now on, they have to be sent again."""
    connection.execute(_CLAIM, (up_to, name))


def advance(connection: sqlite3.Connection, name: str, position: Position, *, sent: int, refused: int) -> None:
    """The destination has `sent` rows more, and with them all up to `position` but those that it refused."""
    # Or the same rows would be sent for ever.
    sqlite.check_written(connection.execute(_ADVANCE, (*position, sent, refused, _now(), name)), "exporters", 1)
    connection.execute(_FORGET_CHANGES, (_active_since(),))


def note_error(connection: sqlite3.Connection, name: str, error: str) -> None:
    """Why the destination was not reached, until it is."""
    connection.execute(_NOTE_ERROR, (name, secrets.token_hex(16), error))


def needed(connection: sqlite3.Connection) -> int | None:
    """The highest id up to which no active exporter lacks a row; None if there is no active one."""
    (row_id,) = connection.execute(_NEEDED, (_active_since(),)).fetchone()
    return None if row_id is None else int(row_id)


def lags(connection: sqlite3.Connection) -> tuple[Lag, ...]:
    """The standing of all exporters."""
    since = _active_since()
    found = []
    for name, row_id, sent, refused, reached_at, error in connection.execute(_ALL).fetchall():
        first = connection.execute(_FIRST_WAITING, (row_id,)).fetchone()
        left = waiting(connection, row_id)
        found.append(
            Lag(name, reached_at >= since, left, first[0] if first else None, sent, refused, reached_at, error)
        )
    return tuple(found)


def waiting(connection: sqlite3.Connection, row_id: int) -> int:
    """About how many rows have ids above this: ids may have gaps."""
    oldest = connection.execute(_OLDEST).fetchone()[0]
    return max(watermarks.newest(connection) - max(row_id, int(oldest) - 1), 0)  # what was pruned is gone


def mark(connection: sqlite3.Connection, name: str) -> Mark | None:
    """A mark that changes each time that an exporter advances; None if there is no such exporter."""
    found: Mark | None = connection.execute(_MARK, (name,)).fetchone()
    return found


def state(connection: sqlite3.Connection, name: str) -> str | None:
    """The text that the exporter has kept."""
    found = connection.execute(_STATE, (name,)).fetchone()
    return found[0] if found else None


def keep(connection: sqlite3.Connection, name: str, text: str) -> None:
    """Keep what only the exporter itself understands, with its position."""
    connection.execute(_KEEP, (text, name))


def forget(connection: sqlite3.Connection, name: str) -> bool:
    """Keep nothing for this exporter any more; whether there was one of this name."""
    return connection.execute(_FORGET, (name,)).rowcount > 0


def _now() -> str:
    return timestamps.bound(datetime.now(UTC))


def _active_since() -> str:
    return timestamps.bound(datetime.now(UTC) - ACTIVE_FOR)
