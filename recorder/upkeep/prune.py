"""Retention, in slices while recorders write, and vacuum, which rebuilds the whole file.

Calls go first, once they are in the roll-up, which stays. Then the recorder's own rows about that time; the counters
of recorders that are long gone are added up under one name. Then the file gives back its free pages, if it was made
with `auto_vacuum=INCREMENTAL`. Files of version 1 lack that: there later rows use the space again. Vacuum is for them:
SQLite changes `auto_vacuum` only while it rebuilds the file, which takes seconds for each GB and needs the file alone,
so it happens only when a person asks for it.
"""

import os
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.store import database, exporters, identity, presence, sqlite, timestamps, watermarks
from llm_metrics_proxy.recorder.store.account import GrowingEvent
from llm_metrics_proxy.recorder.store.slices import HOLD_MS, Slices, open_background

EARLIER: Final = "earlier"  # the process name under which the counters of those long gone are added up
GONE_AFTER: Final = timedelta(days=30)

_INCREMENTAL = 2  # what PRAGMA auto_vacuum answers
_READ_AHEAD = 2_000  # rows: found before the lock is taken
_FREED_AT_ONCE = 16  # pages, between two looks at the clock

# event_id is read so that the row itself is in memory before the lock is taken.
# Only what the roll-up and the exporters have: a call that came in later with an old timestamp is for the next time.
# Each page begins behind the one before: rows that a trigger of a user keeps from being deleted are met once.
_OLD_CALLS = """
    SELECT id, timestamp, event_id FROM completion_requests
    WHERE timestamp < ? AND id <= ? AND (timestamp, id) > (?, ?) ORDER BY timestamp, id LIMIT ?
"""
_BEFORE_ALL = ("", 0)  # a timestamp and an id
_COUNT = "SELECT count(*), min(timestamp), max(timestamp) FROM completion_requests WHERE timestamp < ? AND id <= ?"
_COUNT_KEPT = "SELECT count(*) FROM completion_requests WHERE timestamp < ? AND id > ?"
_DELETE_CALL = "DELETE FROM completion_requests WHERE id = ?"
# Of the recorder's own tables: which rows are old, and how one of them is deleted. What was replayed of a spill file is
# known for as long as the file may be there.
_OTHER_ROWS = {
    # What was pruned is known for ever: the check of the roll-up has to know of which days rows are missing.
    "SELECT id FROM recorder_events WHERE at < :bound AND kind <> 'prune' AND (kind <> 'replay' OR at < :long_ago)": (
        "DELETE FROM recorder_events WHERE id = ?"
    ),
    "SELECT rowid FROM unrecognised WHERE last_at < :bound": "DELETE FROM unrecognised WHERE rowid = ?",
    "SELECT day, host FROM tunnelled_hosts WHERE last_at < :bound": (
        "DELETE FROM tunnelled_hosts WHERE day = ? AND host = ?"
    ),
}
_PROCESSES = "SELECT process FROM recorder_counters GROUP BY process HAVING max(updated_at) < ?"
_ADD_UP = """
    INSERT INTO recorder_counters (process, name, value, updated_at)
    SELECT ?, name, value, updated_at FROM recorder_counters WHERE process = ?
    ON CONFLICT(process, name) DO UPDATE
    SET value = value + excluded.value, updated_at = max(updated_at, excluded.updated_at)
"""
_FORGET = "DELETE FROM recorder_counters WHERE process = ?"


class Old(msgspec.Struct, frozen=True):
    """The calls before a moment: how many, and from when to when, without those that are kept for exporters."""

    rows: int
    from_at: str | None
    to_at: str | None
    kept: int


class Pruned(msgspec.Struct, frozen=True):
    """The result of a run. The lock was held `slices` times, never longer than `longest_hold_ms`."""

    rows: int
    from_at: str | None
    to_at: str | None
    kept: int  # older calls that an active exporter has not sent yet
    slices: int
    longest_hold_ms: float
    bytes_before: int
    bytes_after: int
    vacuumed: bool  # False: the file is not made to shrink, or there was no time for it


def old(path: Path, before: datetime) -> Old:
    """The calls that `prune` would delete.

    Raises:
        DatabaseRefused: there is no database of the present version at `path`.
        ValueError: `before` has no time zone.
    """
    bound = timestamps.bound(before)
    try:
        with closing(database.open_reader(path)) as connection:
            needed = _needed(connection)
            (kept,) = connection.execute(_COUNT_KEPT, (bound, needed)).fetchone()
            rows, from_at, to_at = connection.execute(_COUNT, (bound, needed)).fetchone()
            return Old(rows, from_at, to_at, kept)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


def prune(  # noqa: PLR0913 - how it is done, each by name and with a default
    path: Path,
    before: datetime,
    *,
    stop: threading.Event | None = None,
    progress: Callable[[int], None] | None = None,
    hold_ms: float = HOLD_MS,
    most_added: int = sys.maxsize,
) -> Pruned:
    """Delete the calls with timestamp < `before`, and what else is that old, on a connection of its own.

    Calls that the roll-up does not have yet are added to it first, if there are no more than `most_added` of them, or
    stay until the next time. `stop` ends it early, between two slices; `progress` is told how many calls are gone. The
    write lock is held for less than `hold_ms` at a time. A row of `recorder_events` says what was deleted.

    Raises:
        DatabaseRefused: not a database of the present version, or SQLite refused; what was deleted stays deleted.
        ValueError: `before` has no time zone.
    """
    bound = timestamps.bound(before)
    try:
        with closing(open_background(path)) as connection:
            if watermarks.waiting(connection, watermarks.ROLLUP) <= most_added:
                rollup.bring_up_to_date(connection, path, stop=stop)
            return _Pruning(connection, path, Slices(connection, path, hold_ms=hold_ms, stop=stop)).run(
                bound, progress or (lambda _rows: None)
            )
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


