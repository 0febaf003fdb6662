"""The file is the user's too: what they add stays through migrations, backups, restores and imports."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.care.importing import import_calls
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.store import identity, table_sql
from tests.support.database import ask, execute
from tests.unit.store.migrated import released

ADDED = """
    ALTER TABLE completion_requests ADD COLUMN note TEXT DEFAULT 'none';
    ALTER TABLE completion_requests ADD COLUMN seconds REAL AS (response_time_ms / 1000.0);
    UPDATE completion_requests SET note = 'note ' || id;
    CREATE INDEX by_note ON completion_requests(note);
    CREATE UNIQUE INDEX once ON completion_requests(id, note) WHERE note IS NOT NULL;
    CREATE TABLE teams (name TEXT PRIMARY KEY, call INTEGER REFERENCES completion_requests(id));
    INSERT INTO teams VALUES ('search', 1);
    CREATE VIEW noted AS SELECT id, note FROM completion_requests;
    CREATE VIRTUAL TABLE words USING fts5(model, content=completion_requests, content_rowid=id);
    CREATE TRIGGER words_insert AFTER INSERT ON completion_requests BEGIN
        INSERT INTO words (rowid, model) VALUES (new.id, new.model);
    END;
"""
NAMES = {"by_note", "once", "teams", "noted", "words", "words_insert"}


def add(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(ADDED)


def assert_kept(path: Path, rows: int) -> None:
    assert {name for (name,) in ask(path, "SELECT name FROM sqlite_master")} >= NAMES
    assert ask(path, "SELECT count(*), sum(note = 'note ' || id) FROM completion_requests") == [(rows, rows)]
    assert ask(path, "SELECT seconds * 1000 = response_time_ms FROM completion_requests LIMIT 1") == [(1,)]
    assert ask(path, "SELECT * FROM teams") == [("search", 1)]


@pytest.mark.parametrize("version", ["v1", "v2", "v3", "v4", "v5"])
def test_it_survives_the_migration_of_every_release(version: str, db_path: Path, tmp_path: Path) -> None:
    released(version, db_path)
    add(db_path)
    rows = ask(db_path, "SELECT count(*) FROM completion_requests")[0][0]
    (tmp_path / "saved").mkdir()
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert_kept(db_path, rows)
    with closing(sqlite3.connect(db_path)) as connection:
        assert identity.differences(connection, CURRENT_SCHEMA_VERSION) == []
    Recorder(db_path).open()


def test_it_is_in_backups_and_comes_back_with_them(version_1: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    Recorder(version_1, backup_dir=saved).open()
    add(version_1)
    rows = ask(version_1, "SELECT count(*) FROM completion_requests")[0][0]
    made = backup.create(version_1, backup_dir=saved)
    execute(version_1, "DROP TRIGGER words_insert")
    execute(version_1, "DROP VIEW noted")
    execute(version_1, "DROP TABLE words")
    execute(version_1, "UPDATE completion_requests SET note = 'other'")
    restore(version_1, made, backup_dir=saved)
    assert_kept(version_1, rows)


def test_a_column_with_the_name_of_a_later_one_of_ours_is_kept_under_another(
    db_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    released("v4", db_path)
    execute(db_path, "ALTER TABLE completion_requests ADD COLUMN Region TEXT")
    execute(db_path, "ALTER TABLE completion_requests ADD COLUMN region_kept TEXT DEFAULT 'mine too'")
    execute(db_path, "UPDATE completion_requests SET region = 'north ' || id")
    execute(db_path, "CREATE INDEX by_region ON completion_requests(region)")
    (tmp_path / "saved").mkdir()
    with caplog.at_level(logging.WARNING):
        Recorder(db_path, backup_dir=tmp_path / "saved").open()
    found = ask(db_path, "SELECT region, Region_kept, Region_kept_2 FROM completion_requests WHERE id = 2")
    assert found == [(None, "mine too", "north 2")]
    assert ask(db_path, "SELECT name FROM pragma_index_info('by_region')") == [("Region_kept_2",)]
    assert [record.message for record in caplog.records] == [
        f"Region, which somebody added to {db_path}, is now Region_kept_2, since this program has one of that name."
    ]


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_a_table_or_view_with_the_name_of_a_later_table_of_ours_is_kept_under_another(
    db_path: Path, tmp_path: Path, kind: str
) -> None:
    released("v5", db_path)
    execute(db_path, "DELETE FROM rollup_calls")  # of which the migration fills ours
    execute(db_path, f"CREATE {kind} rollup_costs AS SELECT id, model FROM completion_requests")  # noqa: S608 - above
    before = ask(db_path, "SELECT * FROM rollup_costs")
    (tmp_path / "saved").mkdir()
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert ask(db_path, "SELECT * FROM rollup_costs_kept") == before
    assert ask(db_path, "SELECT count(*) FROM rollup_costs") == [(0,)]


@pytest.mark.parametrize(
    ("version", "kind", "name", "body"),
    [
        ("v1", "INDEX", "completion_requests_timestamp", "ON completion_requests(model)"),
        ("v1", "UNIQUE INDEX", "completion_requests_event_id", "ON completion_requests(id)"),
        ("v5", "INDEX", "rollup_costs", "ON completion_requests(model)"),
        ("v3", "TRIGGER", "completion_requests_export_changes", "DELETE ON completion_requests BEGIN SELECT 1; END"),
    ],
)
def test_an_index_or_trigger_with_the_name_of_a_later_object_of_ours_is_kept_under_another(  # noqa: PLR0913, PLR0917 - fixtures and a case
    db_path: Path, tmp_path: Path, version: str, kind: str, name: str, body: str
) -> None:
    released(version, db_path)
    execute(db_path, f"CREATE {kind} {name} {body}")
    (tmp_path / "saved").mkdir()
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert ask(db_path, "SELECT sql FROM sqlite_master WHERE name = ?", f"{name}_kept") == [
        (f'CREATE {kind} "{name}_kept" {body}',)
    ]
    with closing(sqlite3.connect(db_path)) as connection:
        assert identity.differences(connection, CURRENT_SCHEMA_VERSION) == []


@pytest.mark.parametrize("answer", ["RAISE(IGNORE)", "RAISE(ABORT, 'no')", "RAISE(ROLLBACK, 'no')", "nothing_there"])
@pytest.mark.parametrize("table", ["recorder_events", "rollup_costs", "schema_version", "completion_requests"])
def test_triggers_of_users_do_not_hinder_a_migration_or_a_restore(
    db_path: Path, tmp_path: Path, answer: str, table: str
) -> None:
    released("v5" if table != "rollup_costs" else "v6", db_path)
    for event in ("INSERT", "UPDATE"):
        execute(db_path, f"CREATE TRIGGER no_{event} BEFORE {event} ON {table} BEGIN SELECT {answer}; END")
    triggers = ask(db_path, "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'no_%' ORDER BY name")
    saved = tmp_path / "saved"
    saved.mkdir()
    Recorder(db_path, backup_dir=saved).open()
    restore(db_path, backup.create(db_path, backup_dir=saved), backup_dir=saved)
    now = ask(db_path, "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'no_%' ORDER BY name")
    assert now == triggers


def test_a_foreign_key_that_fits_nothing_keeps_nobody_from_migrating(db_path: Path, tmp_path: Path) -> None:
    released("v4", db_path)
    execute(db_path, "CREATE TABLE teams (model TEXT REFERENCES completion_requests(model))")
    execute(db_path, "INSERT INTO teams VALUES ('x')")
    (tmp_path / "saved").mkdir()
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert ask(db_path, "SELECT * FROM teams") == [("x",)]


def test_calls_are_imported_from_and_into_a_file_with_additions(db_path: Path, tmp_path: Path) -> None:
    released("v6", db_path)
    add(db_path)
    saved, other = tmp_path / "saved", tmp_path / "other.db"
    saved.mkdir()
    rows = ask(db_path, "SELECT count(*) FROM completion_requests")[0][0]
    assert import_calls(db_path, other, backup_dir=saved).inserted == rows
    execute(other, "UPDATE completion_requests SET event_id = substr(event_id, 1, 24) || printf('%08x', id)")
    done = import_calls(other, db_path, backup_dir=saved)
    assert done.inserted + done.already_there == rows
    assert ask(db_path, "SELECT count(*) FROM completion_requests WHERE note = 'note ' || id") == [(rows,)]
    assert ask(db_path, "SELECT count(*) FROM completion_requests WHERE note = 'none'") == [(done.inserted,)]


def test_a_dangling_reference_in_a_users_table_keeps_nobody_from_migrating(db_path: Path, tmp_path: Path) -> None:
    released("v4", db_path)
    execute(db_path, "CREATE TABLE teams (call INTEGER REFERENCES completion_requests(id))")
    execute(db_path, "INSERT INTO teams VALUES (99999)")
    (tmp_path / "saved").mkdir()
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert ask(db_path, "SELECT * FROM teams") == [(99999,)]


def test_the_text_of_a_table_is_taken_apart_at_its_own_commas_only() -> None:
    sql = '''CREATE TABLE "a (b" (
        id INTEGER PRIMARY KEY, -- the key, of course (really
        [odd, name] TEXT DEFAULT 'it''s, (fine', "say ""it""" NUMERIC(10, 2) /* , */,
        CHECK (id > 0), UNIQUE (id, [odd, name])
    ) STRICT'''
    found = table_sql.definitions(sql)
    assert list(found) == ["id", "odd, name", 'say "it"', ""]
    assert found["odd, name"] == "[odd, name] TEXT DEFAULT 'it''s, (fine'"
    assert found[""] == "CHECK (id > 0), UNIQUE (id, [odd, name])"
    assert table_sql.words(found["odd, name"]) == ["TEXT", "DEFAULT"]
