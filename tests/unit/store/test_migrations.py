"""Migrations: exactly the published schema, all or nothing, once for any number of starters."""

import logging
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from llm_metrics_proxy.migrations import (
    CURRENT_SCHEMA_VERSION,
    NAMES,
    REGISTRY,
    m0001_completion_requests,
)
from llm_metrics_proxy.recorder.errors import BackupFailed, DatabaseRefused, MigrationFailed
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.schema import migrator
from llm_metrics_proxy.recorder.schema.migrator import migrate_plan
from llm_metrics_proxy.recorder.store import database, identity
from tests.support.database import ask, execute
from tests.support.forked import forking
from tests.unit.store.migrated import VERSION_1_COLUMNS, assert_version, columns, finish, released, words

FORKSERVER = forking(__name__)

VERSION_2_COLUMNS = """
event_id TEXT, provider TEXT, operation TEXT, host TEXT, endpoint TEXT, response_model TEXT, cached_tokens INTEGER,
cache_write_tokens INTEGER, reasoning_tokens INTEGER, usage_source TEXT, usage TEXT, cost_usd REAL, cost_source TEXT,
time_to_first_byte_ms REAL, time_to_first_answer_ms REAL, output_events INTEGER, chunk_gap_p50_ms REAL,
chunk_gap_p95_ms REAL, chunk_gap_max_ms REAL, upload_ms REAL, connect_ms REAL, request_bytes INTEGER,
response_bytes INTEGER, http_version TEXT, client TEXT, user_agent TEXT, session_id TEXT, trace_id TEXT,
parent_span_id TEXT, retry_count INTEGER, provider_request_id TEXT, retry_after_ms INTEGER,
rate_limit_remaining_requests INTEGER, rate_limit_remaining_tokens INTEGER, server_timing TEXT, error_code TEXT
"""
VERSION_5_COLUMNS = "billed TEXT"
VERSION_6_COLUMNS = "service_tier TEXT, region TEXT, billing TEXT, cost_complete INTEGER, cost_note TEXT"
VERSION_7_COLUMNS = """
error_class TEXT, finish_class TEXT, agent TEXT, agent_version TEXT, agent_id TEXT, parent_agent_id TEXT,
request_kind TEXT, project TEXT, response_id TEXT
"""
VERSION_8_COLUMNS = "labels TEXT, key_id TEXT, cache_saved_usd REAL, cache_spent_usd REAL"


def test_version_1_is_the_published_schema(version_1: Path) -> None:
    assert columns(version_1) == words(VERSION_1_COLUMNS)
    assert columns(version_1, "schema_version") == ["version INTEGER", "applied_at TEXT"]
    ((sql,),) = ask(version_1, "SELECT sql FROM sqlite_master WHERE name = 'completion_requests'")
    assert "id INTEGER PRIMARY KEY AUTOINCREMENT" in str(sql)


def test_a_new_file_has_the_present_schema(current_db: Path) -> None:
    of_versions = (
        VERSION_1_COLUMNS,
        VERSION_2_COLUMNS,
        VERSION_5_COLUMNS,
        VERSION_6_COLUMNS,
        VERSION_7_COLUMNS,
        VERSION_8_COLUMNS,
    )
    assert columns(current_db) == [column for version in of_versions for column in words(version)]
    assert_version(current_db, CURRENT_SCHEMA_VERSION)
    indexes = ask(current_db, "SELECT name, \"unique\" FROM pragma_index_list('completion_requests') ORDER BY name")
    assert indexes == [
        ("completion_requests_event_id", 1),
        ("completion_requests_response_id", 0),
        ("completion_requests_session_id", 0),
        ("completion_requests_timestamp", 0),
    ]
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


def _start_with_a_step_that_fails(path: Path, backup_dir: Path) -> None:
    @REGISTRY(name="m9999_fails")
    def fails(db: Database) -> None:
        if db.table("completion_requests").count:  # not in memory, where the expected schema is made
            db.execute("CREATE TABLE unrecognised (a)")

    with pytest.raises(MigrationFailed, match="table unrecognised already exists") as failure:
        Recorder(path, backup_dir=backup_dir).open()
    (saved,) = backup_dir.glob("*.backup")
    assert str(saved) in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_step_that_fails_leaves_the_old_state_and_names_the_backup(version_1: Path, tmp_path: Path) -> None:
    process = FORKSERVER.Process(target=_start_with_a_step_that_fails, args=(version_1, tmp_path / "saved"))
    process.start()
    assert finish([process]) == [0]
    assert_version(version_1, 1)
    assert columns(version_1) == words(VERSION_1_COLUMNS)


