"""Tell a file's identity: new, ours at some version, or not for us. Reads only; every refusal is one sentence.

Three records of the version must agree: `PRAGMA user_version` (what code asks), `schema_version` (what people read),
and sqlite-utils' list of applied steps (what decides about pending ones). They are only ever written together.

The schema must serve as the one that the registry makes: that is run into memory, and both sides are described by what
SQLite says of them, so that nothing is written down twice. Everything that the registry makes must be there, unchanged.
All else is the user's and stays: columns that a row need not name, indexes, triggers, tables. If one of those keeps a
single call out, that call is held back (writing/held.py). Views are not looked at, ours neither: they hold nothing and
are made anew at a start (schema/views.py).
"""

import sqlite3
from collections.abc import Container, Iterator, KeysView
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sqlite_utils import Database

from llm_metrics_proxy.migrations import APPLICATION_ID, CURRENT_SCHEMA_VERSION, NAMES, REGISTRY
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import sqlite, table_sql

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

# Without the tables of SQLite and sqlite-utils themselves.
_OBJECTS = """
    SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE type <> 'view' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND tbl_name <> '_sqlite_migrations'
"""
_COLUMNS = 'SELECT lower(name), name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
_LAYOUT = "SELECT wr, strict FROM pragma_table_list(?) WHERE schema = 'main' AND type = 'table'"
_KEYS = """
    SELECT group_concat(lower(c.name)) FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS c
    WHERE i.origin <> 'c' GROUP BY i.seq
"""
# No pragma shows these words of a column: only the table's SQL does.
_UNSEEN = ("AUTOINCREMENT", "COLLATE", "CONFLICT", "DEFERRABLE")
_INDEX = 'SELECT "unique", partial FROM pragma_index_list(?) WHERE name = ?'
_INDEX_COLUMNS = 'SELECT seqno, name, "desc", coll, key FROM pragma_index_xinfo(?)'


class Column(NamedTuple):
    """A column as SQLite describes it; `hidden` is 2 or 3 if it is generated."""

    name: str
    type: str
    notnull: int
    default: str | None
    pk: int
    hidden: int

    @property
    def needs_a_value(self) -> bool:
        """True if a row that does not name the column is refused."""
        return bool(self.notnull) and self.default is None and not self.hidden


class Table(NamedTuple):
    """A table as far as writing it depends on that. `columns` and `unseen` go by lower-case names."""

    layout: tuple[object, ...]
    columns: dict[str, Column]
    unseen: dict[str, tuple[int, ...]]
    keys: frozenset[str]


type Fact = Table | tuple[object, ...]


class Difference(NamedTuple):
    """An object of the schema that is not as the registry makes it, and the difference as a phrase."""

    kind: str
    name: str
    what: str
    hinders: bool = True  # calls cannot be written or read; a plain index that is missing only makes that slower


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
    if code == sqlite3.SQLITE_CONSTRAINT:
        what, cure = f"refuses a change ({said})", "drop the trigger, the index or the CHECK that does so"
    if sqlite.is_about_a_virtual_table(error):
        what, cure = "has a full-text index that does not fit its table", "run sqlite-utils rebuild-fts on it"
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
    """List what another program changed in a database that claims to be of `version`, one phrase each.

    Raises:
        sqlite3.Error: damaged or locked.
    """
    return [*(one.what for one in differences(connection, version)), *_disagreements(connection, version)]


def hindrances(connection: sqlite3.Connection, version: int) -> list[str]:
    """List those of `changes` that keep calls from being written or read.

    Raises:
        sqlite3.Error: damaged or locked.
    """
    found = [one.what for one in differences(connection, version) if one.hinders]
    return [*found, *_disagreements(connection, version)]


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = claimed_version(connection, path)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        return version
    if found := _disagreements(connection, version):
        raise _changed(path, found[0], _BACKUP_OR_AWAY)
    if found := [one.what for one in differences(connection, version) if one.hinders]:
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


