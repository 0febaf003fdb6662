"""Views follow the release: a start makes them anew in any database of ours, and leaves those of users alone."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlite_utils import Database

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION, REGISTRY, views
from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.care.check import check
from llm_metrics_proxy.recorder.commands.migrate import migrate
from llm_metrics_proxy.recorder.errors import DatabaseRefused, MigrationFailed
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.schema import migrator
from llm_metrics_proxy.recorder.schema.repair import repair
from llm_metrics_proxy.recorder.store import database
from tests.conftest import MakeEvent
from tests.support.database import ask
from tests.support.forked import forking
from tests.support.waiting import wait_until
from tests.unit.store.migrated import assert_version, finish, released

RELEASED = ["v1", "v1_unstamped", "v2", "v3", "v4", "v5", "v6", "v7", "v8"]
NEWEST = RELEASED[-1]
FORKSERVER = forking(__name__)
STARTERS = 4


def folder_of_another_release(tmp_path: Path) -> Path:
    """Copy the folder of views, edit one, take one away and add one; gives its `__init__.py`."""
    folder = Path(shutil.copytree(Path(views.__file__).parent, tmp_path / "views"))
    edited = folder / "model_summary_all.sql"
    edited.write_text(f"{edited.read_text().strip()}, model\n")
    (folder / "lost_events.sql").unlink()
    (folder / "added.sql").write_text("SELECT count(*) AS n FROM completion_requests")
    return folder / "__init__.py"


def become(release: Path) -> None:
    """Let this process read the views of another release, as `importlib.resources` finds them."""
    assert views.__spec__ is not None
    assert views.__spec__.loader is not None
    views.__spec__.loader.path = str(release)  # type: ignore[attr-defined] # of Python's own loader of files


@pytest.fixture
def another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert views.__spec__ is not None
    monkeypatch.setattr(views.__spec__.loader, "path", views.__file__)  # and back, when the test ends
    return folder_of_another_release(tmp_path)


def start(path: Path) -> None:
    saved = path.parent / "saved"
    saved.mkdir(exist_ok=True)
    schema.prepare(path, backup_dir=saved, lock_seconds=30)


def texts(path: Path) -> list[str]:
    return [str(sql) for (sql,) in ask(path, "SELECT sql FROM sqlite_master WHERE type = 'view' ORDER BY name")]


def calls(path: Path) -> list[tuple[object, ...]]:
    return [row[:21] for row in ask(path, "SELECT * FROM completion_requests")]


def run(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def names(path: Path) -> set[str]:
    return {str(name) for (name,) in ask(path, "SELECT name FROM sqlite_master WHERE type = 'view'")}


@pytest.mark.parametrize("name", RELEASED)
def test_every_released_database_gets_the_views_of_the_release_that_opens_it(
    name: str, db_path: Path, another_release: Path
) -> None:
    rows = calls(released(name, db_path))
    start(db_path)
    ours = views.statements()
    assert texts(db_path) == ours
    become(another_release)
    start(db_path)
    assert texts(db_path) == views.statements() != ours
    assert "added" in names(db_path)
    assert "lost_events" not in names(db_path)
    assert calls(db_path) == rows
    assert_version(db_path, CURRENT_SCHEMA_VERSION)


@pytest.mark.parametrize("name", RELEASED)
def test_the_release_after_opens_every_released_database_at_once_and_again_without_a_change(
    name: str, db_path: Path, another_release: Path
) -> None:
    rows = calls(released(name, db_path))
    become(another_release)
    start(db_path)
    assert texts(db_path) == views.statements()
    assert all(ask(db_path, f"SELECT count(*) FROM {view}") for view in names(db_path))  # noqa: S608 - of ours
    changed = ask(db_path, "PRAGMA schema_version")
    start(db_path)
    assert ask(db_path, "PRAGMA schema_version") == changed
    assert calls(db_path) == rows
    assert len(list((db_path.parent / "saved").glob("*.backup"))) == (name != f"v{CURRENT_SCHEMA_VERSION}")


def test_a_view_that_somebody_dropped_is_there_again(current_db: Path) -> None:
    run(current_db, "DROP VIEW errors_by_day")
    start(current_db)
    assert texts(current_db) == views.statements()


def test_an_edit_of_our_text_is_undone_by_a_start(current_db: Path) -> None:
    ((sql,),) = ask(current_db, "SELECT sql FROM sqlite_master WHERE name = 'errors_by_day'")
    run(current_db, f"DROP VIEW errors_by_day; {sql} LIMIT 1")
    start(current_db)
    assert texts(current_db) == views.statements()


def _start_each(paths: list[Path], release: Path | None, gate: Barrier, answers: "Queue[str]") -> None:
    if release is not None:
        become(release)
    for path in paths:
        gate.wait()
        try:
            start(path)
        except Exception as error:  # noqa: BLE001 - the answer is what is counted
            answers.put(f"{type(error).__name__}: {error}")
        else:
            answers.put("")


def _start_together(paths: list[Path], releases: list[Path | None]) -> None:
    gate, answers = FORKSERVER.Barrier(len(releases)), FORKSERVER.Queue()
    processes: list[BaseProcess] = [
        FORKSERVER.Process(target=_start_each, args=(paths, release, gate, answers)) for release in releases
    ]
    for process in processes:
        process.start()
    said = [answers.get(timeout=100) for _ in range(len(releases) * len(paths))]
    assert finish(processes) == [0] * len(releases)
    assert said == [""] * len(said)


def test_simultaneous_starters_of_a_release_with_other_views_all_go_on(tmp_path: Path, another_release: Path) -> None:
    paths = [released(name, tmp_path / f"{number}.db") for number, name in enumerate(RELEASED * 2)]
    rows = [calls(path) for path in paths]
    _start_together(paths, [another_release] * STARTERS)
    become(another_release)
    assert all(texts(path) == views.statements() for path in paths)
    assert [calls(path) for path in paths] == rows


def test_starters_of_two_releases_go_on_and_the_views_are_those_of_one_of_them(
    tmp_path: Path, another_release: Path
) -> None:
    paths = [released(NEWEST, tmp_path / f"{number}.db") for number in range(10)]
    ours = views.statements()
    _start_together(paths, [another_release, None, another_release, None])
    become(another_release)
    assert all(texts(path) in (ours, views.statements()) for path in paths)


def _start_and_be_killed(path: Path, release: Path, statement: int) -> None:
    become(release)
    seen = 0

    def kill(_sql: str) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    with closing(database.open_for_start(path, timeout=30)) as connection:
        connection.set_trace_callback(kill)
        migrator.bring_up_to_date(connection, path)


def test_a_kill_while_views_are_made_leaves_all_of_the_old_ones(current_db: Path, another_release: Path) -> None:
    before = texts(current_db)
    for statement in (20, 60, 100):
        process = FORKSERVER.Process(target=_start_and_be_killed, args=(current_db, another_release, statement))
        process.start()
        assert finish([process]) == [-signal.SIGKILL]
        assert texts(current_db) == before
    become(another_release)
    start(current_db)
    assert texts(current_db) == views.statements()


def test_a_recorder_that_runs_goes_on_while_another_release_starts_on_its_file(
    db_path: Path, make_event: MakeEvent, another_release: Path
) -> None:
    recorder = Recorder(db_path)
    recorder.open()
    recorder.start()
    recorder.submit(make_event())
    wait_until(lambda: len(calls(db_path)) == 1)
    become(another_release)
    start(db_path)
    recorder.submit(make_event())
    recorder.close()
    assert len(calls(db_path)) == 2
    assert "spilled" not in recorder.counters()
    assert texts(db_path) == views.statements()


def test_no_backup_is_made_for_views_alone(current_db: Path, tmp_path: Path, another_release: Path) -> None:
    become(another_release)
    schema.prepare(current_db, backup_dir=None, lock_seconds=5)  # the default places are forbidden under TESTING
    assert list(tmp_path.rglob("*.backup")) == []


@pytest.mark.parametrize("name", RELEASED)
def test_views_of_users_stay_as_they_are(name: str, db_path: Path) -> None:
    mine = "CREATE VIEW mine AS SELECT model, count(*) FROM completion_requests GROUP BY model"
    run(released(name, db_path), mine)
    start(db_path)
    start(db_path)
    assert (mine,) in ask(db_path, "SELECT sql FROM sqlite_master WHERE name = 'mine'")
    assert [text for text in texts(db_path) if text != mine] == views.statements()


def test_a_copy_of_one_of_ours_under_another_name_is_its_owners(current_db: Path, another_release: Path) -> None:
    ((sql,),) = ask(current_db, "SELECT sql FROM sqlite_master WHERE name = 'lost_events'")
    run(current_db, str(sql).replace("VIEW lost_events", "VIEW lost_events_of_today"))
    become(another_release)
    start(current_db)
    assert "lost_events" not in names(current_db)
    assert "lost_events_of_today" in names(current_db)


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_view_that_had_a_name_of_ours_before_we_had_it_is_kept_under_another(
    name: str, db_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(released(name, db_path), 'CREATE VIEW "Errors_by_Day" (x) AS SELECT 42')
    start(db_path)
    assert ask(db_path, "SELECT x FROM errors_by_day_kept") == [(42,)]
    assert ask(db_path, "SELECT * FROM errors_by_day") is not None
    assert [text for text in texts(db_path) if "_kept" not in text] == views.statements()
    assert "errors_by_day_kept" in caplog.text


def test_a_view_that_somebody_put_in_the_place_of_ours_is_kept_and_never_overwritten(current_db: Path) -> None:
    for number in (1, 2):
        with closing(sqlite3.connect(current_db)) as connection:
            Database(connection).create_view("errors_by_day", f"select {number} as x", replace=True)
            connection.commit()
        start(current_db)
    assert ask(current_db, "SELECT x FROM errors_by_day_kept") == [(1,)]
    assert ask(current_db, "SELECT x FROM errors_by_day_kept_2") == [(2,)]
    assert [text for text in texts(current_db) if "_kept" not in text] == views.statements()


def test_a_trigger_of_a_user_on_one_of_our_views_stays(current_db: Path, another_release: Path) -> None:
    run(
        current_db,
        "CREATE TABLE said (x);"
        "CREATE TRIGGER mine INSTEAD OF INSERT ON model_summary_all BEGIN INSERT INTO said VALUES (new.model); END;",
    )
    become(another_release)
    start(current_db)
    run(current_db, "INSERT INTO model_summary_all (model) VALUES ('gpt')")
    assert ask(current_db, "SELECT x FROM said") == [("gpt",)]


def test_a_table_with_the_name_of_a_view_stays_and_check_says_so(
    db_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(released("v2", db_path), "CREATE TABLE Retries_Last_7d (x); INSERT INTO retries_last_7d VALUES (1)")
    start(db_path)
    start(db_path)
    assert ask(db_path, "SELECT x FROM retries_last_7d") == [(1,)]
    assert caplog.text.count("has no view retries_last_7d") == 1
    (finding,) = [finding for finding in check(db_path) if "view" in finding.what]
    assert finding.what == "there is no view retries_last_7d, since a table or an index has that name"


def _start_with_a_step_that_renames(path: Path) -> None:
    @REGISTRY(name="m9999_renames")
    def renames(db: Database) -> None:
        assert db.view_names() == []
        db.execute("ALTER TABLE unrecognised RENAME COLUMN path TO place")

    with pytest.raises(MigrationFailed, match="records of the schema version disagree"):  # since it is in no registry
        start(path)


def test_a_step_finds_no_view_and_none_is_in_its_way(db_path: Path) -> None:
    run(
        released("v3", db_path),
        "CREATE VIEW mine AS SELECT * FROM errors_by_day; CREATE VIEW odd AS SELECT * FROM gone",
    )
    before = texts(db_path)
    process = FORKSERVER.Process(target=_start_with_a_step_that_renames, args=(db_path,))
    process.start()
    assert finish([process]) == [0]
    assert texts(db_path) == before


def test_views_and_triggers_of_users_are_the_same_after_a_migration(db_path: Path) -> None:
    mine = [
        "CREATE VIEW mine AS SELECT * FROM errors_by_day",
        "CREATE VIEW on_mine AS SELECT * FROM mine",
        'CREATE VIEW "Ärger ""heute""" (n) AS SELECT count(*) /* mine */ FROM errors_by_day',
        "CREATE TRIGGER heard INSTEAD OF INSERT ON on_mine BEGIN SELECT 1; END",
    ]
    run(released("v3", db_path), ";".join([*mine, ""]))
    start(db_path)
    kept = ask(db_path, "SELECT sql FROM sqlite_master WHERE type IN ('view', 'trigger')")
    assert {sql for (sql,) in kept} > set(mine)
    assert ask(db_path, 'SELECT n FROM "Ärger ""heute"""') is not None
    start(db_path)
    assert ask(db_path, "SELECT sql FROM sqlite_master WHERE type IN ('view', 'trigger')") == kept