def test_a_plain_index_that_a_user_dropped_keeps_nobody_from_migrating(db_path: Path, tmp_path: Path) -> None:
    released("v3", db_path)
    execute(db_path, "DROP INDEX completion_requests_timestamp")
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert_version(db_path, CURRENT_SCHEMA_VERSION)
    with closing(sqlite3.connect(db_path)) as connection:
        found = identity.differences(connection, CURRENT_SCHEMA_VERSION)
    assert [one.what for one in found] == ["index completion_requests_timestamp is missing"]


def _start_with_a_step_that_differs(path: Path, backup_dir: Path) -> None:
    @REGISTRY(name="m9999_differs")
    def differs(db: Database) -> None:
        if db.table("completion_requests").count:  # not in memory, where the expected schema is made
            db.execute("DROP INDEX completion_requests_timestamp")

    with pytest.raises(MigrationFailed, match="index completion_requests_timestamp is missing"):
        Recorder(path, backup_dir=backup_dir).open()


def test_a_migration_that_makes_another_schema_is_rolled_back(version_1: Path, tmp_path: Path) -> None:
    process = FORKSERVER.Process(target=_start_with_a_step_that_differs, args=(version_1, tmp_path / "saved"))
    process.start()
    assert finish([process]) == [0]
    assert_version(version_1, 1)
    assert columns(version_1) == words(VERSION_1_COLUMNS)


def test_migrations_are_out_of_reach_of_the_command_that_would_by_pass_their_safety() -> None:
    folder = Path(m0001_completion_requests.__file__).parent
    assert not list(folder.rglob("migrations.py"))


@pytest.mark.parametrize("name", ["v1", "v1_unstamped", "v2", "v3", "v4", "v5", "v6", "v7", "v8"])
def test_every_released_version_upgrades_to_the_newest_with_all_its_rows(
    name: str, db_path: Path, tmp_path: Path
) -> None:
    released(name, db_path)
    tables = [str(table) for (table,) in ask(db_path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    kept = [table for table in tables if table not in {"schema_version", "_sqlite_migrations"}]
    before = {table: ask(db_path, f"SELECT * FROM {table}") for table in kept}  # noqa: S608 - of the fixture
    assert len(before["completion_requests"]) >= 6
    (tmp_path / "saved").mkdir()
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert_version(db_path, CURRENT_SCHEMA_VERSION)
    for table, rows in before.items():
        after = ask(db_path, f"SELECT * FROM {table} LIMIT {len(rows)}")  # noqa: S608 - of the fixture
        assert [row[: len(old)] for row, old in zip(after, rows, strict=True)] == rows
        assert all(value is None for row, old in zip(after, rows, strict=True) for value in row[len(old) :])
    with closing(sqlite3.connect(db_path)) as connection:
        assert identity.differences(connection, CURRENT_SCHEMA_VERSION) == []


def test_ids_that_were_given_out_before_are_not_given_out_again(db_path: Path, tmp_path: Path) -> None:
    released("v1", db_path)
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute("DELETE FROM completion_requests WHERE id > 4")
        connection.commit()
    (tmp_path / "saved").mkdir()
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert ask(db_path, "SELECT seq FROM sqlite_sequence WHERE name = 'completion_requests'") == [(7,)]


def test_the_original_database_is_refused_with_the_command_that_reads_it_in(db_path: Path) -> None:
    before = released("original", db_path).read_bytes()
    with pytest.raises(
        DatabaseRefused, match=r"of the original llm-metrics-proxy: .* llm-metrics import .* --db NEW\.$"
    ):
        Recorder(db_path).open()
    assert db_path.read_bytes() == before


def test_a_changed_table_is_refused_with_the_command_that_repairs_it(current_db: Path) -> None:
    with closing(sqlite3.connect(current_db)) as connection:
        Database(connection).table("completion_requests").transform(types={"origin": int})
        connection.commit()
    with pytest.raises(DatabaseRefused, match=r"changed by another program .* llm-metrics migrate --repair"):
        Recorder(current_db).open()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE _sqlite_migrations SET name = 'm0000_before' WHERE id = 1",
        "DELETE FROM _sqlite_migrations WHERE id = 1",
        "UPDATE _sqlite_migrations SET id = 9 WHERE id = 1",  # all there, in another order
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('llm_metrics_proxy', 'm0003', '')",
        "INSERT INTO schema_version VALUES (99, '')",
        "PRAGMA user_version=1",
        "PRAGMA user_version=0",
    ],
)
def test_records_of_the_version_that_disagree_are_refused(current_db: Path, statement: str) -> None:
    with closing(sqlite3.connect(current_db)) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(DatabaseRefused, match="records of the schema version disagree"):
        Recorder(current_db).open()