def _needed(connection: sqlite3.Connection) -> int:
    """The id up to which exporters need no row any more."""
    needed = exporters.needed(connection)
    return sys.maxsize if needed is None else needed


def _long_ago() -> str:
    return timestamps.bound(datetime.now(UTC) - GONE_AFTER)


class _Pruning:
    def __init__(self, connection: sqlite3.Connection, path: Path, slices: Slices) -> None:
        self._connection = connection
        self._path = path
        self._slices = slices
        self._needed = _needed(connection)
        self._account = GrowingEvent(connection, "prune")

    def run(self, bound: str, progress: Callable[[int], None]) -> Pruned:
        bytes_before = self._path.stat().st_size
        self._delete_calls(bound, progress)
        for find, delete in _OTHER_ROWS.items():
            self._delete_others(find, delete, bound)
        self._add_up_counters()
        vacuumed = self._vacuum()
        self._checkpoint()
        return Pruned(
            rows=self._account.count,
            from_at=self._account.from_at,
            to_at=self._account.to_at,
            kept=self._kept(bound),
            slices=self._slices.count,
            longest_hold_ms=round(self._slices.longest_ms, 1),
            bytes_before=bytes_before,
            bytes_after=self._path.stat().st_size,
            vacuumed=vacuumed,
        )

    def _delete_calls(self, bound: str, progress: Callable[[int], None]) -> None:
        up_to = min(watermarks.get(self._connection, watermarks.ROLLUP), self._needed)
        last: tuple[str, int] = _BEFORE_ALL
        while rows := self._connection.execute(_OLD_CALLS, (bound, up_to, *last, _READ_AHEAD)).fetchall():
            waiting = deque(rows)
            last = (rows[-1][1], rows[-1][0])
            while waiting:
                if self._slices.stopped:
                    return
                gone = []
                with self._slices.hold() as has_time:
                    while waiting and has_time():
                        row_id, timestamp, _event_id = waiting.popleft()
                        if self._connection.execute(_DELETE_CALL, (row_id,)).rowcount:  # else another prune was faster
                            gone.append(timestamp)
                    self._account.add(gone)
                self._checkpoint()
                progress(self._account.count)

    def _kept(self, bound: str) -> int:
        (calls,) = self._connection.execute(_COUNT_KEPT, (bound, self._needed)).fetchone()
        return int(calls)

    def _delete_others(self, find: str, delete: str, bound: str) -> None:
        waiting = deque(self._connection.execute(find, {"bound": bound, "long_ago": _long_ago()}).fetchall())
        while waiting and not self._slices.stopped:
            with self._slices.hold() as has_time:
                while waiting and has_time():
                    self._connection.execute(delete, waiting.popleft())

    def _add_up_counters(self) -> None:
        silent = {process for (process,) in self._connection.execute(_PROCESSES, (_long_ago(),))}
        gone = deque(sorted(silent - {EARLIER} - presence.living(self._path)))
        while gone and not self._slices.stopped:
            with self._slices.hold() as has_time:
                while gone and has_time():
                    self._connection.execute(_ADD_UP, (EARLIER, gone[0]))
                    self._connection.execute(_FORGET, (gone.popleft(),))

    def _vacuum(self) -> bool:
        (mode,) = self._connection.execute("PRAGMA auto_vacuum").fetchone()
        if mode != _INCREMENTAL:
            return False
        while self._free_pages():
            if self._slices.stopped:
                return False
            with self._slices.hold() as has_time:
                while has_time() and self._free_pages():
                    # One page a step, so that all steps have to be asked for.
                    self._connection.execute(f"PRAGMA incremental_vacuum({_FREED_AT_ONCE})").fetchall()
            self._checkpoint()
        return True

    def _free_pages(self) -> int:
        (pages,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages)

    def _checkpoint(self) -> None:
        """Move what nobody reads any more from the WAL into the file, without waiting for those who read."""
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


SPACE_FACTOR: Final = 2.0  # of the database's size: a copy in a temporary file, and the journal beside the database

_PATIENCE_SECONDS = database.READER_SECONDS
_TEMPORARY = ("SQLITE_TMPDIR", "TMPDIR")


def vacuum(path: Path) -> None:
    """Rebuild the database at `path` with `auto_vacuum=INCREMENTAL`, all or nothing.

    Raises:
        DatabaseRefused: somebody has the file open, there is too little space, or SQLite refused; it is what it was.
    """
    _check_space(path)
    try:
        with (
            presence.exclusively(path, _PATIENCE_SECONDS),
            closing(database.connect(path, timeout=_PATIENCE_SECONDS)) as connection,
        ):
            identity.version_of(connection, path)
            _be_alone(connection, path)
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("VACUUM")
            database.use_wal(connection, path, patience=_PATIENCE_SECONDS)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


def _be_alone(connection: sqlite3.Connection, path: Path) -> None:
    """Leave WAL, which SQLite only does for the one connection that there is."""
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if not sqlite.is_lock(error):
            raise
        what = f"{path} cannot be rebuilt while another process has it open"
        raise DatabaseRefused(what=what, cure="end that process, and try again") from error


def _check_space(path: Path) -> None:
    needed = int(path.stat().st_size * SPACE_FACTOR)
    temporary = next((os.environ[name] for name in _TEMPORARY if os.environ.get(name)), "/var/tmp")  # noqa: S108 - SQLite's
    for folder in (path.parent, Path(temporary)):
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        if free < needed:
            what = f"{folder} has {free / 1e6:,.0f} MB free, and rebuilding {path} needs {needed / 1e6:,.0f} MB"
            raise DatabaseRefused(what=what, cure="free some space; nothing was changed")
