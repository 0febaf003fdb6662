"""The file is the user's too: what they add stays through migrations, backups, restores and imports."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder import backup
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