SUCCESS = "success BOOLEAN NOT NULL,"


@pytest.mark.parametrize(
    ("old", "new", "phrase"),
    [
        (
            "model TEXT,",
            "model TEXT COLLATE NOCASE,",
            "column model of table completion_requests is not as it was made",
        ),
        (
            SUCCESS,
            "success REAL NOT NULL,",
            "column success of table completion_requests has the type REAL, not BOOLEAN",
        ),
        (SUCCESS, "success NOT NULL,", "column success of table completion_requests has no type, not BOOLEAN"),
        (SUCCESS, "", "column success of table completion_requests is missing"),
        (SUCCESS, "success BOOLEAN,", "column success of table completion_requests is not as it was made"),
        ("model TEXT,", "model TEXT DEFAULT 'gpt',", "column model of table completion_requests is not as it was made"),
        (
            "id INTEGER PRIMARY KEY AUTOINCREMENT,",
            "id INTEGER PRIMARY KEY,",
            "column id of table completion_requests is not as it was made",
        ),
        (
            "model TEXT,",
            "model TEXT, mine TEXT NOT NULL,",
            "column mine of table completion_requests needs a value, and has no default",
        ),
    ],
)
def test_a_table_that_cannot_be_written_as_ours_is_not_ours(db_path: Path, old: str, new: str, phrase: str) -> None:
    sql = m0001_completion_requests.COMPLETION_REQUESTS.replace(old, new)
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute(sql)
        connection.execute(m0001_completion_requests.SCHEMA_VERSION)
        assert [one.what for one in identity.differences(connection, 1)] == [phrase]


@pytest.mark.parametrize(
    "added",
    [
        "mine",
        "checked_at TEXT COLLATE NOCASE, [a, b] TEXT NOT NULL DEFAULT ')'",
        """"on ""me" INTEGER DEFAULT (1 + 1) /* CHECK ( */, long AS (length(model)) STORED -- NOT NULL, (
        , CHECK (mine <> "x")""",
        "label TEXT UNIQUE CHECK (label <> ''), other REFERENCES schema_version(version)",
    ],
)
def test_columns_that_a_row_need_not_name_are_the_users(db_path: Path, added: str) -> None:
    sql = m0001_completion_requests.COMPLETION_REQUESTS
    end = sql.rindex(")")
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute(f"{sql[:end]}, mine2 TEXT, {added.replace('mine <>', 'mine2 <>')}{sql[end:]}")
        connection.execute(m0001_completion_requests.SCHEMA_VERSION)
        assert identity.differences(connection, 1) == []


def _add_a_view_and_a_trigger() -> None:
    @REGISTRY(name="m9999_view_and_trigger")
    def add(db: Database) -> None:
        db.execute("CREATE VIEW calls AS SELECT id FROM completion_requests")
        db.execute("CREATE TRIGGER seen AFTER INSERT ON unrecognised BEGIN SELECT 1; END")

    db = Database(memory=True)
    REGISTRY.apply(db)
    assert identity.differences(db.conn, CURRENT_SCHEMA_VERSION) == []
    db.execute("DROP VIEW calls")
    db.execute("DROP TRIGGER seen")
    db.execute("CREATE TRIGGER seen AFTER INSERT ON unrecognised BEGIN SELECT 2; END")
    found = identity.differences(db.conn, CURRENT_SCHEMA_VERSION)
    assert [one.what for one in found] == [
        "trigger seen is not as it was made"
    ]  # views hold nothing: see test_views_of_a_release.py
    db.close()


def test_triggers_of_the_registry_are_validated_and_views_are_not() -> None:
    process = FORKSERVER.Process(target=_add_a_view_and_a_trigger)
    process.start()
    assert finish([process]) == [0]


