"""Bring the schema up to date: all of it or nothing, once, however many processes start at the same moment.

sqlite-utils' `Migrations.apply` alone is not safe then: it looks for pending steps before it has a lock. Here one
`BEGIN IMMEDIATE` holds everything: look again, back up through a second connection, apply, validate, stamp, commit.
A process that is killed on the way leaves the old state, and SQLite frees its lock for the next one.
"""

import logging
import sqlite3
from pathlib import Path

from sqlite_utils import Database

from migrations import APPLICATION_ID, CURRENT_SCHEMA_VERSION, NAMES, REGISTRY
from recorder import backup, timestamps
from recorder.errors import MigrationFailed, RecorderError
from recorder.identity import refusal, version_of
from recorder.schema import differences

logger = logging.getLogger(__name__)

_CURE = "nothing was changed, so go on with the release before"
_COUNT = "SELECT count(*) FROM completion_requests"
_STAMP = "INSERT INTO schema_version (version, applied_at) VALUES (?, ?) ON CONFLICT(version) DO NOTHING"


def bring_up_to_date(connection: sqlite3.Connection, path: Path, *, backup_dir: Path | None = None) -> None:
    """Migrate the database at `path`, which `connection` has open outside of a transaction, to the present version.

    A database that holds something is backed up first. The wait for another process's lock is the connection's.

    Raises:
        DatabaseRefused: not ours, newer, changed by others, damaged, or locked for too long.
        BackupFailed: no verified backup; nothing was changed.
        MigrationFailed: a step failed, or did not make the schema it should have; nothing was changed.
    """
    if version_of(connection, path) == CURRENT_SCHEMA_VERSION:
        return
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    try:
        _migrate(connection, path, backup_dir)
        connection.execute("COMMIT")
    except RecorderError:
        raise
    except Exception as error:  # whatever a step raises
        what = f"{path} could not be brought to schema version {CURRENT_SCHEMA_VERSION} ({error})"
        raise MigrationFailed(what=what, cure=_CURE) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _migrate(connection: sqlite3.Connection, path: Path, backup_dir: Path | None) -> None:
    version = version_of(connection, path)  # again: another process may have migrated while we waited
    if version == CURRENT_SCHEMA_VERSION:
        return
    rows = 0
    if version > 0:
        (rows,) = connection.execute(_COUNT).fetchone()
        saved = backup.create(path, backup_dir=backup_dir)
        logger.info("Backed up %s as %s before its migration.", path, saved)
    _apply(connection, version)
    _validate(connection, path, rows)
    moment = timestamps.now()
    connection.executemany(_STAMP, [(number, moment) for number in range(1, CURRENT_SCHEMA_VERSION + 1)])
    connection.execute(f"PRAGMA user_version={CURRENT_SCHEMA_VERSION}")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    if version > 0:
        logger.info("Migrated %s from schema version %d to %d.", path, version, CURRENT_SCHEMA_VERSION)


def _apply(connection: sqlite3.Connection, version: int) -> None:
    db = Database(connection, execute_plugins=False)
    REGISTRY.ensure_migrations_table(db)
    applied = {step.name for step in REGISTRY.applied(db)}
    # A version 1 that was made from the published SQL has its tables, but no list of applied steps.
    db.table(REGISTRY.migrations_table).insert_all(
        {"migration_set": REGISTRY.name, "name": name, "applied_at": timestamps.now()}
        for name in NAMES[:version]
        if name not in applied
    )
    REGISTRY.apply(db)


def _validate(connection: sqlite3.Connection, path: Path, rows: int) -> None:
    problems = differences(connection, CURRENT_SCHEMA_VERSION)
    (rows_now,) = connection.execute(_COUNT).fetchone()
    if rows_now != rows:
        problems.append(f"{rows} rows became {rows_now}")
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        problems.append("a foreign key points to nothing")
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        problems.append("its pages are not consistent")
    if problems:
        what = f"{path} is not what schema version {CURRENT_SCHEMA_VERSION} should be ({problems[0]})"
        raise MigrationFailed(what=what, cure=_CURE)
