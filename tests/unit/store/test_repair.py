"""Repairs: after another program changed our tables they are ours again, with every row, or nothing has changed."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.errors import BackupFailed, DatabaseRefused, MigrationFailed
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.schema import table_backup
from llm_metrics_proxy.recorder.schema.repair import Repaired, repair
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.identity import differences
from tests.support.database import ask

INSERT = """
    INSERT INTO completion_requests
        (timestamp, success, status_code, response_time_ms, is_streaming, model, event_id, temperature)
    VALUES ('2026-03-01T12:00:00.000Z', 1, 200, 7, 0, ?, ?, 0.5)
"""


@pytest.fixture
def filled(current_db: Path, tmp_path: Path) -> Path:
    (tmp_path / "saved").mkdir()
    with closing(open_writer(current_db)) as connection:
        connection.executemany(INSERT, [("gpt-5", f"{number:032x}") for number in range(50)])
        connection.execute("DELETE FROM completion_requests WHERE id > 40")
    return current_db


def run(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def is_ours(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return differences(connection, CURRENT_SCHEMA_VERSION) == []


def test_a_transform_is_undone_and_the_values_are_what_they_were(filled: Path, tmp_path: Path) -> None:
    before = ask(filled, "SELECT * FROM completion_requests")
    kinds = ask(filled, "SELECT DISTINCT typeof(success), typeof(temperature) FROM completion_requests")
    with closing(sqlite3.connect(filled)) as connection:
        Database(connection, execute_plugins=False).table("completion_requests").transform(types={"model": str})
    assert not is_ours(filled)
    assert ask(filled, "SELECT typeof(success) FROM completion_requests LIMIT 1") == [("real",)]
    done = repair(filled, backup_dir=tmp_path / "saved")
    assert is_ours(filled)
    assert ask(filled, "SELECT * FROM completion_requests") == before
    assert ask(filled, "SELECT DISTINCT typeof(success), typeof(temperature) FROM completion_requests") == kinds
    assert (done.tables, done.rows, done.dropped) == (("completion_requests",), 40, ())
    assert done.backup is not None
    assert 0 < done.locked_seconds < 10
    assert ask(done.backup, "SELECT typeof(success) FROM completion_requests LIMIT 1") == [("real",)]
    assert ask(filled, "SELECT name FROM sqlite_master WHERE name LIKE '%\\_backup%' ESCAPE '\\'") == []
    Recorder(filled).open()
    with closing(open_writer(filled)) as connection:
        assert connection.execute(f"{INSERT} RETURNING id", ("gpt-5", "f" * 32)).fetchall() == [(51,)]


def test_where_nothing_was_changed_nothing_is_done(filled: Path, tmp_path: Path) -> None:
    assert repair(filled, backup_dir=tmp_path / "saved") == Repaired(filled, None, (), (), 0, 0.0)
    assert list((tmp_path / "saved").iterdir()) == []


CHANGES = [
    "DROP INDEX completion_requests_event_id",
    "DROP INDEX completion_requests_timestamp; CREATE INDEX completion_requests_timestamp ON completion_requests(id)",
    "DROP TABLE unrecognised",
    "DROP TABLE recorder_counters; CREATE TABLE recorder_counters (process, name, value, updated_at)",
    "CREATE TABLE s AS SELECT * FROM schema_version; DROP TABLE schema_version; ALTER TABLE s RENAME TO schema_version",
    "ALTER TABLE completion_requests DROP COLUMN user_agent",
]


@pytest.mark.parametrize("script", CHANGES)
def test_what_is_missing_or_different_is_made_again(filled: Path, tmp_path: Path, script: str) -> None:
    run(filled, script)
    assert not is_ours(filled)
    repair(filled, backup_dir=tmp_path / "saved")
    assert is_ours(filled)
    assert ask(filled, "SELECT count(*), sum(id) FROM completion_requests") == [(40, 820)]
    Recorder(filled).open()


def test_what_users_added_stays_as_far_as_it_works(filled: Path, tmp_path: Path) -> None:
    run(
        filled,
        """
        CREATE TABLE notes (call INTEGER REFERENCES completion_requests(id) ON DELETE CASCADE, text);
        INSERT INTO notes VALUES (1, 'precious');
        ALTER TABLE completion_requests ADD COLUMN mine TEXT COLLATE NOCASE DEFAULT 'a, b)';
        ALTER TABLE completion_requests ADD COLUMN "long, (one" AS (length(mine)) VIRTUAL;
        UPDATE completion_requests SET mine = 'my ' || id;
        CREATE INDEX by_model ON completion_requests(model);
        CREATE INDEX by_mine ON completion_requests(mine);
        CREATE UNIQUE INDEX only_once ON completion_requests(id, model);
        CREATE UNIQUE INDEX elsewhere ON unrecognised(host);
        CREATE TRIGGER good AFTER INSERT ON completion_requests BEGIN INSERT INTO notes VALUES (new.id, 'new'); END;
        CREATE VIEW slow AS SELECT id FROM completion_requests WHERE response_time_ms > 5;
        ALTER TABLE completion_requests DROP COLUMN parent_span_id;
        ALTER TABLE completion_requests RENAME COLUMN user_agent TO caller;
        CREATE TRIGGER bad AFTER UPDATE ON completion_requests BEGIN INSERT INTO gone VALUES (new.mine); END;
        """,
    )
    done = repair(filled, backup_dir=tmp_path / "saved")
    assert is_ours(filled)
    assert done.dropped == ("trigger bad",)
    assert done.tables == ("completion_requests",)
    assert ask(filled, "SELECT * FROM notes") == [(1, "precious")]
    assert ask(filled, "SELECT count(*) FROM slow") == [(40,)]
    found = ask(filled, 'SELECT mine, "long, (one", mine = upper(mine), caller FROM completion_requests WHERE id = 3')
    assert found == [("my 3", 4, 1, None)]
    names = {name for (name,) in ask(filled, "SELECT name FROM sqlite_master")}
    assert {"by_model", "by_mine", "only_once", "elsewhere", "good", "slow"} < names
    with closing(open_writer(filled)) as connection:
        connection.execute(INSERT, ("gpt-5", "f" * 32))
        connection.execute("UPDATE completion_requests SET model = 'x'")
        assert connection.execute("SELECT * FROM notes").fetchall() == [(1, "precious"), (51, "new")]
        assert connection.execute("SELECT mine FROM completion_requests WHERE id = 51").fetchone() == ("a, b)",)
        assert table_backup.found(connection) == []


def test_a_column_of_a_user_that_would_refuse_every_call_keeps_its_values_without_that(
    filled: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        table = Database(connection, execute_plugins=False).table("completion_requests")
        table.add_column("mine", str)
        connection.execute("UPDATE completion_requests SET mine = 'my ' || id")
        connection.commit()
        table.transform(not_null={"mine"})
    with pytest.raises(DatabaseRefused, match="was changed by another program"):
        Recorder(filled).open()
    repair(filled, backup_dir=tmp_path / "saved")
    Recorder(filled).open()
    assert ask(filled, "SELECT mine FROM completion_requests WHERE id = 7") == [("my 7",)]


def _drop_not_null(path: Path) -> None:
    tables = "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'"
    run(path, f"PRAGMA writable_schema=ON; {tables}")
    run(path, "UPDATE completion_requests SET timestamp = NULL WHERE id = 7")


def _repeat_an_event(path: Path) -> None:
    run(path, "DROP INDEX completion_requests_event_id; UPDATE completion_requests SET event_id = 'x' WHERE id < 3")


@pytest.mark.parametrize("spoil", [_drop_not_null, _repeat_an_event])
def test_rows_that_do_not_fit_are_a_reason_to_change_nothing(
    filled: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(filled)
    before = ask(filled, "SELECT sql FROM sqlite_master"), ask(filled, "SELECT * FROM completion_requests")
    with pytest.raises(MigrationFailed, match="since its rows do not fit the schema") as failure:
        repair(filled, backup_dir=tmp_path / "saved")
    assert "\n" not in str(failure.value)
    assert (ask(filled, "SELECT sql FROM sqlite_master"), ask(filled, "SELECT * FROM completion_requests")) == before
    assert len(list((tmp_path / "saved").glob("*.backup"))) == 1


def test_a_repair_that_does_not_make_it_ours_changes_nothing(filled: Path, tmp_path: Path) -> None:
    run(filled, "DROP INDEX completion_requests_event_id; DELETE FROM schema_version")
    with pytest.raises(DatabaseRefused, match="its records of the schema version disagree"):
        repair(filled, backup_dir=tmp_path / "saved")
    assert not is_ours(filled)


@pytest.mark.parametrize(
    "script",
    [
        "ALTER TABLE completion_requests RENAME TO mine",
        "DROP TABLE completion_requests",
        """
        ALTER TABLE completion_requests RENAME TO mine;
        CREATE VIEW completion_requests AS SELECT * FROM mine;
        """,
    ],
)
def test_a_table_of_calls_that_is_gone_is_not_made_again_empty(filled: Path, tmp_path: Path, script: str) -> None:
    run(filled, script)
    before = ask(filled, "SELECT sql FROM sqlite_master")
    with pytest.raises(
        MigrationFailed, match=r"^There is no table completion_requests any more.*: give it its name back, or .*\.$"
    ):
        repair(filled, backup_dir=tmp_path / "saved")
    assert ask(filled, "SELECT sql FROM sqlite_master") == before


def test_a_view_in_the_place_of_a_table_is_one_sentence(filled: Path, tmp_path: Path) -> None:
    run(filled, "DROP TABLE unrecognised; CREATE VIEW unrecognised AS SELECT 1 AS host")
    with pytest.raises(MigrationFailed, match="unrecognised is a view and no table: drop it"):
        repair(filled, backup_dir=tmp_path / "saved")


def test_without_a_backup_nothing_is_changed(filled: Path, tmp_path: Path) -> None:
    run(filled, "DROP INDEX completion_requests_event_id")
    for folder in (None, tmp_path / "not" / "mounted"):
        with pytest.raises(BackupFailed):
            repair(filled, backup_dir=folder)
    assert not is_ours(filled)


def test_what_is_not_ours_is_refused(filled: Path, tmp_path: Path) -> None:
    run(filled, "PRAGMA application_id=7")
    with pytest.raises(DatabaseRefused, match="another program"):
        repair(filled, backup_dir=tmp_path / "saved")
    with pytest.raises(DatabaseRefused):
        repair(tmp_path / "nothing.db", backup_dir=tmp_path / "saved")
    assert not (tmp_path / "nothing.db").exists()


def test_rows_that_others_write_until_it_begins_are_there_afterwards(filled: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        Database(connection, execute_plugins=False).table("completion_requests").transform()
    enough, number = threading.Event(), 1000

    def write() -> None:
        nonlocal number
        with closing(sqlite3.connect(filled, isolation_level=None, timeout=30)) as writer:
            while not enough.is_set():
                writer.execute(INSERT, ("gpt-5", f"{number:032x}"))
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        repair(filled, backup_dir=tmp_path / "saved")
    finally:
        enough.set()
        thread.join()
    assert is_ours(filled)
    assert ask(filled, "SELECT count(*) FROM completion_requests") == [(40 + number - 1000,)]


def test_a_table_of_calls_that_was_renamed_is_not_made_anew(filled: Path, tmp_path: Path) -> None:
    run(filled, "ALTER TABLE completion_requests RENAME TO mine")
    before = filled.read_bytes()
    with pytest.raises(MigrationFailed, match="give it its name back, or run llm-metrics restore"):
        repair(filled, backup_dir=tmp_path / "saved")
    assert filled.read_bytes() == before
    run(filled, "ALTER TABLE mine RENAME TO completion_requests")
    Recorder(filled).open()
