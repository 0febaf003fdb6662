"""What a file is: new, ours at some version, or not for us. Reads only; every refusal is one sentence.

Three records of the version must agree: `PRAGMA user_version` (what code asks), `schema_version` (what people read),
and sqlite-utils' list of applied steps (what decides about pending ones). They are only ever written together.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrations import APPLICATION_ID, CURRENT_SCHEMA_VERSION, NAMES, REGISTRY
from recorder.errors import DatabaseRefused
from recorder.schema import differences

_TABLES = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_APPLIED = "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY id"
_VERSIONS = "SELECT version FROM schema_version ORDER BY version"

_ANOTHER_PATH = "set metrics_db to another path"
_BACKUP_OR_AWAY = "put a backup back, or move it away together with its -wal and -shm"
_WRITABLE = ("cannot be opened for writing", "check the modes of the file, of its -wal and -shm, and of the folder")
_LOCKED = ("is locked by another process", "end that process, or try again when it is done")
_SENTENCES = {
    sqlite3.SQLITE_NOTADB: ("is not a SQLite database", f"move that file away, or {_ANOTHER_PATH}"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _BACKUP_OR_AWAY),
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: ("has no space left on its disk", f"free some, or {_ANOTHER_PATH}"),
    sqlite3.SQLITE_CANTOPEN: _WRITABLE,
    sqlite3.SQLITE_PERM: _WRITABLE,
    sqlite3.SQLITE_READONLY: _WRITABLE,
}


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of the database, 0 for a new one; schema and records of the version have been checked.

    Joins the caller's transaction if there is one.

    Raises:
        DatabaseRefused: foreign, newer, changed by others, damaged or locked.
    """
    try:
        with _snapshot(connection):
            return _version(connection, path)
    except sqlite3.Error as error:
        raise refusal(path, error) from error


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a damaged file: SQLite itself opens it, reads the versions, and even accepts inserts.

    Takes about 0.2 s for 100 MB.

    Raises:
        DatabaseRefused: it is damaged or locked.
    """
    try:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    if answer != "ok":
        raise DatabaseRefused(what=f"{path} is damaged", cure=_BACKUP_OR_AWAY)


def refusal(path: Path, error: sqlite3.Error) -> DatabaseRefused:
    """The sentence for what SQLite said about `path`."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    what, cure = _SENTENCES.get(code, (f"cannot be used ({error})", f"repair it, or {_ANOTHER_PATH}"))
    return DatabaseRefused(what=f"{path} {what}", cure=cure)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute(_TABLES)}
    if application_id == APPLICATION_ID:
        return _stamped_version(connection, path, user_version)
    if application_id == 0 and user_version == 0:
        if not tables:
            return 0
        if _is_unstamped_version_1(connection, tables):
            return 1
    raise DatabaseRefused(what=f"{path} is the database of another program", cure=_ANOTHER_PATH)


def _stamped_version(connection: sqlite3.Connection, path: Path, user_version: int) -> int:
    if user_version > CURRENT_SCHEMA_VERSION:
        what = f"{path} has schema version {user_version}, and this program knows up to {CURRENT_SCHEMA_VERSION}"
        raise DatabaseRefused(what=what, cure=f"use the newer release, or {_ANOTHER_PATH}")
    try:
        applied = [name for (name,) in connection.execute(_APPLIED, (REGISTRY.name,))]
        versions = [version for (version,) in connection.execute(_VERSIONS)]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # which says that a table or a column is missing
            raise
        raise _changed(path, "its version tables are gone") from error
    if applied != list(NAMES[:user_version]) or versions != list(range(1, user_version + 1)):
        raise _changed(path, "its records of the schema version disagree")
    if found := differences(connection, user_version):
        raise _changed(path, found[0])
    return user_version


def _is_unstamped_version_1(connection: sqlite3.Connection, tables: set[str]) -> bool:
    """A file made from the published SQL of version 1 by hand: it has the tables, but none of our marks."""
    if REGISTRY.migrations_table in tables or differences(connection, 1):
        return False
    return [version for (version,) in connection.execute(_VERSIONS)] in ([], [1])


def _changed(path: Path, what: str) -> DatabaseRefused:
    return DatabaseRefused(what=f"{path} was changed by another program ({what})", cure=_BACKUP_OR_AWAY)


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """One moment for all reads: without it a start that commits in between makes new files look foreign."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # some errors end it by themselves
            connection.execute("ROLLBACK")