def differences(connection: sqlite3.Connection, version: int) -> list[Difference]:
    """List what keeps the database from serving as `version` of the schema."""
    expected = _expected(version)
    actual = _facts(connection, expected)
    found: list[Difference] = []
    for (kind, name), fact in expected.items():
        other = actual.get((kind, name))
        if other is None:
            is_plain = kind == "index" and isinstance(fact, tuple) and not fact[1]
            found.append(Difference(kind, name, f"{kind} {name} is missing", hinders=not is_plain))
        elif isinstance(fact, Table) and isinstance(other, Table):
            found += (Difference(kind, name, what) for what in _of_table(name, fact, other))
        elif other != fact:
            found.append(Difference(kind, name, f"{kind} {name} is not as it was made"))
    return found


def _of_table(name: str, expected: Table, actual: Table) -> Iterator[str]:
    """Phrases for the differences of one table."""
    for key, column in expected.columns.items():
        other = actual.columns.get(key)
        if other is None:
            yield f"column {column.name} of table {name} is missing"
        elif other.type.upper() != column.type.upper():
            yield f"column {column.name} of table {name} has {_type(other)}, not {column.type}"
        elif other[2:] != column[2:] or actual.unseen.get(key) != expected.unseen.get(key):
            yield f"column {column.name} of table {name} is not as it was made"
    for key, column in actual.columns.items():
        if key not in expected.columns and column.needs_a_value:
            yield f"column {column.name} of table {name} needs a value, and has no default"
    if actual.layout != expected.layout or not actual.keys >= expected.keys:
        yield f"table {name} is not as it was made"


def _type(column: Column) -> str:
    return f"the type {column.type}" if column.type else "no type"


@cache
def columns_of(version: int) -> tuple[str, ...]:
    """The names of the columns of `completion_requests` in `version` of the schema, in order."""
    db = Database(memory=True, execute_plugins=False)
    try:
        REGISTRY.apply(db, stop_before=NAMES[version:])
        return tuple(db.table("completion_requests").columns_dict)
    finally:
        db.close()


def triggers_of_users(connection: sqlite3.Connection, version: int = CURRENT_SCHEMA_VERSION) -> list[str]:
    """The names of the triggers on our tables of this `version` that are not ours."""
    ours = objects_of(version)
    return [
        name
        for kind, name, table, _ in connection.execute(_OBJECTS)
        if kind == "trigger" and (kind, name) not in ours and ("table", table) in ours
    ]


def objects_of(version: int) -> KeysView[tuple[str, str]]:
    """Type and name of each table, index and trigger in `version` of the schema."""
    return _expected(version).keys()


@cache
def _expected(version: int) -> dict[tuple[str, str], Fact]:
    db = Database(memory=True, execute_plugins=False)
    try:
        REGISTRY.apply(db, stop_before=NAMES[version:])
        objects = {(kind, name) for kind, name, *_ in db.conn.execute(_OBJECTS)}
        return _facts(db.conn, objects)
    finally:
        db.close()


def _facts(connection: sqlite3.Connection, wanted: Container[tuple[str, str]]) -> dict[tuple[str, str], Fact]:
    """Describe the objects that are wanted: a table of the user's may need a module that is not loaded here."""
    facts: dict[tuple[str, str], Fact] = {}
    for kind, name, table, sql in connection.execute(_OBJECTS).fetchall():
        if (kind, name) not in wanted:
            continue
        if kind == "table":
            facts[kind, name] = _table(connection, name, sql)
        elif kind == "index":
            (unique, partial) = connection.execute(_INDEX, (table, name)).fetchone()
            facts[kind, name] = (table, unique, partial, tuple(connection.execute(_INDEX_COLUMNS, (name,))))
        else:
            facts[kind, name] = (table, table_sql.tokens(sql))
    return facts


def _table(connection: sqlite3.Connection, name: str, sql: str) -> Table:
    unseen = {}
    for column, text in table_sql.definitions(sql).items():
        words = table_sql.words(text)
        unseen[column] = tuple(words.count(word) for word in _UNSEEN)
    return Table(
        layout=tuple(connection.execute(_LAYOUT, (name,))),
        columns={key: Column(*rest) for key, *rest in connection.execute(_COLUMNS, (name,))},
        unseen=unseen,
        keys=frozenset(columns for (columns,) in connection.execute(_KEYS, (name,))),
    )
