"""Give a database the schema of its version again, after another program changed it.

`sqlite-utils transform`, for example, turns BOOLEAN into REAL and forgets collations. Each table that differs is
copied as it is (see table_backup.py), made again from the registry's own SQL, and filled from that copy; the columns'
types cast the values back (1.0 becomes 1). A copy with columns that have no place any more stays.

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
from llm_metrics_proxy.recorder.store import database, identity

_CURE = "put a backup back with llm-metrics restore, or change by hand what does not fit"

_OURS = """
    SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND tbl_name <> '_sqlite_migrations'
"""
_THEIRS = """
    SELECT type, name, sql FROM sqlite_master
    WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid
"""
_UNIQUE = "SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND origin = 'c'"
_COLUMNS = "SELECT name FROM pragma_table_xinfo(?)"
type Objects = dict[tuple[str, str], tuple[str, str]]  # (type, name): (table, SQL)


class Repaired(msgspec.Struct, frozen=True):
    """The result of a repair. `backup` is None if there was nothing to do.

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
        with closing(database.open_for_start(path, timeout=database.START_SECONDS)) as connection:
            version = identity.claimed_version(connection, path)
            identity.check_pages(connection, path)
            if version == 0 or not identity.differences(connection, version):
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
    return Repaired(path, saved, tuple(done.tables), tuple(done.kept), tuple(done.dropped), done.rows, locked)


class Rebuilding:
    """The changes to one database, in the caller's transaction, and what they were."""

    def __init__(self, connection: sqlite3.Connection, version: int) -> None:
        """Change nothing yet; `version` is the schema's."""
        self.tables: list[str] = []
        self.kept: list[str] = []
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
        for (kind, name), (_, sql) in self._expected.items():
            if kind == "table":
                self._drop_unique_indexes(name)
                if self._differs("table", name):
                    self._rebuild(name, sql)
        for (kind, name), (_, sql) in self._expected.items():
            if kind != "table" and self._differs(kind, name):
                self._connection.execute(f"DROP {kind} IF EXISTS {quoted(name)}")
                self._connection.execute(sql)

    def _differs(self, kind: str, name: str) -> bool:
        phrases = (f"{kind} {name} is missing", f"{kind} {name} is not as it was made")
        return any(phrase in phrases for phrase in identity.differences(self._connection, self._version))

    def _drop_unique_indexes(self, table: str) -> None:
        for (name,) in self._connection.execute(_UNIQUE, (table,)).fetchall():
            if ("index", name) not in self._expected:
                self._connection.execute(f"DROP INDEX {quoted(name)}")
                self.dropped.append(f"unique index {name}")

    def _rebuild(self, table: str, sql: str) -> None:
        self.tables.append(table)
        if not self._columns(table):
            self._connection.execute(sql)
            return
        objects = self._connection.execute(_THEIRS, (table,)).fetchall()
        copy = table_backup.save(self._connection, table, version=self._version)
        self._connection.execute(f"DROP TABLE {quoted(table)}")
        self._connection.execute(sql)
        self._fill(table, copy)
        for kind, name, statement in objects:
            if (kind, name) in self._expected:
                self._connection.execute(self._expected[kind, name][1])
            elif not self._applies(table, statement):
                self.dropped.append(f"{kind} {name}")

    def _fill(self, table: str, copy: str) -> None:
        columns, old = self._columns(table), self._columns(copy)
        both = ", ".join(quoted(column) for column in columns if column in old)
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
        if set(old) - set(columns):
            self.kept.append(copy)
        else:
            table_backup.drop(self._connection, copy)

    def _applies(self, table: str, statement: str) -> bool:
        """Make a user's index or trigger again, unless it needs what the table does not have."""
        columns = [quoted(column) for column in self._columns(table)]
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

    def _columns(self, table: str) -> list[str]:
        return [name for (name,) in self._connection.execute(_COLUMNS, (table,))]

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
