"""Copies of tables inside the database: exact, and never a table of a user's."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.errors import BackupFailed, RestoreFailed
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.schema import table_backup
from llm_metrics_proxy.recorder.store.identity import differences

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
    assert table_backup.found(connection) == [table_backup.TableBackup(name, "things", 2)]
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


@pytest.mark.parametrize("spelled", ['"odd ""name"""', "[odd name]", "`odd`", "odd", '"_v2_"'])
def test_every_spelling_of_a_name_can_be_copied(connection: sqlite3.Connection, spelled: str) -> None:
    connection.execute(f"CREATE TABLE {spelled}(a PRIMARY KEY) WITHOUT ROWID")
    connection.execute(f"INSERT INTO {spelled} VALUES (1)")  # noqa: S608 - made here
    (table,) = connection.execute("SELECT name FROM sqlite_master ORDER BY rowid DESC LIMIT 1").fetchone()
    name = table_backup.save(connection, table, version=2)
    copy = table_backup.quoted(name)
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    assert sql == f"CREATE TABLE {copy}(a PRIMARY KEY) WITHOUT ROWID"
    assert connection.execute(f"SELECT * FROM {copy}").fetchall() == [(1,)]  # noqa: S608 - made here


def test_a_users_table_of_such_a_name_is_never_touched(connection: sqlite3.Connection) -> None:
    theirs = "_backup_things_v2_20260101_000000_000"
    connection.execute(f"CREATE TABLE {theirs} (a)")
    assert table_backup.found(connection) == []
    ours = table_backup.save(connection, "things", version=2)
    with pytest.raises(RestoreFailed, match="There is no backup of a table"):
        table_backup.drop(connection, theirs)
    table_backup.drop(connection, ours)
    assert names(connection) == [theirs]


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_copy_joins_the_transaction_of_the_caller_and_goes_with_it(
    connection: sqlite3.Connection, *, in_transaction: bool
) -> None:
    if in_transaction:
        connection.execute("BEGIN IMMEDIATE")
    table_backup.save(connection, "things", version=2)
    assert connection.in_transaction is in_transaction
    if in_transaction:
        connection.execute("ROLLBACK")
    assert bool(names(connection)) is not in_transaction


def test_how_indexes_triggers_and_ids_were_stands_beside_the_copy(connection: sqlite3.Connection) -> None:
    name = table_backup.save(connection, "things", version=2)
    select = "SELECT sequence, statements FROM _llm_metrics_table_backups WHERE name = ?"
    sequence, statements = connection.execute(select, (name,)).fetchone()
    assert sequence == 3
    (table, *others) = [statement.split("(")[0].split()[1:3] for statement in json.loads(statements)]
    assert table == ["TABLE", "things"]
    assert others == [["INDEX", "things_size"], ["TRIGGER", "things_added"]]


def test_a_list_of_copies_that_the_release_before_made_takes_new_ones(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE _llm_metrics_table_backups "
        "(name TEXT PRIMARY KEY, sequence INTEGER, statements TEXT NOT NULL, is_protecting INTEGER NOT NULL)"
    )
    name = table_backup.save(connection, "things", version=2)
    assert [copy.name for copy in table_backup.found(connection)] == [name]


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


def test_a_copy_of_our_table_does_not_change_the_schema(current_db: Path) -> None:
    with closing(sqlite3.connect(current_db, isolation_level=None)) as connection:
        name = table_backup.save(connection, "completion_requests", version=2)
        assert differences(connection, CURRENT_SCHEMA_VERSION) == []
        assert table_backup.found(connection) == [table_backup.TableBackup(name, "completion_requests", 2)]
    Recorder(current_db).open()
