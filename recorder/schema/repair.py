"""Give a database the schema of its version again, after another program changed it.

`sqlite-utils transform`, for example, turns BOOLEAN into REAL and forgets collations. Each table that differs is
copied as it is (see table_backup.py), made again from the registry's own SQL and the definitions of the columns that
users added, and filled from that copy; the columns' types cast the values back (1.0 becomes 1).

All of it is one transaction, so that a failure leaves everything as it was, also what recorders wrote until then. They
spill their events while it takes.
"""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from sqlite_utils import Database

from llm_metrics_proxy.migrations import NAMES, REGISTRY
from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.backup import retention
from llm_metrics_proxy.recorder.errors import MigrationFailed, RecorderError
from llm_metrics_proxy.recorder.schema import table_backup
from llm_metrics_proxy.recorder.schema.table_backup import quoted
from llm_metrics_proxy.recorder.store import database, identity, table_sql

_CURE = "put a backup back with llm-metrics restore, or change by hand what does not fit"

_OURS = """
    SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND tbl_name <> '_sqlite_migrations'
"""
_THEIRS = """
    SELECT type, name, sql FROM sqlite_master
    WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid
"""
_SQL = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
_COLUMNS = 'SELECT name, type, "notnull" AND dflt_value IS NULL, hidden FROM pragma_table_xinfo(?)'
type Objects = dict[tuple[str, str], tuple[str, str]]  # (type, name): (table, SQL)


class Repaired(msgspec.Struct, frozen=True):
    """The result of a repair. `backup` is None if there was nothing to do.

    `dropped` are the users' indexes and triggers that could not stay, and `locked_seconds` is how long nobody else
    could write.
    """

    path: Path
    backup: Path | None
    tables: tuple[str, ...]
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
        with closing(database.open_for_start(path, timeout=database.START_SECONDS)) as connection:
            version = identity.claimed_version(connection, path)
            identity.check_pages(connection, path)
            if version == 0 or not identity.differences(connection, version):
                identity.version_of(connection, path)  # what a repair does not mend has its own sentence
                return Repaired(path, None, (), (), 0, 0.0)
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
        done = Rebuilding(connection, version)
        done.run()
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
    return Repaired(path, saved, tuple(done.tables), tuple(done.dropped), done.rows, locked)


