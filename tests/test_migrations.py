"""Migrations: exactly the published schema, all or nothing, once for any number of starters."""

import multiprocessing
import os
import signal
import sqlite3
import stat
import time
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlite_utils import Database

from migrations import APPLICATION_ID, CURRENT_SCHEMA_VERSION, NAMES, REGISTRY, m0001_completion_requests
from recorder.errors import BackupFailed, DatabaseRefused, MigrationFailed
from recorder.worker import Recorder

VERSION_1_COLUMNS = """
id INTEGER, timestamp TEXT, success BOOLEAN, status_code INTEGER, response_time_ms INTEGER, model TEXT, origin TEXT,
is_streaming BOOLEAN, max_tokens INTEGER, temperature REAL, top_p REAL, message_count INTEGER, prompt_tokens INTEGER,
completion_tokens INTEGER, total_tokens INTEGER, finish_reason TEXT, time_to_first_token_ms INTEGER,
time_to_last_token_ms INTEGER, tokens_per_second REAL, error_type TEXT, error_message TEXT
"""
VERSION_2_COLUMNS = """
event_id TEXT, provider TEXT, operation TEXT, host TEXT, endpoint TEXT, response_model TEXT, cached_tokens INTEGER,
cache_write_tokens INTEGER, reasoning_tokens INTEGER, usage_source TEXT, usage TEXT, cost_usd REAL, cost_source TEXT,
time_to_first_byte_ms REAL, time_to_first_answer_ms REAL, output_events INTEGER, chunk_gap_p50_ms REAL,
chunk_gap_p95_ms REAL, chunk_gap_max_ms REAL, upload_ms REAL, connect_ms REAL, request_bytes INTEGER,
response_bytes INTEGER, http_version TEXT, client TEXT, user_agent TEXT, session_id TEXT, trace_id TEXT,
parent_span_id TEXT, retry_count INTEGER, provider_request_id TEXT, retry_after_ms INTEGER,
rate_limit_remaining_requests INTEGER, rate_limit_remaining_tokens INTEGER, server_timing TEXT, error_code TEXT
"""
SPAWN = multiprocessing.get_context("spawn")


def words(text: str) -> list[str]:
    return [column.strip() for column in text.split(",")]


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def columns(path: Path, table: str = "completion_requests") -> list[str]:
    return [f"{row[1]} {row[2]}" for row in ask(path, f"PRAGMA table_info({table})")]


def assert_version(path: Path, version: int) -> None:
    """All records of the version agree."""
    assert ask(path, "PRAGMA user_version") == [(version,)]
    assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert ask(path, "SELECT version FROM schema_version ORDER BY 1") == [(n,) for n in range(1, version + 1)]
    assert ask(path, "SELECT name FROM _sqlite_migrations ORDER BY id") == [(name,) for name in NAMES[:version]]


def test_version_1_is_the_published_schema(version_1: Path) -> None:
    assert columns(version_1) == words(VERSION_1_COLUMNS)
    assert columns(version_1, "schema_version") == ["version INTEGER", "applied_at TEXT"]
    ((sql,),) = ask(version_1, "SELECT sql FROM sqlite_master WHERE name = 'completion_requests'")
    assert "id INTEGER PRIMARY KEY AUTOINCREMENT" in str(sql)


def test_a_new_file_has_the_present_schema(current_db: Path) -> None:
    assert columns(current_db) == words(VERSION_1_COLUMNS) + words(VERSION_2_COLUMNS)
    assert_version(current_db, CURRENT_SCHEMA_VERSION)
    indexes = ask(current_db, "SELECT name, \"unique\" FROM pragma_index_list('completion_requests') ORDER BY name")
    assert indexes == [("completion_requests_event_id", 1), ("completion_requests_timestamp", 0)]
    assert columns(current_db, "recorder_counters") == words("process TEXT, name TEXT, value INTEGER, updated_at TEXT")
    assert columns(current_db, "unrecognised") == words(
        "host TEXT, path TEXT, count INTEGER, first_at TEXT, last_at TEXT"
    )
    assert columns(current_db, "recorder_events") == words(
        "id INTEGER, at TEXT, process TEXT, kind TEXT, count INTEGER, from_at TEXT, to_at TEXT, detail TEXT"
    )


