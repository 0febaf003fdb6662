"""Save a database that was moved, removed or replaced while it was being written.

Everything that was committed can still be read through the connection that is open, until it is closed. It goes back
to the path if nothing stands there; if another file does, beside it as `metrics.db.<time>.salvaged`.
"""

import logging
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.reporting import say
from llm_metrics_proxy.recorder.store import database, presence, spill_folder, sqlite
from llm_metrics_proxy.recorder.store.account import SALVAGE, Account
from llm_metrics_proxy.recorder.store.database import Files
from llm_metrics_proxy.recorder.store.files import sync_folder

SUFFIX: Final = ".salvaged"

_LOST: Final = (
    "%(path)s was moved or removed, and is damaged: nothing of it could be saved, so run llm-metrics restore latest."
)
_RESTORED: Final = (
    "%(path)s was moved or removed; everything in it is back. End the proxy before you take its database away."
)
_REPLACED: Final = (
    "%(path)s was replaced by another file; what it held is in %(copy)s. To put a file in its place, use "
    "llm-metrics restore."
)
_KEPT: Final = "The -wal or -shm of %(path)s was removed; everything in it is saved. Leave those files to the proxy."
_IS_NOTED = "SELECT 1 FROM recorder_events WHERE kind = ? AND detail = ?"


def rescue(connection: sqlite3.Connection, path: Path, ours: Files, process: str) -> str | None:
    """Save what `connection` has, whose files were `ours` and are no longer all at `path`.

    Returns the name of the file beside the database that holds it, None if it is in the database itself. Of several
    recorders that do this at the same time the first puts the database back, and the others see its note.

    Raises:
        sqlite3.Error, OSError, DatabaseRefused: it is not saved yet, and the connection has to stay open.
    """
    now = database.files_of(path)
    if now.database == ours.database and now.wal in (None, ours.wal) and now.shm in (None, ours.shm):
        _save_in_place(connection, path, ours, process)
        return None
    if now.database != ours.database:
        _remove_stale(path, ours)
    with presence.alone(path, "salvage") as alone:
        if not alone:
            raise DatabaseRefused(what=f"{path} is just being salvaged", cure="wait until that is done")
        return _save_elsewhere(connection, path, ours, process)


def _save_elsewhere(connection: sqlite3.Connection, path: Path, ours: Files, process: str) -> str | None:
    """The database itself is gone from the path: put a copy of it there, or beside what stands there."""
    if any(_is_saved(file, ours) for file in [path, *path.parent.glob(f"{path.name}.*{SUFFIX}")]):
        return None  # by another recorder
    try:
        copy = _copy(connection, path, ours, process)
    except sqlite3.Error as error:
        if not sqlite.is_damage(error):
            raise
        say(logging.ERROR, "database_lost", _LOST, path=path)
        return None
    if not path.exists():
        _put_back(copy, path)
        say(logging.WARNING, "database_restored", _RESTORED, path=path)
        return None
    say(logging.WARNING, "database_replaced", _REPLACED, path=path, copy=copy.name)
    return copy.name


def _save_in_place(connection: sqlite3.Connection, path: Path, ours: Files, process: str) -> None:
    """The database itself is there: empty the WAL, which has no name any more, into it."""
    _note(connection, ours, process)
    (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        what = f"The -wal or -shm of {path} was removed, and a reader keeps the rows from being saved"
        raise DatabaseRefused(what=what, cure="end the programs that read it")
    say(logging.WARNING, "database_restored", _KEPT, path=path)


def _copy(connection: sqlite3.Connection, path: Path, ours: Files, process: str) -> Path:
    copy = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%d_%H%M%S_%f}{SUFFIX}")
    os.close(spill_folder.create(copy))
    try:
        with closing(database.connect(copy, timeout=database.RECORDER_SECONDS)) as target:
            connection.backup(target, pages=-1)  # nobody else has a lock on either
            target.execute("PRAGMA journal_mode=DELETE")
            _note(target, ours, process)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
    except BaseException:  # raised again: half a copy must not pass for one
        copy.unlink()
        raise
    return copy


def _put_back(copy: Path, path: Path) -> None:
    """Give the copy the database's name; somebody who was faster is looked at in the next attempt."""
    try:
        os.link(copy, path)
    finally:
        copy.unlink()
    sync_folder(path.parent)


def _remove_stale(path: Path, ours: Files) -> None:
    """Nothing may be left that SQLite would take for the WAL of the file that will stand, or stands, at the path."""
    for suffix, inode in (("-wal", ours.wal), ("-shm", ours.shm)):
        file = Path(f"{path}{suffix}")
        if inode is not None and database.inode_of(file) == inode:
            file.unlink()


def _is_saved(path: Path, ours: Files) -> bool:
    """True if the file at `path` is what another recorder saved of the same files."""
    if not path.is_file():
        return False
    try:
        with closing(database.connect(path, timeout=database.RECORDER_SECONDS, mode="ro")) as other:
            return other.execute(_IS_NOTED, (SALVAGE, _name(ours))).fetchone() is not None
    except sqlite3.Error as error:
        no_such_table = sqlite.code_of(error) == sqlite3.SQLITE_ERROR
        if not (sqlite.is_damage(error) or no_such_table):
            raise  # it is only just being put there
        return False


def _note(connection: sqlite3.Connection, ours: Files, process: str) -> None:
    Account(connection, process).note_event(SALVAGE, _name(ours))


def _name(ours: Files) -> str:
    return f"of inodes {', '.join('none' if one is None else f'{one[0]}:{one[1]}' for one in ours)}"
