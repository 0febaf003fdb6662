"""The table `exporters`: how far each has come, and until when the rows that it lacks are kept for it.

Every function runs in the caller's transaction.
"""

import secrets
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from recorder import timestamps
from recorder.export.destination import Position

ACTIVE_FOR: Final = timedelta(days=7)  # after an exporter last reached its destination, rows are kept for it

_REGISTER = """
    INSERT INTO exporters (name, source_id, row_id, claimed_id, change_id, sent, refused, reached_at)
    VALUES (?, ?, 0, 0, ?, 0, 0, ?) ON CONFLICT DO NOTHING
"""
_GET = "SELECT source_id, row_id, ifnull(change_id, 0) FROM exporters WHERE name = ?"
_SET_BACK = """
    UPDATE exporters SET row_id = min(row_id, ?), change_id = min(change_id, ?) WHERE name = ?
"""
_CLAIM = "UPDATE exporters SET claimed_id = max(claimed_id, ?) WHERE name = ?"
_ADVANCE = """
    UPDATE exporters
    SET row_id = ?, change_id = CASE WHEN change_id IS NOT NULL THEN ? END, sent = sent + ?, reached_at = ?, error = NULL
    WHERE name = ?
"""
_REFUSED = "UPDATE exporters SET refused = refused + 1 WHERE name = ?"
_NOTE_ERROR = "UPDATE exporters SET error = ? WHERE name = ?"
_NEEDED = "SELECT min(row_id) FROM exporters WHERE reached_at >= ?"
# A change is known for as long as an exporter that is active lacks it, or until there is none.
_FORGET_CHANGES = """
    DELETE FROM export_changes WHERE id <= (
        SELECT ifnull(min(change_id), 9223372036854775807) FROM exporters
        WHERE change_id IS NOT NULL AND reached_at >= ?
    )
"""
_ALL = "SELECT name, row_id, sent, refused, reached_at, error FROM exporters ORDER BY name"
_WAITING = "SELECT count(*), min(timestamp) FROM (SELECT timestamp FROM completion_requests WHERE id > ? LIMIT ?)"
_FORGET = "DELETE FROM exporters WHERE name = ?"


class Cursor(msgspec.Struct, frozen=True):
    """Of one exporter: the name that its destination knows this database by, and how far it has come."""

    source_id: str
    position: Position


def register(connection: sqlite3.Connection, name: str, *, wants_changes: bool) -> Cursor:
    """The cursor of the exporter of this name, which stands at the beginning if it is new."""
    connection.execute(_REGISTER, (name, secrets.token_hex(16), 0 if wants_changes else None, _now()))
    source_id, row_id, change_id = connection.execute(_GET, (name,)).fetchone()
    return Cursor(source_id, Position(row_id, change_id))


def set_back(connection: sqlite3.Connection, name: str, to: Position) -> None:
    """The destination has no more than this."""
    connection.execute(_SET_BACK, (*to, name))


def claim(connection: sqlite3.Connection, name: str, up_to: int) -> None:
    """Rows up to this id are about to be read: if they change from now on, they have to be sent again."""
    connection.execute(_CLAIM, (up_to, name))


def advance(connection: sqlite3.Connection, name: str, position: Position, sent: int) -> None:
    """The destination has `sent` rows more, and with them all up to `position`."""
    connection.execute(_ADVANCE, (*position, sent, _now(), name))
    connection.execute(_FORGET_CHANGES, (_active_since(),))


def note_refused(connection: sqlite3.Connection, name: str) -> None:
    """The destination will never take one of the rows."""
    connection.execute(_REFUSED, (name,))


def note_error(connection: sqlite3.Connection, name: str, error: str) -> None:
    """Why the destination was not reached, until it is."""
    connection.execute(_NOTE_ERROR, (error, name))


def needed(connection: sqlite3.Connection) -> int | None:
    """The highest id up to which no active exporter lacks a row; None if there is no active one."""
    (row_id,) = connection.execute(_NEEDED, (_active_since(),)).fetchone()
    return None if row_id is None else int(row_id)


def forget(connection: sqlite3.Connection, name: str) -> bool:
    """Keep nothing for this exporter any more; whether there was one of this name."""
    return connection.execute(_FORGET, (name,)).rowcount > 0


def _now() -> str:
    return timestamps.bound(datetime.now(UTC))


def _active_since() -> str:
    return timestamps.bound(datetime.now(UTC) - ACTIVE_FOR)