def test_a_view_that_cannot_be_made_changes_nothing(current_db: Path, another_release: Path) -> None:
    (another_release.parent / "added.sql").write_text("SELEC 1")
    before = texts(current_db)
    become(another_release)
    with pytest.raises(MigrationFailed, match="syntax error"):
        start(current_db)
    assert texts(current_db) == before


def test_a_locked_database_with_other_views_is_refused_in_one_sentence(current_db: Path, another_release: Path) -> None:
    become(another_release)
    with closing(sqlite3.connect(current_db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseRefused, match="locked by another process"):
            schema.prepare(current_db, backup_dir=None, lock_seconds=0.1)


def backup_of(name: str, folder: Path) -> Path:
    folder.mkdir()
    saved = released(name, folder / "metrics.db.20260301_120000_000.backup")
    saved.with_name(f"{saved.name}.sha256").write_text(
        f"{hashlib.sha256(saved.read_bytes()).hexdigest()}  {saved.name}\n"
    )
    return saved


@pytest.mark.parametrize("name", RELEASED)
def test_an_old_backup_is_put_back_with_the_views_of_this_release(
    name: str, current_db: Path, tmp_path: Path, another_release: Path
) -> None:
    saved = backup_of(name, tmp_path / "old")
    become(another_release)
    restore(current_db, saved, backup_dir=tmp_path / "old")
    assert texts(current_db) == views.statements()
    assert calls(current_db) == calls(saved)


def test_a_dry_run_says_that_views_would_be_made_anew_and_makes_none(current_db: Path) -> None:
    run(current_db, "DROP VIEW errors_by_day; DROP VIEW lost_events")
    before = texts(current_db)
    answer = CliRunner().invoke(migrate, ["--db", str(current_db), "--dry-run"])
    assert answer.exit_code == 0
    assert "2 of its views differ from those of this release: all would be made anew." in answer.stdout
    assert texts(current_db) == before
    document = json.loads(CliRunner().invoke(migrate, ["--db", str(current_db), "--dry-run", "--json"]).stdout)
    assert len(document["views"]) == 2
    assert "Its views were made anew." in CliRunner().invoke(migrate, ["--db", str(current_db)]).stdout
    assert texts(current_db) == views.statements()


def test_check_says_how_the_views_of_another_release_become_ours(current_db: Path) -> None:
    run(current_db, "DROP VIEW errors_by_day")
    (finding,) = check(current_db)
    assert finding.what == "1 views are not those of this release, the first: view errors_by_day is missing"
    start(current_db)
    assert check(current_db) == ()


def test_a_repair_mends_tables_whatever_the_views_say(db_path: Path, tmp_path: Path) -> None:
    run(released(NEWEST, db_path), "DROP INDEX completion_requests_timestamp; DROP VIEW errors_by_day")
    (tmp_path / "saved").mkdir()
    assert repair(db_path, backup_dir=tmp_path / "saved").backup is not None
    start(db_path)
    assert texts(db_path) == views.statements()


@pytest.mark.parametrize(
    "change", ["DROP VIEW errors_by_day", "DROP VIEW lost_events; CREATE VIEW lost_events AS SELECT 1"]
)
@pytest.mark.parametrize("arguments", [["llm-top"], ["llm-report", "--output", "report.html"]])
def test_a_reader_does_not_mind_the_views_of_another_release(
    current_db: Path, tmp_path: Path, change: str, arguments: list[str]
) -> None:
    run(current_db, change)
    before = texts(current_db)
    command = [str(Path(sys.executable).with_name("sqlite-utils")), arguments[0], str(current_db), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(current_db) == before
