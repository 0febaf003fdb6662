"""T1, T2: several processes start on an old file at once, and some are killed while they migrate it."""

import random
import sqlite3
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sqlite_utils import Database

from llm_metrics_proxy.migrations import APPLICATION_ID, CURRENT_SCHEMA_VERSION, NAMES, REGISTRY
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import identity
from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.recording import processes
from tests.trials.torture.verdict import ask, check_sound

_STARTERS = 4
_ROUNDS = 25
_ROWS = 50
_MODES = ("delete", "wal")
_barrier: list[threading.Barrier] = []

_INSERT = """
    INSERT INTO completion_requests (timestamp, success, status_code, response_time_ms, model, is_streaming)
    VALUES ('2026-01-01T00:00:00.000Z', 1, 200, 700, 'gpt-4', 0)
"""


class Started(NamedTuple):
    """The end of a start: the error, if any, and the time it took."""

    error: str | None
    seconds: float


def version_1(path: Path, mode: str = "delete", rows: int = _ROWS) -> Path:
    """A database as the release of version 1 left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        REGISTRY.apply(Database(connection, execute_plugins=False), stop_before=NAMES[1])
        connection.execute("INSERT INTO schema_version VALUES (1, '2026-01-01T00:00:00.000Z')")
        connection.execute("PRAGMA user_version=1")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("BEGIN")
        for _ in range(rows):
            connection.execute(_INSERT)
        connection.execute("COMMIT")
    return path


def together(stage: Stage) -> Outcome:
    """T1: one migrates, exactly one backup, all others go on."""
    waits: list[float] = []
    rounds = stage.rounds(_ROUNDS)
    for number, (path, ended) in enumerate(_starts(stage, rounds, _start)):
        failed = [one.error for one in ended if one.error]
        expect(not failed, f"round {number}: {len(failed)} starters failed: {failed[:1]}")
        backups = list(path.parent.glob("*.backup"))
        expect(len(backups) == 1, f"round {number}: {len(backups)} backups")
        _check_migrated(path)
        waits += [one.seconds for one in ended]
    return Outcome(rounds, {"starts": len(waits), "longest start ms": round(max(waits) * 1e3)})


def together_without_lock(stage: Stage) -> Outcome:
    """T1's control: sqlite-utils' Migrations.apply alone."""
    rounds = stage.rounds(_ROUNDS)
    for number, (_, ended) in enumerate(_starts(stage, rounds, _start_bare)):
        failed = [one.error for one in ended if one.error]
        expect(not failed, f"round {number}: {len(failed)} of {_STARTERS} starters failed: {failed[:1]}")
    return Outcome(rounds)


def killed(stage: Stage) -> Outcome:
    """T2: whenever the migrator is killed, the file is old or new, and the next start goes through."""
    rounds = stage.rounds(60)
    found = {"old": 0, "new": 0}
    usual = _usual_seconds(stage)
    for number in range(rounds):
        path = version_1(stage.sub(number) / "metrics.db", _MODES[number % len(_MODES)])
        child = processes.Process(target=_start, args=(path,), daemon=True)
        child.start()
        time.sleep(random.uniform(0, usual))
        child.kill()
        child.join()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            version = identity.version_of(connection, path)
        found["new" if version == CURRENT_SCHEMA_VERSION else "old"] += 1
        ended = _start(path)
        expect(ended.error is None, f"round {number}: the next start failed: {ended.error}")
        _check_migrated(path)
    return Outcome(rounds, {"left old": found["old"], "left new": found["new"], "killed within ms": round(usual * 1e3)})


def _usual_seconds(stage: Stage) -> float:
    """From the birth of a process to the end of its migration."""
    path = version_1(stage.sub("usual") / "metrics.db")
    began = time.monotonic()
    child = processes.Process(target=_start, args=(path,))
    child.start()
    child.join()
    return (time.monotonic() - began) * 1.1


def _starts(stage: Stage, rounds: int, start: object) -> Iterable[tuple[Path, list[Started]]]:
    barrier = processes.Barrier(_STARTERS)
    with ProcessPoolExecutor(_STARTERS, mp_context=processes, initializer=_meet_at, initargs=(barrier,)) as pool:
        for number in range(rounds):
            path = version_1(stage.sub(number) / "metrics.db", _MODES[number % len(_MODES)])
            # Each waits at the barrier for all others, so that each process gets one.
            yield path, list(pool.map(_at_once, [(start, path)] * _STARTERS))


def _meet_at(barrier: threading.Barrier) -> None:
    _barrier.append(barrier)


def _at_once(what: tuple[object, Path]) -> Started:
    start, path = what
    _barrier[0].wait(60)
    return _start_bare(path) if start is _start_bare else _start(path)


def _start(path: Path) -> Started:
    began = time.monotonic()
    try:
        Recorder(path, backup_dir=path.parent).open()
    except Exception as error:  # noqa: BLE001 - it is the answer
        return Started(f"{type(error).__name__}: {error}", time.monotonic() - began)
    return Started(None, time.monotonic() - began)


def _start_bare(path: Path) -> Started:
    began = time.monotonic()
    try:
        with closing(sqlite3.connect(path)) as connection:
            REGISTRY.apply(Database(connection, execute_plugins=False))
    except Exception as error:  # noqa: BLE001 - it is the answer
        return Started(f"{type(error).__name__}: {error}", time.monotonic() - began)
    return Started(None, time.monotonic() - began)


def _check_migrated(path: Path) -> None:
    check_sound(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        version = identity.version_of(connection, path)
    expect(version == CURRENT_SCHEMA_VERSION, f"{path.name} has version {version} in the end")
    ((rows,),) = ask(path, "SELECT count(*) FROM completion_requests")
    expect(rows == _ROWS, f"{_ROWS} rows became {rows}")
    left = [file.name for file in path.parent.glob("*.tmp")]
    # A killed migrator leaves the copy that it was making; the sweep of a later start takes what is old.
    expect(len(left) <= 1, f"{left} were left")
