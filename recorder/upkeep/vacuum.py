"""Rebuild the whole file, so that it is as small as it can be and gives pages back by itself from then on.

For files of version 1, which were made with `auto_vacuum` off: SQLite changes that only while it rebuilds the file.
It takes seconds for each GB and needs the file alone, so nobody does it but a person who asked for it.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import database, identity, presence

SPACE_FACTOR: Final = 2.0  # of the database's size: a copy in a temporary file, and the journal beside the database

_PATIENCE_SECONDS = 5.0
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
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
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