def test_a_new_file_is_private_wal_and_can_shrink(current_db: Path) -> None:
    assert ask(current_db, "PRAGMA auto_vacuum") == [(2,)]
    assert ask(current_db, "PRAGMA page_size") == [(4096,)]
    assert ask(current_db, "PRAGMA journal_mode") == [("wal",)]
    assert stat.S_IMODE(current_db.stat().st_mode) == 0o600


def test_a_new_file_needs_no_backup(current_db: Path) -> None:
    assert sorted(path.name for path in current_db.parent.iterdir()) == ["metrics.db"]


def test_an_empty_file_counts_as_new_and_becomes_private(db_path: Path) -> None:
    db_path.touch(mode=0o644)
    Recorder(db_path).open()
    assert_version(db_path, CURRENT_SCHEMA_VERSION)
    assert ask(db_path, "PRAGMA auto_vacuum") == [(2,)]
    assert stat.S_IMODE(db_path.stat().st_mode) == 0o600


def test_an_old_file_is_backed_up_and_migrated_with_its_rows(version_1: Path, tmp_path: Path) -> None:
    before = ask(version_1, "SELECT * FROM completion_requests")
    Recorder(version_1, backup_dir=tmp_path / "saved").open()
    assert_version(version_1, CURRENT_SCHEMA_VERSION)
    after = ask(version_1, "SELECT * FROM completion_requests")
    assert [row[: len(before[0])] for row in after] == before
    (saved,) = (tmp_path / "saved").glob("*.backup")
    assert_version(saved, 1)
    assert ask(saved, "SELECT * FROM completion_requests") == before
    Recorder(version_1, backup_dir=tmp_path / "saved").open()
    assert len(list((tmp_path / "saved").glob("*.backup"))) == 1


