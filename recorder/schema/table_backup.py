"""Copies of single tables inside the database: `_backup_<table>_v<version>_<YYYYMMDD_HHMMSS_mmm>` (UTC).

For repairs, whose old values should stay at hand; a step of a migration is one transaction and rolls back exactly
without them. `CREATE TABLE ... AS SELECT` would lose keys, constraints and sequences, so the table's own SQL is used.
How its indexes, triggers and sequence were is kept in the table `_llm_metrics_table_backups`, for a person who wants
them back; it is there while there are backups. Only a table that is named like one and is listed there is ours; no
other is touched.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from llm_metrics_proxy.recorder.errors import BackupFailed, RestoreFailed
from llm_metrics_proxy.recorder.store import table_sql

_NAME = re.compile(r"_backup_(?P<table>.+)_v(?P<version>[0-9]+)_(?P<moment>[0-9]{8}_[0-9]{6}_[0-9]{3})", re.DOTALL)
_LIST = """
    CREATE TABLE IF NOT EXISTS _llm_metrics_table_backups (
        name TEXT PRIMARY KEY,
        sequence INTEGER,
        statements TEXT NOT NULL,
        is_protecting INTEGER NOT NULL
    )
"""  # the last column is always 0: a database of release 0.1.0 may have the table already
_ADD = "INSERT INTO _llm_metrics_table_backups (name, sequence, statements, is_protecting) VALUES (?, ?, ?, 0)"
_TABLE_SQL = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
_STATEMENTS = """
    SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid
"""
_COLUMNS = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0"
_SEQUENCE = "SELECT seq FROM sqlite_sequence WHERE name = ?"
_LISTED = "SELECT name FROM _llm_metrics_table_backups ORDER BY name"


class TableBackup(msgspec.Struct, frozen=True):
    """A copy of `table`, of a database of that schema `version`."""

    name: str
    table: str
    version: int


def save(connection: sqlite3.Connection, table: str, *, version: int) -> str:
    """Copy `table`, of a database of that schema `version`, and return the copy's name; joins the caller's transaction.

    Raises:
        BackupFailed: there is no such table, or it is a virtual one.
        sqlite3.Error: nothing was saved.
    """
    found_sql = connection.execute(_TABLE_SQL, (table,)).fetchone()
    if found_sql is None or not table_sql.is_plain(found_sql[0]):
        raise BackupFailed(what=f"There is no table {table} that can be copied", cure="give the name of a plain table")
    with transaction(connection):
        name = _new_name(connection, table, version)
        statements = [found_sql[0], *(sql for (sql,) in connection.execute(_STATEMENTS, (table,)))]
        sequence = _sequence(connection, table)
        connection.execute(table_sql.renamed(found_sql[0], name))
        _copy_rows(connection, table, name)
        _set_sequence(connection, name, sequence)
        connection.execute(_LIST)
        connection.execute(_ADD, (name, sequence, json.dumps(statements)))
    return name


def drop(connection: sqlite3.Connection, name: str) -> None:
    """Remove the copy `name`; joins the caller's transaction.

    Raises:
        RestoreFailed: there is no such copy.
    """
    _chosen(connection, name)
    with transaction(connection):
        connection.execute(f"DROP TABLE {quoted(name)}")
        connection.execute("DELETE FROM _llm_metrics_table_backups WHERE name = ?", (name,))
        if connection.execute("SELECT 1 FROM _llm_metrics_table_backups").fetchone() is None:
            connection.execute("DROP TABLE _llm_metrics_table_backups")


def found(connection: sqlite3.Connection) -> list[TableBackup]:
    """The copies in the database, by name."""
    if connection.execute(_TABLE_SQL, ("_llm_metrics_table_backups",)).fetchone() is None:
        return []
    copies = []
    for (name,) in connection.execute(_LISTED).fetchall():
        match = _NAME.fullmatch(name)
        if match and connection.execute(_TABLE_SQL, (name,)).fetchone():
            copies.append(TableBackup(name, match["table"], int(match["version"])))
    return copies


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing: a savepoint in the caller's transaction, or a transaction of its own."""
    joined = connection.in_transaction
    begin, end, undo = (
        ("SAVEPOINT table_backup", "RELEASE table_backup", "ROLLBACK TO table_backup")
        if joined
        else ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
    )
    connection.execute(begin)
    try:
        yield
        connection.execute(end)
    except BaseException:  # raised again: whatever ended it, nothing half done may stay
        if connection.in_transaction:  # some errors end it by themselves
            connection.execute(undo)
            if joined:
                connection.execute(end)
        raise


def quoted(name: str) -> str:
    """`name` as it stands in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _chosen(connection: sqlite3.Connection, name: str) -> list[TableBackup]:
    chosen = [copy for copy in found(connection) if copy.name == name]
    if not chosen:
        raise RestoreFailed(what=f"There is no backup of a table called {name}", cure="choose one that is there")
    return chosen


def _new_name(connection: sqlite3.Connection, table: str, version: int) -> str:
    while True:
        moment = datetime.now(UTC)
        name = f"_backup_{table}_v{version}_{moment:%Y%m%d_%H%M%S}_{moment.microsecond // 1000:03d}"
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is None:
            return name


def _copy_rows(connection: sqlite3.Connection, source: str, target: str) -> None:
    # Generated columns cannot be written: they come out the same again.
    columns = ", ".join(quoted(column) for (column,) in connection.execute(_COLUMNS, (source,)))
    statement = f"INSERT INTO {quoted(target)} ({columns}) SELECT {columns} FROM {quoted(source)}"  # noqa: S608 - quoted
    connection.execute(statement)


def _sequence(connection: sqlite3.Connection, table: str) -> int | None:
    if connection.execute(_TABLE_SQL, ("sqlite_sequence",)).fetchone() is None:
        return None
    row = connection.execute(_SEQUENCE, (table,)).fetchone()
    return None if row is None else int(row[0])


def _set_sequence(connection: sqlite3.Connection, table: str, sequence: int | None) -> None:
    if connection.execute(_TABLE_SQL, ("sqlite_sequence",)).fetchone() is None:
        return
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
    if sequence is not None:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, sequence))
