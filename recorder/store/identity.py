"""Tell a file's identity: new, ours at some version, or not for us. Reads only; every refusal is one sentence.

Three records of the version must agree: `PRAGMA user_version` (what code asks), `schema_version` (what people read),
and sqlite-utils' list of applied steps (what decides about pending ones). They are only ever written together.

The schema must be what the registry makes: that is run into memory, and both sides are described by what SQLite says
of them, so that nothing is written down twice. Everything that the registry makes must be there, unchanged. What users
add beside it (own tables, views, triggers, plain indexes) is theirs and stays; a unique index on our tables is not: it
would reject calls. Views are not looked at, ours neither: they hold nothing and are made anew at a start
(schema/views.py).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlite_utils import Database

from llm_metrics_proxy.migrations import APPLICATION_ID, CURRENT_SCHEMA_VERSION, NAMES, REGISTRY
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import sqlite

_TABLES = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_APPLIED = "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY id"
_VERSIONS = "SELECT version FROM schema_version ORDER BY version"
_COLUMN_NAMES = "SELECT name FROM pragma_table_xinfo(?)"

_ANOTHER_PATH = "set metrics_db to another path"
_REPAIR = "stop the proxy and run llm-metrics migrate --repair, or put a backup back with llm-metrics restore"
_BACKUP_OR_AWAY = "put a backup back with llm-metrics restore, or move it away together with its -wal and -shm"
_LONGEST = 200  # characters of what SQLite says: it may quote the whole schema
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

type Fact = tuple[object, ...]
# Without the tables of SQLite and sqlite-utils themselves.
_OBJECTS = """
    SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE type <> 'view' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND tbl_name <> '_sqlite_migrations'