def test_a_file_made_from_the_published_sql_alone_is_adopted(db_path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute(m0001_completion_requests.COMPLETION_REQUESTS)
        connection.execute(m0001_completion_requests.SCHEMA_VERSION)
        connection.execute("INSERT INTO schema_version VALUES (1, '2026-01-01T00:00:00.000Z')")
        connection.commit()
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert_version(db_path, CURRENT_SCHEMA_VERSION)
    assert len(list((tmp_path / "saved").glob("*.backup"))) == 1


def test_what_users_added_survives_the_migration(version_1: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(version_1)) as connection:
        connection.executescript(
            "CREATE INDEX mine ON completion_requests(model);"
            "CREATE VIEW slow AS SELECT * FROM completion_requests WHERE response_time_ms > 500;"
            "CREATE TABLE notes (text TEXT);"
        )
    Recorder(version_1, backup_dir=tmp_path / "saved").open()
    assert_version(version_1, CURRENT_SCHEMA_VERSION)
    assert ask(version_1, "SELECT count(*) FROM slow") == [(2,)]


def test_no_backup_means_no_migration(version_1: Path, tmp_path: Path) -> None:
    before = version_1.read_bytes()
    with pytest.raises(BackupFailed):  # the default places are forbidden under TESTING
        Recorder(version_1).open()
    with pytest.raises(BackupFailed):
        Recorder(version_1, backup_dir=tmp_path / "not" / "there").open()
    assert version_1.read_bytes() == before


def test_a_step_that_fails_leaves_the_old_state(version_1: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(version_1)) as connection:
        connection.execute("CREATE TABLE unrecognised (mine TEXT)")  # what the last statement of version 2 creates
    with pytest.raises(MigrationFailed, match="already exists") as failure:
        Recorder(version_1, backup_dir=tmp_path / "saved").open()
    assert "\n" not in str(failure.value)
    assert_version(version_1, 1)
    assert columns(version_1) == words(VERSION_1_COLUMNS)


def test_a_unique_index_of_a_user_is_refused_since_it_would_reject_calls(version_1: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(version_1)) as connection:
        connection.execute("CREATE UNIQUE INDEX mine ON completion_requests(timestamp)")
    with pytest.raises(DatabaseRefused, match="unique index mine was added"):
        Recorder(version_1, backup_dir=tmp_path / "saved").open()
    assert_version(version_1, 1)


def _start_with_a_step_that_differs(path: Path, backup_dir: Path) -> None:
    @REGISTRY(name="m9999_differs")
    def differs(db: Database) -> None:
        if db.table("completion_requests").count:  # not in memory, where the expected schema is made
            db.execute("DROP INDEX completion_requests_timestamp")

    with pytest.raises(MigrationFailed, match="index completion_requests_timestamp is missing"):
        Recorder(path, backup_dir=backup_dir).open()


def test_a_migration_that_makes_another_schema_is_rolled_back(version_1: Path, tmp_path: Path) -> None:
    process = SPAWN.Process(target=_start_with_a_step_that_differs, args=(version_1, tmp_path / "saved"))
    process.start()
    assert finish([process]) == [0]
    assert_version(version_1, 1)
    assert columns(version_1) == words(VERSION_1_COLUMNS)


def _start(path: Path, backup_dir: Path, go_at: float) -> None:
    time.sleep(max(go_at - time.time(), 0))
    Recorder(path, backup_dir=backup_dir).open()


def _start_and_be_killed(path: Path, backup_dir: Path) -> None:
    @REGISTRY(name="m9999_killed")
    def killed(_db: Database) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Recorder(path, backup_dir=backup_dir).open()


def finish(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


@pytest.mark.parametrize("old", [False, True])
def test_of_several_starters_one_migrates_and_all_go_on(
    db_path: Path, tmp_path: Path, *, old: bool, request: pytest.FixtureRequest
) -> None:
    if old:
        request.getfixturevalue("version_1")
    go_at = time.time() + 1.5  # when all have imported what they need
    processes: list[BaseProcess] = [
        SPAWN.Process(target=_start, args=(db_path, tmp_path / "saved", go_at)) for _ in range(5)
    ]
    for process in processes:
        process.start()
    assert finish(processes) == [0] * 5
    assert_version(db_path, CURRENT_SCHEMA_VERSION)
    assert len(list((tmp_path / "saved").glob("*.backup"))) == (1 if old else 0)
    assert ask(db_path, "PRAGMA auto_vacuum") == [(0 if old else 2,)]


def test_a_kill_in_the_middle_leaves_the_old_state_and_the_next_start_goes_through(
    version_1: Path, tmp_path: Path
) -> None:
    process = SPAWN.Process(target=_start_and_be_killed, args=(version_1, tmp_path / "saved"))
    process.start()
    assert finish([process]) == [-signal.SIGKILL]
    assert_version(version_1, 1)
    assert columns(version_1) == words(VERSION_1_COLUMNS)
    Recorder(version_1, backup_dir=tmp_path / "saved").open()
    assert_version(version_1, CURRENT_SCHEMA_VERSION)


def test_a_kill_of_the_first_start_leaves_a_file_that_is_still_new(db_path: Path, tmp_path: Path) -> None:
    process = SPAWN.Process(target=_start_and_be_killed, args=(db_path, tmp_path / "saved"))
    process.start()
    assert finish([process]) == [-signal.SIGKILL]
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert_version(db_path, CURRENT_SCHEMA_VERSION)
    assert list((tmp_path / "saved").glob("*.backup")) == []
    assert ask(db_path, "PRAGMA auto_vacuum") == [(2,)]


def test_migrations_are_out_of_reach_of_the_command_that_would_by_pass_their_safety() -> None:
    folder = Path(m0001_completion_requests.__file__).parent
    assert not list(folder.rglob("migrations.py"))
