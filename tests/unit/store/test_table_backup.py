"""Copies of tables inside the database: exact, put back exactly, and never a table of a user's."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.errors import BackupFailed, RestoreFailed
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.schema import table_backup
from llm_metrics_proxy.recorder.schema.table_protection import protecting, recover
from llm_metrics_proxy.recorder.store.expected_schema import differences

THINGS = """
CREATE TABLE things (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL COLLATE NOCASE DEFAULT ('thing' || 1),
    size INTEGER CHECK (size > 0),
    doubled INTEGER GENERATED ALWAYS AS (size * 2) STORED,
    parent INTEGER REFERENCES things(id),
    UNIQUE (name, size)
);
CREATE INDEX things_size ON things(size) WHERE size > 1;
CREATE TABLE log (text);
CREATE TRIGGER things_added AFTER INSERT ON things BEGIN INSERT INTO log VALUES (new.name); END;
CREATE VIEW large AS SELECT name FROM things WHERE size > 1;
CREATE TABLE parts (thing INTEGER REFERENCES things(id));
INSERT INTO things (name, size, parent) VALUES ('a', 1, NULL), ('b', 2, 1), ('c', 3, 2);
DELETE FROM things WHERE name = 'c';
INSERT INTO parts VALUES (1), (2);
DELETE FROM log;
"""
EVERYTHING = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE '%_backup%' ORDER BY type, name"


def state(connection: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
    statements = [
        EVERYTHING,
        "SELECT * FROM things",
        "SELECT * FROM large",
        "SELECT * FROM parts",
        "SELECT * FROM log",
        "SELECT * FROM sqlite_sequence WHERE name NOT LIKE '%_backup%' ORDER BY name",
        "PRAGMA foreign_key_check",
        "PRAGMA integrity_check",
    ]
    return [connection.execute(statement).fetchall() for statement in statements]


@pytest.fixture
def connection(db_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(db_path, isolation_level=None)) as opened:
        opened.executescript(THINGS)
        opened.execute("PRAGMA foreign_keys=ON")
        yield opened


def names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%_backup%'")]


def test_a_copy_has_its_name_and_keeps_what_the_table_promises(connection: sqlite3.Connection) -> None:
    name = table_backup.save(connection, "things", version=2)
    assert table_backup.found(connection) == [table_backup.TableBackup(name, "things", 2, is_protecting=False)]
    prefix, _, moment = name.partition("_v2_")
    assert prefix == "_backup_things"
    assert [len(part) for part in moment.split("_")] == [8, 6, 3]
    assert connection.execute(f'SELECT * FROM "{name}"').fetchall() == [  # noqa: S608 - made here
        (1, "a", 1, 2, None),
        (2, "b", 2, 4, 1),
    ]
    insert = f'INSERT INTO "{name}" (name, size) VALUES (?, ?)'  # noqa: S608 - made here
    for values in ((None, 1), ("d", 0), ("B", 2)):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(insert, values)
    assert connection.execute(f"{insert} RETURNING id", ("d", 4)).fetchall() == [(4,)]  # 3 was given out before
    assert connection.execute("SELECT * FROM log").fetchall() == []


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_table_is_put_back_exactly(connection: sqlite3.Connection, *, in_transaction: bool) -> None:
    before = state(connection)
    name = table_backup.save(connection, "things", version=2)
    connection.executescript(
        "PRAGMA foreign_keys=OFF; DROP TABLE things; CREATE TABLE things (x); INSERT INTO things VALUES (1)"
    )
    connection.execute("PRAGMA foreign_keys=ON")
    if in_transaction:
        connection.execute("BEGIN IMMEDIATE")
    table_backup.put_back(connection, name)
    table_backup.drop(connection, name)
    if in_transaction:
        assert connection.in_transaction
        connection.execute("COMMIT")
    assert state(connection) == before
    assert names(connection) == []
    assert connection.execute("INSERT INTO things (size) VALUES (9) RETURNING id, name").fetchall() == [(4, "thing1")]
    assert connection.execute("SELECT * FROM log").fetchall() == [("thing1",)]


def test_rows_that_refer_to_the_table_stay_while_foreign_keys_are_enforced(connection: sqlite3.Connection) -> None:
    before = state(connection)
    name = table_backup.save(connection, "things", version=2)
    connection.execute("UPDATE things SET size = size + 10")
    connection.execute("BEGIN IMMEDIATE")
    table_backup.put_back(connection, name)
    connection.execute("COMMIT")
    assert state(connection) == before


def test_rows_that_would_go_with_the_table_are_a_reason_to_refuse(connection: sqlite3.Connection) -> None:
    connection.executescript(
        "CREATE TABLE notes (thing REFERENCES things(id) ON DELETE CASCADE); INSERT INTO notes VALUES (1)"
    )
    name = table_backup.save(connection, "things", version=2)
    with pytest.raises(RestoreFailed, match="foreign keys would change notes"):
        table_backup.put_back(connection, name)
    connection.execute("PRAGMA foreign_keys=OFF")
    table_backup.put_back(connection, name)
    assert connection.execute("SELECT * FROM notes").fetchall() == [(1,)]


@pytest.mark.parametrize("spelled", ['"odd ""name"""', "[odd name]", "`odd`", "odd", '"_v2_"'])
def test_every_spelling_of_a_name_can_be_copied(connection: sqlite3.Connection, spelled: str) -> None:
    connection.execute(f"CREATE TABLE {spelled}(a PRIMARY KEY) WITHOUT ROWID")
    connection.execute(f"INSERT INTO {spelled} VALUES (1)")  # noqa: S608 - made here
    (table,) = connection.execute("SELECT name FROM sqlite_master ORDER BY rowid DESC LIMIT 1").fetchone()
    before = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    name = table_backup.save(connection, table, version=2)
    connection.execute(f"DROP TABLE {spelled}")
    table_backup.put_back(connection, name)
    assert connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone() == before
    assert connection.execute(f"SELECT * FROM {spelled}").fetchall() == [(1,)]  # noqa: S608 - made here


