"""Migrations are made once for any number of starters, and all or nothing when one is killed."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from sqlite_utils import Database

from llm_metrics_proxy.migrations import (
    CURRENT_SCHEMA_VERSION,
    REGISTRY,
)
from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.schema import migrator
from llm_metrics_proxy.recorder.store import database
from tests.support.database import ask
from tests.support.forked import forking
from tests.unit.store.migrated import VERSION_1_COLUMNS, assert_version, columns, finish, released, words

FORKSERVER = forking(__name__)
STARTERS = 4
ROUNDS = int(os.environ.get("MIGRATION_ROUNDS", "25"))


def _start(path: Path, backup_dir: Path, go_at: float) -> None:
    time.sleep(max(go_at - time.time(), 0))
    Recorder(path, backup_dir=backup_dir).open()


def _start_and_be_killed(path: Path, backup_dir: Path) -> None:
    @REGISTRY(name="m9999_killed")
    def killed(_db: Database) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Recorder(path, backup_dir=backup_dir).open()


@pytest.mark.parametrize("old", [False, True])
def test_of_several_starters_one_migrates_and_all_go_on(
    db_path: Path, tmp_path: Path, *, old: bool, request: pytest.FixtureRequest
) -> None:
    if old:
        request.getfixturevalue("version_1")
    go_at = time.time() + 0.3  # when all are there
    processes: list[BaseProcess] = [
        FORKSERVER.Process(target=_start, args=(db_path, tmp_path / "saved", go_at)) for _ in range(5)
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
    process = FORKSERVER.Process(target=_start_and_be_killed, args=(version_1, tmp_path / "saved"))
    process.start()
    assert finish([process]) == [-signal.SIGKILL]
    assert_version(version_1, 1)
    assert columns(version_1) == words(VERSION_1_COLUMNS)
    Recorder(version_1, backup_dir=tmp_path / "saved").open()
    assert_version(version_1, CURRENT_SCHEMA_VERSION)


def test_a_kill_of_the_first_start_leaves_a_file_that_is_still_new(db_path: Path, tmp_path: Path) -> None:
    process = FORKSERVER.Process(target=_start_and_be_killed, args=(db_path, tmp_path / "saved"))
    process.start()
    assert finish([process]) == [-signal.SIGKILL]
    Recorder(db_path, backup_dir=tmp_path / "saved").open()
    assert_version(db_path, CURRENT_SCHEMA_VERSION)
    assert list((tmp_path / "saved").glob("*.backup")) == []
    assert ask(db_path, "PRAGMA auto_vacuum") == [(2,)]


def _prepare(path: Path) -> None:
    schema.prepare(path, backup_dir=path.parent / "saved", lock_seconds=30)


def _apply_alone(path: Path) -> None:
    """What sqlite-utils offers by itself, on a connection with the same patience."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        REGISTRY.apply(Database(connection, execute_plugins=False))


def _start_each(paths: list[Path], start: Callable[[Path], None], gate: Barrier, answers: "Queue[str]") -> None:
    for path in paths:
        gate.wait()
        try:
            start(path)
        except Exception as error:  # noqa: BLE001 - the answer is what is counted
            answers.put(f"{type(error).__name__}: {error}")
        else:
            answers.put("")


def _old_files(tmp_path: Path, rounds: int) -> list[Path]:
    paths = []
    for number in range(rounds):
        (tmp_path / str(number) / "saved").mkdir(parents=True)
        paths.append(released("v1", tmp_path / str(number) / "metrics.db"))
    return paths


def _start_together(paths: list[Path], start: Callable[[Path], None]) -> list[str]:
    """Start `STARTERS` processes on each file in turn, at the same moment, and return what each start said."""
    gate, answers = FORKSERVER.Barrier(STARTERS), FORKSERVER.Queue()
    processes: list[BaseProcess] = [
        FORKSERVER.Process(target=_start_each, args=(paths, start, gate, answers)) for _ in range(STARTERS)
    ]
    for process in processes:
        process.start()
    said = [answers.get(timeout=100) for _ in range(STARTERS * len(paths))]
    assert finish(processes) == [0] * STARTERS
    return said


def test_of_four_simultaneous_starters_exactly_one_migrates_again_and_again(tmp_path: Path) -> None:
    paths = _old_files(tmp_path, ROUNDS)
    assert _start_together(paths, _prepare) == [""] * (STARTERS * ROUNDS)
    for path in paths:
        assert_version(path, CURRENT_SCHEMA_VERSION)
        assert len(list((path.parent / "saved").glob("*.backup"))) == 1
        assert ask(path, "SELECT kind FROM recorder_events") == [("migrate",)]


def test_without_the_outer_lock_the_same_starters_get_in_each_others_way(tmp_path: Path) -> None:
    """The control of the test above: it would pass for nothing if this one did."""
    assert any(_start_together(_old_files(tmp_path, 10), _apply_alone))


def _migrate_and_be_killed(path: Path, backup_dir: Path, statement: int) -> None:
    seen = 0

    def kill(_sql: str) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    with closing(database.open_for_start(path, timeout=30)) as connection:
        connection.set_trace_callback(kill)
        migrator.bring_up_to_date(connection, path, backup_dir=backup_dir)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_kill_at_any_statement_leaves_everything_or_nothing(tmp_path: Path, journal: str) -> None:
    statements: list[str] = []
    (path,) = _old_files(tmp_path / "seen", 1)
    with closing(database.open_for_start(path, timeout=30)) as connection:
        connection.set_trace_callback(statements.append)
        migrator.bring_up_to_date(connection, path, backup_dir=path.parent / "saved")
    points = [1, statements.index("COMMIT") + 1, *range(4, len(statements), 6)]
    paths = _old_files(tmp_path / "killed", len(points))
    rows = ask(paths[0], "SELECT * FROM completion_requests")
    for point, path in zip(points, paths, strict=True):
        ask(path, f"PRAGMA journal_mode={journal}")
        saved = path.parent / "saved"
        process = FORKSERVER.Process(target=_migrate_and_be_killed, args=(path, saved, point))
        process.start()
        assert finish([process]) == [-signal.SIGKILL]
        ((version,),) = ask(path, "PRAGMA user_version")
        assert version in {1, CURRENT_SCHEMA_VERSION}
        assert_version(path, int(str(version)))
        _prepare(path)
        assert_version(path, CURRENT_SCHEMA_VERSION)
        assert [row[:21] for row in ask(path, "SELECT * FROM completion_requests")] == rows