class Rebuilding:
    """The changes to one database, in the caller's transaction, and what they were."""

    def __init__(self, connection: sqlite3.Connection, version: int) -> None:
        """Change nothing yet; `version` is the schema's."""
        self.tables: list[str] = []
        self.dropped: list[str] = []
        self.rows = 0
        self._connection = connection
        self._version = version
        self._expected = _expected(version)

    def run(self) -> None:
        """Make everything that the registry makes as it makes it.

        Raises:
            MigrationFailed: rows would get lost.
            sqlite3.Error: the rows do not fit; either way the caller has to roll back.
        """
        if not self._is_table("completion_requests"):
            what = "There is no table completion_requests any more, and an empty one would be none of what it was"
            raise MigrationFailed(what=what, cure="give it its name back, or run llm-metrics restore")
        for (kind, name), (_, sql) in self._expected.items():
            if kind == "table" and self._differs("table", name):
                self._rebuild(name, sql)
        for (kind, name), (_, sql) in self._expected.items():
            if kind != "table" and self._differs(kind, name):
                self._connection.execute(f"DROP {kind} IF EXISTS {quoted(name)}")
                self._connection.execute(sql)

    def _differs(self, kind: str, name: str) -> bool:
        differences = identity.differences(self._connection, self._version)
        return any((one.kind, one.name) == (kind, name) for one in differences)

    def _rebuild(self, table: str, sql: str) -> None:
        self.tables.append(table)
        if not self._is_table(table):
            if self._columns(table):
                raise MigrationFailed(what=f"{table} is a view and no table", cure="drop it, or give it another name")
            self._connection.execute(sql)
            return
        objects = self._connection.execute(_THEIRS, (table,)).fetchall()
        with_columns = self._with_columns_of(table, sql)
        copy = table_backup.save(self._connection, table, version=self._version)
        self._connection.execute(f"DROP TABLE {quoted(table)}")
        self._connection.execute(with_columns)
        self._fill(table, copy)
        for kind, name, statement in objects:
            if (kind, name) in self._expected:
                self._connection.execute(self._expected[kind, name][1])
            elif not self._applies(table, statement):
                self.dropped.append(f"{kind} {name}")

    def _with_columns_of(self, table: str, sql: str) -> str:
        """Return `sql`, which makes our table, with the columns that users added to the present one."""
        ours = table_sql.definitions(sql)
        (present,) = self._connection.execute(_SQL, (table,)).fetchone()
        defined = table_sql.definitions(present)
        added = []
        for name, kind, needs_a_value, _ in self._connection.execute(_COLUMNS, (table,)):
            if name.lower() not in ours:
                plain = f"{quoted(name)} {kind}"
                added.append(plain if needs_a_value else defined.get(name.lower(), plain))
        last = [text for column, text in ours.items() if column][-1]  # constraints of the table have to come after it
        return sql.replace(last, "\n, ".join([last, *added]), 1)

    def _fill(self, table: str, copy: str) -> None:
        old = self._columns(copy)
        both = ", ".join(quoted(column) for column in self._columns(table, hidden=False) if column in old)
        statement = f"INSERT INTO {quoted(table)} ({both}) SELECT {both} FROM {quoted(copy)}"  # noqa: S608
        self._connection.execute(statement)
        rows, expected = self._count(table), self._count(copy)
        if rows != expected:
            what = f"Of the {expected} rows of {table} only {rows} could be kept"
            raise MigrationFailed(what=what, cure="put a backup back with llm-metrics restore")
        self.rows += rows
        # Ids that pruning made free are not given out again.
        before = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (copy,)).fetchone()
        if before:
            update = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
            self._connection.execute(update, (before[0], table))
        table_backup.drop(self._connection, copy)

    def _applies(self, table: str, statement: str) -> bool:
        """Make a user's index or trigger again, unless it needs what the table does not have."""
        columns = [quoted(column) for column in self._columns(table, hidden=False)]
        uses = (  # of no row
            f"INSERT INTO {quoted(table)} ({columns[0]}) SELECT 1 WHERE 0",
            f"UPDATE {quoted(table)} SET {', '.join(f'{column} = NULL' for column in columns)} WHERE 0",  # noqa: S608
            f"DELETE FROM {quoted(table)} WHERE 0",  # noqa: S608 - quoted
        )
        self._connection.execute("SAVEPOINT one")
        try:
            self._connection.execute(statement)
            for use in uses:  # SQLite looks into a trigger only when it is used
                self._connection.execute(use)
        except sqlite3.OperationalError:
            self._connection.execute("ROLLBACK TO one")
            return False
        finally:
            self._connection.execute("RELEASE one")
        return True

    def _is_table(self, name: str) -> bool:
        return self._connection.execute(_SQL, (name,)).fetchone() is not None

    def _columns(self, table: str, *, hidden: bool = True) -> list[str]:
        found = self._connection.execute(_COLUMNS, (table,))
        return [name for name, _, _, is_hidden in found if hidden or not is_hidden]

    def _count(self, table: str) -> int:
        (count,) = self._connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()  # noqa: S608 - quoted
        return int(count)


def _expected(version: int) -> Objects:
    """The registry's objects, as the SQL that makes them."""
    db = Database(memory=True, execute_plugins=False)
    try:
        REGISTRY.apply(db, stop_before=NAMES[version:])
        return {(kind, name): (table, sql) for kind, name, table, sql in db.conn.execute(_OURS) if sql}
    finally:
        db.close()