def test_the_plan_says_what_would_be_done_and_writes_nothing(version_1: Path, tmp_path: Path) -> None:
    before = version_1.read_bytes()
    plan = migrate_plan(version_1)
    assert (plan.exists, plan.from_version, plan.to_version) == (True, 1, CURRENT_SCHEMA_VERSION)
    assert (plan.steps, plan.rows, plan.backup) == (NAMES[1:], 2, True)
    assert plan.bytes_needed == 2.5 * len(before)
    missing = migrate_plan(tmp_path / "new.db")
    assert (missing.exists, missing.from_version, missing.steps, missing.backup) == (False, 0, NAMES, False)
    assert version_1.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.db", "saved"]


def test_where_there_is_no_place_for_a_backup_nobody_waits_for_the_lock(version_1: Path) -> None:
    with closing(sqlite3.connect(version_1, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with (
            closing(database.open_for_start(version_1, timeout=30)) as connection,
            pytest.raises(BackupFailed),
        ):
            migrator.bring_up_to_date(connection, version_1)  # the default places are forbidden under TESTING


def test_too_little_space_is_said_before_anything_is_done(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrator, "SPACE_FACTOR", 1e15)
    before = version_1.read_bytes()
    with pytest.raises(MigrationFailed, match=r"too little space to migrate .* bytes are needed there"):
        Recorder(version_1, backup_dir=tmp_path / "saved").open()
    assert version_1.read_bytes() == before
    assert list((tmp_path / "saved").iterdir()) == []


def test_a_long_wait_for_the_lock_is_said_once_and_its_end_says_how_long_it_was(
    version_1: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "recorder")
    with closing(sqlite3.connect(version_1, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseRefused, match=r"perhaps one that is migrating it; waited 1\.[3-9] s"):
            Recorder(version_1, backup_dir=tmp_path / "saved", lock_seconds=1.4).open()
    assert [record.message for record in caplog.records] == [
        f"Waiting for another process that has locked {version_1}, perhaps to migrate it."
    ]
    caplog.clear()
    with closing(sqlite3.connect(version_1, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseRefused, match="waited 0"):
            Recorder(version_1, backup_dir=tmp_path / "saved", lock_seconds=0.1).open()
    assert caplog.records == []


def test_the_database_says_that_it_was_migrated_and_where_the_backup_is(version_1: Path, tmp_path: Path) -> None:
    Recorder(version_1, backup_dir=tmp_path / "saved").open()
    (saved,) = (tmp_path / "saved").glob("*.backup")
    assert ask(version_1, "SELECT kind, count, detail FROM recorder_events") == [("migrate", 2, str(saved))]


class DamagesAfterCommit(sqlite3.Connection):
    """As a disk, or another program, that changes the file at the moment at which the migration is committed."""

    damage = "DROP INDEX completion_requests_event_id"

    def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)  # type: ignore[arg-type] # handed on as it came
        if sql == "COMMIT":
            super().execute(self.damage)
        return cursor


@pytest.mark.parametrize("damage", [DamagesAfterCommit.damage, "PRAGMA user_version=0", "DELETE FROM schema_version"])
def test_what_was_committed_is_looked_at_again_and_the_backup_put_back(
    version_1: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DamagesAfterCommit, "damage", damage)
    before = ask(version_1, "SELECT * FROM completion_requests")
    with (
        closing(sqlite3.connect(version_1, isolation_level=None, factory=DamagesAfterCommit)) as connection,
        pytest.raises(MigrationFailed, match=r"so .*\.backup was put back into it: go on with the release before"),
    ):
        migrator.bring_up_to_date(connection, version_1, backup_dir=tmp_path / "saved")
    assert_version(version_1, 1)
    assert ask(version_1, "SELECT * FROM completion_requests") == before


def test_a_newer_release_that_migrates_right_after_us_is_not_undone(version_1: Path, tmp_path: Path) -> None:
    class Newer(DamagesAfterCommit):
        damage = "PRAGMA user_version=99"

    with (
        closing(sqlite3.connect(version_1, isolation_level=None, factory=Newer)) as connection,
        pytest.raises(DatabaseRefused, match="schema version 99"),
    ):
        migrator.bring_up_to_date(connection, version_1, backup_dir=tmp_path / "saved")
    assert ask(version_1, "PRAGMA user_version") == [(99,)]