def test_a_users_table_of_such_a_name_is_never_touched(connection: sqlite3.Connection) -> None:
    theirs = "_backup_things_v2_20260101_000000_000"
    connection.execute(f"CREATE TABLE {theirs} (a)")
    assert table_backup.found(connection) == []
    table_backup.save(connection, "things", version=2, is_protecting=True)
    for refused in (table_backup.put_back, table_backup.drop):
        with pytest.raises(RestoreFailed, match="There is no backup of a table"):
            refused(connection, theirs)
    assert recover(connection) == ["things"]
    assert names(connection) == [theirs]


def test_what_cannot_be_copied_is_one_sentence(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    for name in ("nothing", "large", "words"):
        with pytest.raises(BackupFailed, match=f"There is no table {name} that can be copied"):
            table_backup.save(connection, name, version=2)
    assert names(connection) == []


def test_a_copy_that_fails_leaves_nothing_of_itself(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count=1")  # it cannot grow any more
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE things SET size = 7 WHERE id = 1")
    with pytest.raises(sqlite3.OperationalError):
        table_backup.save(connection, "things", version=2)
    assert names(connection) == []


class Stopped(Exception):  # noqa: N818
    pass


def damage(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute("DROP TABLE things")
    connection.execute("DROP TABLE log")


def test_protected_tables_are_back_when_the_step_fails(connection: sqlite3.Connection) -> None:
    before = state(connection)
    with pytest.raises(Stopped), protecting(connection, ["things", "log"], version=2) as copies:  # noqa: PT012
        damage(connection)
        assert len(copies) == 2
        raise Stopped
    assert state(connection) == before
    assert names(connection) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_protected_tables_are_back_also_in_the_middle_of_a_transaction(
    connection: sqlite3.Connection, error: type[BaseException]
) -> None:
    before = state(connection)
    with pytest.raises(error), protecting(connection, ["things"], version=2):  # noqa: PT012 - as a step would
        connection.execute("DELETE FROM parts")
        connection.execute("INSERT INTO parts VALUES (1), (2)")
        connection.execute("BEGIN")
        connection.execute("UPDATE things SET size = 99")
        raise error
    assert state(connection) == before
    assert names(connection) == []


def test_copies_are_gone_when_the_step_succeeds(connection: sqlite3.Connection) -> None:
    with protecting(connection, ["things"], version=2) as (name,):
        assert name in names(connection)
        connection.execute("UPDATE things SET size = 50 WHERE id = 1")
    assert names(connection) == []
    assert connection.execute("SELECT size FROM things WHERE id = 1").fetchone() == (50,)


def test_protection_inside_of_a_transaction_is_refused(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    with pytest.raises(BackupFailed, match="inside of a transaction"), protecting(connection, ["things"], version=2):
        pass


KILLED = """
import os, signal, sqlite3, sys
sys.path.insert(0, sys.argv[2])
from llm_metrics_proxy.recorder.schema.table_protection import protecting
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
with protecting(connection, ["things", "log"], version=2):
    connection.execute("UPDATE things SET name = 'half done'")
    connection.execute("DROP TABLE log")
    if sys.argv[3] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print("ready", flush=True)
    sys.stdin.read()
"""


def _arguments(path: Path, what: str) -> list[str]:
    return [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parents[3]), what]


def test_what_a_killed_step_left_is_put_back_at_the_next_start(connection: sqlite3.Connection, db_path: Path) -> None:
    before = state(connection)
    assert subprocess.run(_arguments(db_path, "kill"), check=False).returncode == -signal.SIGKILL
    assert connection.execute("SELECT DISTINCT name FROM things").fetchall() == [("half done",)]
    assert recover(connection) == ["log", "things"]
    assert state(connection) == before
    assert names(connection) == []
    assert recover(connection) == []


def test_a_step_that_runs_is_left_alone(connection: sqlite3.Connection, db_path: Path) -> None:
    with subprocess.Popen(_arguments(db_path, "wait"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        assert recover(connection) == []
        with pytest.raises(BackupFailed, match="Another process"), protecting(connection, ["parts"], version=2):
            pass
        other.kill()
    assert recover(connection) == ["log", "things"]


def test_copies_that_were_made_to_be_kept_are_no_left_overs(connection: sqlite3.Connection) -> None:
    name = table_backup.save(connection, "things", version=2)
    connection.execute("UPDATE things SET size = 50 WHERE id = 1")
    assert recover(connection) == []
    assert name in names(connection)


def test_a_copy_of_our_table_does_not_change_the_schema(current_db: Path) -> None:
    with closing(sqlite3.connect(current_db, isolation_level=None)) as connection:
        name = table_backup.save(connection, "completion_requests", version=2)
        assert differences(connection, 2) == []
        connection.execute("DROP TABLE completion_requests")
        table_backup.put_back(connection, name)
        assert differences(connection, 2) == []
    Recorder(current_db).open()