"""
_COLUMNS = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
_LAYOUT = "SELECT type, wr, strict FROM pragma_table_list(?) WHERE schema = 'main'"
_CONSTRAINTS = "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?) WHERE origin <> 'c' ORDER BY name"
_REFERENCES = "SELECT * FROM pragma_foreign_key_list(?)"
_TABLE_FACTS = (_COLUMNS, _LAYOUT, _CONSTRAINTS, _REFERENCES)
# What no pragma shows of a table: only its SQL does.
_UNSEEN = ("AUTOINCREMENT", "CHECK", "COLLATE", "CONFLICT", "DEFERRABLE")
_INDEX = 'SELECT "unique", partial FROM pragma_index_list(?) WHERE name = ?'
_INDEX_COLUMNS = 'SELECT seqno, name, "desc", coll, key FROM pragma_index_xinfo(?)'


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


def refusal(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> DatabaseRefused:
    """The sentence for what SQLite said about `path`; of a damaged schema it may say what Python cannot decode."""
    said = str(error).partition("\n")[0][:_LONGEST]
    undecodable = isinstance(error, UnicodeDecodeError) or said.startswith("Could not decode")
    code = sqlite3.SQLITE_CORRUPT if undecodable else sqlite.code_of(error) or sqlite3.SQLITE_ERROR
    what, cure = _SENTENCES.get(code, (f"cannot be used ({said})", f"repair it, or {_ANOTHER_PATH}"))
    return DatabaseRefused(what=f"{path} {what}", cure=cure)


def claimed_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version that the file says it has, 0 for a new one; whether that is true is for `changes` to say.

    Raises:
        DatabaseRefused: foreign, or newer than this program.
        sqlite3.Error: damaged or locked.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id == APPLICATION_ID:
        if user_version > CURRENT_SCHEMA_VERSION:
            what = f"{path} has schema version {user_version}, and this program knows up to {CURRENT_SCHEMA_VERSION}"
            raise DatabaseRefused(what=what, cure=f"use the newer release, or {_ANOTHER_PATH}")
        return int(user_version)
    if application_id == 0 and user_version == 0:
        tables = {name for (name,) in connection.execute(_TABLES)}
        if not tables:
            return 0
        if _is_unstamped_version_1(connection, tables):
            return 1
        if is_original(connection):
            what = f"{path} is the database of the original llm-metrics-proxy"
            cure = f"{_ANOTHER_PATH}, and read the old calls in with llm-metrics import {path} --db NEW"
            raise DatabaseRefused(what=what, cure=cure)
    raise DatabaseRefused(what=f"{path} is the database of another program", cure=_ANOTHER_PATH)


def is_original(connection: sqlite3.Connection) -> bool:
    """True for the database of the original llm-metrics-proxy: it has the columns of version 1, and `app_version`."""
    calls = {name for (name,) in connection.execute(_COLUMN_NAMES, ("completion_requests",))}
    versions = {name for (name,) in connection.execute(_COLUMN_NAMES, ("schema_version",))}
    return calls >= {*columns_of(1), "app_version"} and versions >= {"id", "version", "applied_at", "description"}


def changes(connection: sqlite3.Connection, version: int) -> list[str]:
    """List what keeps a database that claims to be of `version` from being it, one phrase each.

    Raises:
        sqlite3.Error: damaged or locked.
    """
    return [*differences(connection, version), *_disagreements(connection, version)]


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = claimed_version(connection, path)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        return version
    if found := _disagreements(connection, version):
        raise _changed(path, found[0], _BACKUP_OR_AWAY)
    if found := differences(connection, version):
        raise _changed(path, found[0], _REPAIR)
    return version


def _disagreements(connection: sqlite3.Connection, version: int) -> list[str]:
    """List what the two tables of versions say against `version`: each has all up to it, in order, and nothing else."""
    try:
        applied = [name for (name,) in connection.execute(_APPLIED, (REGISTRY.name,))]
        versions = [number for (number,) in connection.execute(_VERSIONS)]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # which says that a table or a column is missing
            raise
        return ["its version tables are gone"]
    if applied != list(NAMES[:version]) or versions != list(range(1, version + 1)):
        return ["its records of the schema version disagree"]
    return []


def _is_unstamped_version_1(connection: sqlite3.Connection, tables: set[str]) -> bool:
    """A file made from the published SQL of version 1 by hand: it has the tables, but none of our marks."""
    if REGISTRY.migrations_table in tables or differences(connection, 1):
        return False
    return [version for (version,) in connection.execute(_VERSIONS)] in ([], [1])


def _changed(path: Path, what: str, cure: str) -> DatabaseRefused:
    return DatabaseRefused(what=f"{path} was changed by another program ({what})", cure=cure)


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


def differences(connection: sqlite3.Connection, version: int) -> list[str]:
    """List what keeps the database from being `version` of the schema, one phrase each."""
    expected = _expected(version)
    actual = _facts(connection)
    found = []
    for (kind, name), fact in expected.items():
        if (kind, name) not in actual:
            found.append(f"{kind} {name} is missing")
        elif actual[kind, name] != fact:
            found.append(f"{kind} {name} is not as it was made")
    for (kind, name), fact in actual.items():
        if (kind, name) not in expected and kind == "index":
            table, unique, *_ = fact
            if unique and ("table", table) in expected:
                found.append(f"unique index {name} was added to table {table}")
    return found


@cache
def columns_of(version: int) -> tuple[str, ...]:
    """The names of the columns of `completion_requests` in `version` of the schema, in order."""
    db = Database(memory=True, execute_plugins=False)
    try:
        REGISTRY.apply(db, stop_before=NAMES[version:])
        return tuple(db.table("completion_requests").columns_dict)
    finally:
        db.close()


@cache
def _expected(version: int) -> dict[tuple[str, str], Fact]:
    db = Database(memory=True, execute_plugins=False)
    try:
        REGISTRY.apply(db, stop_before=NAMES[version:])
        return _facts(db.conn)
    finally:
        db.close()


def _facts(connection: sqlite3.Connection) -> dict[tuple[str, str], Fact]:
    facts: dict[tuple[str, str], Fact] = {}
    for kind, name, table, sql in connection.execute(_OBJECTS).fetchall():
        if kind == "table":
            facts[kind, name] = (
                *(sql.upper().count(word) for word in _UNSEEN),
                *(tuple(connection.execute(query, (name,))) for query in _TABLE_FACTS),
            )
        elif kind == "index":
            (unique, partial) = connection.execute(_INDEX, (table, name)).fetchone()
            facts[kind, name] = (table, unique, partial, tuple(connection.execute(_INDEX_COLUMNS, (name,))))
        else:
            facts[kind, name] = (table, sql)
    return facts
