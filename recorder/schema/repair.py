"""Giving a database the schema of its version again, after another program changed it; how is in mending.py.

All of it is one transaction, so that a failure leaves everything as it was, also what recorders wrote until then. They
keep their events aside while it takes.
"""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from llm_metrics_proxy.recorder.backup import backup, retention
from llm_metrics_proxy.recorder.errors import MigrationFailed, RecorderError
from llm_metrics_proxy.recorder.schema.mending import Mending
from llm_metrics_proxy.recorder.store import database, expected_schema, identity

_LOCK_SECONDS = 30.0
_CURE = "put a backup back with llm-metrics restore, or change by hand what does not fit"


class Repaired(msgspec.Struct, frozen=True):
    """What was done. `backup` is None if there was nothing to do.

    `kept_copies` are tables with the columns that have no place in ours, `dropped` the users' indexes and triggers
    that could not stay, and `locked_seconds` is how long nobody else could write.
    """

    path: Path
    backup: Path | None
    tables: tuple[str, ...]
    kept_copies: tuple[str, ...]
    dropped: tuple[str, ...]
    rows: int
    locked_seconds: float


def repair(path: Path, *, backup_dir: Path | None) -> Repaired:
    """Give the database at `path` the schema of its version again, after a backup of the file.

    Raises:
        DatabaseRefused: not ours, newer, damaged, or locked for too long.
        BackupFailed: no verified backup; nothing was changed.
        MigrationFailed: it cannot be repaired; nothing was changed.
    """
    path = path.resolve()
    try:
        with closing(database.open_for_start(path, timeout=_LOCK_SECONDS)) as connection:
            version = identity.claimed_version(connection, path)
            identity.check_pages(connection, path)
            if version == 0 or not expected_schema.differences(connection, version):
                identity.version_of(connection, path)  # what a repair does not mend has its own sentence
                return Repaired(path, None, (), (), (), 0, 0.0)
            connection.execute("PRAGMA foreign_keys=OFF")  # or rows that refer to a table would go with it
            return _repair(connection, path, version, backup_dir)
    except sqlite3.IntegrityError as error:
        what = f"{path} cannot be repaired, since its rows do not fit the schema ({error})"
        raise MigrationFailed(what=what, cure=_CURE) from error
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


def _repair(connection: sqlite3.Connection, path: Path, version: int, backup_dir: Path | None) -> Repaired:
    connection.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    try:
        saved = backup.create(path, backup_dir=backup_dir)  # of exactly this state, since we have the lock
        violations = len(connection.execute("PRAGMA foreign_key_check").fetchall())
        mending = Mending(connection, version)
        mending.mend()
        identity.version_of(connection, path)
        if len(connection.execute("PRAGMA foreign_key_check").fetchall()) > violations:
            what = f"{path} cannot be repaired, since a foreign key would point to nothing"
            raise MigrationFailed(what=what, cure=_CURE)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    locked = time.monotonic() - began
    with suppress(RecorderError):  # the repair is done
        retention.apply(path, backup_dir)
    done = mending
    return Repaired(path, saved, tuple(done.tables), tuple(done.kept), tuple(done.dropped), done.rows, locked)
