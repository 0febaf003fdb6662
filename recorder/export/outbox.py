"""Rows to send: those above an id, and those that changed after they were sent.

And the recorders' account of themselves: their counters and events, a few rows that are all sent each time. Rows come
as they are stored, or, where a text is no UTF-8, with U+FFFD in it.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.export import Account, Row
from llm_metrics_proxy.recorder.store import identity, presence, watermarks


def fetched(connection: sqlite3.Connection, statement: str, parameters: tuple[object, ...]) -> list[Row]:
    """All rows of a SELECT. What is no UTF-8 becomes U+FFFD."""
    given, connection.text_factory = connection.text_factory, str  # which takes a third of the time
    try:
        return connection.execute(statement, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        connection.text_factory = lambda text: text.decode(errors="replace")
        return connection.execute(statement, parameters).fetchall()
    finally:
        connection.text_factory = given


COLUMNS: Final = identity.columns_of(CURRENT_SCHEMA_VERSION)
COLUMN: Final = {name: index for index, name in enumerate(COLUMNS)}  # where in a row each stands
PRICED_WITHIN: Final = timedelta(minutes=2)  # the recorder has calls priced each 45 s while there are any

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM completion_requests"  # noqa: S608 - names of our own
_ROWS = f"{_SELECT} WHERE id > ? AND id <= ? ORDER BY id"
_LAST_OF_NEXT = """
    SELECT max(id) FROM (SELECT id FROM completion_requests WHERE id > ? ORDER BY id LIMIT ?)
"""
_CHANGES = "SELECT id, row_id FROM export_changes WHERE id > ? ORDER BY id LIMIT ?"
_IN_VERSION_1 = tuple(COLUMN[name] for name in identity.columns_of(1))


class Priced:
    """Up to which row calls have the cost that they get.

    That is the recorders' own watermark, unless nobody prices here: no recorder was ever seen to live, or it stands
    still for `PRICED_WITHIN`.
    """

    def __init__(self, path: Path) -> None:
        """It is not known yet."""
        self._path, self._somebody_prices = path, False
        self._priced_to, self._moved_at = -1, time.monotonic()

    def up_to(self, connection: sqlite3.Connection, wanted: int) -> int:
        """`wanted`, or an id before it if the rows after that will soon have a cost."""
        priced_to, now = watermarks.get(connection, watermarks.PRICING), time.monotonic()
        if priced_to != self._priced_to or priced_to >= wanted:
            self._priced_to, self._moved_at = priced_to, now
        if priced_to >= wanted or now - self._moved_at >= PRICED_WITHIN.total_seconds():
            return wanted
        self._somebody_prices = self._somebody_prices or bool(presence.living(self._path))
        return priced_to if self._somebody_prices else wanted


def last_of_next(connection: sqlite3.Connection, above: int, at_most: int) -> int:
    """The id of the last of the next rows above an id; `above` itself if there is none."""
    (last,) = connection.execute(_LAST_OF_NEXT, (above, at_most)).fetchone()
    return above if last is None else int(last)


def rows(connection: sqlite3.Connection, above: int, up_to: int) -> list[Row]:
    """The rows with ids above one and up to another, in order."""
    return identified(fetched(connection, _ROWS, (above, up_to)))


def changed(connection: sqlite3.Connection, above: int, up_to_row: int, at_most: int) -> tuple[list[Row], int]:
    """Rows that changed after the change `above`, and the number of the last of those changes.

    Each row once, with its present values. Rows with ids above `up_to_row` are left out: they are still to be sent.
    """
    changes = connection.execute(_CHANGES, (above, at_most)).fetchall()
    if not changes:
        return [], above
    ids = sorted({row_id for _change, row_id in changes if row_id <= up_to_row})
    select = f"{_SELECT} WHERE id IN ({', '.join('?' * len(ids))}) ORDER BY id"
    return identified(fetched(connection, select, tuple(ids))), changes[-1][0]


def identified(found: Iterable[Sequence[object]]) -> list[Row]:
    """Rows of which each has an event_id: those from version 1 of the schema, which have none, get one here.

    It is made from what the row was in version 1, so it is the same each time, and in each copy of the database.
    """
    at = COLUMN["event_id"]
    return [tuple(row) if row[at] is not None else (*row[:at], _derived(row), *row[at + 1 :]) for row in found]


def _derived(row: Sequence[object]) -> str:
    return hashlib.sha256(repr([row[index] for index in _IN_VERSION_1]).encode(errors="replace")).hexdigest()[:32]


MOST_COUNTERS: Final = 10_000  # rows, the newest: each recorder that ever wrote into the file has some
MOST_EVENTS: Final = 1_000

_COUNTERS = "SELECT process, name, value, updated_at FROM recorder_counters ORDER BY updated_at DESC LIMIT ?"
_EVENTS = "SELECT id, at, process, kind, count, from_at, to_at, detail FROM recorder_events ORDER BY id DESC LIMIT ?"


def read_account(connection: sqlite3.Connection) -> Account:
    """The newest of both."""
    return Account(fetched(connection, _COUNTERS, (MOST_COUNTERS,)), fetched(connection, _EVENTS, (MOST_EVENTS,)))
