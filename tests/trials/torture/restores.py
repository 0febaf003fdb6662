"""T7: backups are put back while others read and write, and the restore is killed at random moments."""

import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.errors import RestoreFailed
from llm_metrics_proxy.recorder.restore import restore
from tests.support.percentile import percentile
from tests.trials.torture.case import Broken, Outcome, Stage, expect
from tests.trials.torture.faults import database_of_ours
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording, processes
from tests.trials.torture.verdict import check, check_sound

_MARKED = 3_000
_INSERT = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    INSERT INTO completion_requests
        (timestamp, success, status_code, response_time_ms, model, origin, is_streaming, event_id)
    SELECT '2026-01-01T00:00:00.000Z', 1, 200, 1, 'old', 'marked', 0, lower(hex(randomblob(16))) FROM n
"""
_CHANGE = "UPDATE completion_requests SET model = 'new' WHERE origin = 'marked'"
_STATE = "SELECT DISTINCT model FROM completion_requests WHERE origin = 'marked'"
_COUNT = "SELECT count(*) FROM completion_requests WHERE origin = 'marked'"


def live(stage: Stage) -> Outcome:
    """No reader sees a mix; every acknowledged event is in the database or in a safety backup."""
    path, saved = _marked(stage)
    rounds = stage.rounds(30)
    took: list[float] = []
    kept: list[Path] = []
    with _reading(path) as reads, Recording(Plan(path, rate=100)) as writer:
        for _ in range(rounds):
            _change(path)
            began = time.monotonic()
            restored = restore(path, saved, backup_dir=saved.parent)
            took.append((time.monotonic() - began) * 1e3)
            if restored.safety is None:
                raise Broken("there is no safety backup")
            kept.append(restored.safety.rename(stage.folder / f"{len(kept)}.safety"))  # or retention takes it
            expect(_state(path) == "old", "the restore changed nothing")
        writer.stop()
    check([writer], path, beside=kept)
    expect(reads, "nobody read")
    mixed = [state for state in reads if state not in ("old", "new")]
    expect(not mixed, f"{len(mixed)} of {len(reads)} reads failed or saw a mix: {mixed[:1]}")
    figures = {
        "restore ms p50": round(percentile(took, 0.5)),
        "reads": len(reads),
        "an event waited at most ms": round(writer.last.longest_wait_ms),
    }
    return Outcome(rounds, figures)


def live_by_rename(stage: Stage) -> Outcome:
    """The control: a backup that is renamed over the live file. Rows go on into the old file."""
    path, saved = _marked(stage)
    with Recording(Plan(path, rate=200)) as writer, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(_CHANGE)
        for _ in range(stage.rounds(5)):
            _rename_over(stage, saved, path)
            time.sleep(0.3)
            try:
                fresh = _state(path)
                (seen,) = {model for (model,) in other.execute(_STATE)}
            except sqlite3.DatabaseError as error:  # the log of the old file beside the new one: either may meet it
                raise Broken(f"a connection sees: {error}") from error
            expect(seen == fresh, f"one connection sees {seen}, another {fresh}")
        writer.stop()
    return Outcome(stage.rounds(5))


def _rename_over(stage: Stage, saved: Path, path: Path) -> None:
    copy = stage.folder / "copy.db"
    shutil.copy(saved, copy)
    copy.replace(path)


def killed(stage: Stage) -> Outcome:
    """A restore that is killed leaves the old database or the new one, and both are sound."""
    path, saved = _marked(stage)
    _change(path)
    usual = _usual_seconds(path, saved)
    found = {"old": 0, "new": 0}
    rounds = stage.rounds(60)
    for number in range(rounds):
        _change(path)
        child = processes.Process(target=_restore, args=(path, saved), daemon=True)
        child.start()
        time.sleep(random.uniform(0, usual))
        child.kill()
        child.join()
        check_sound(path)
        found[_state(path)] += 1
        expect(_count(path) == _MARKED, f"round {number}: {_count(path)} of {_MARKED} rows")
    restore(path, saved, backup_dir=saved.parent)
    expect(_state(path) == "old", "the last restore changed nothing")
    expect(not list(path.parent.glob("*.restoring-*")), "what killed restores left is still there")
    return Outcome(rounds, {"left as before": found["new"], "restored": found["old"], "within ms": round(usual * 1e3)})


def locked(stage: Stage) -> Outcome:
    """A restore that does not get the lock gives up with a sentence, and changes nothing."""
    path, saved = _marked(stage)
    _change(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        try:
            restore(path, saved, backup_dir=saved.parent, abort_seconds=2)
        except RestoreFailed:
            took = time.monotonic() - began
        else:
            raise Broken("it restored a locked database")
    expect(took < 10, f"it took {took:.1f} s")
    expect(_state(path) == "new", "something was changed")
    return Outcome(1, {"gave up after s": round(took, 1)})


def _marked(stage: Stage) -> tuple[Path, Path]:
    path = database_of_ours(stage.folder / "metrics.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(_INSERT, (_MARKED,))
    saved = backup.create(path, backup_dir=stage.sub("saved"))
    return path, saved


def _change(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute(_CHANGE)


def _state(path: Path) -> str:
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return "+".join(sorted(model for (model,) in connection.execute(_STATE)))


def _count(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return int(connection.execute(_COUNT).fetchone()[0])


def _restore(path: Path, saved: Path) -> None:
    restore(path, saved, backup_dir=saved.parent)


def _usual_seconds(path: Path, saved: Path) -> float:
    began = time.monotonic()
    child = processes.Process(target=_restore, args=(path, saved))
    child.start()
    child.join()
    return (time.monotonic() - began) * 1.1


@contextmanager
def _reading(path: Path) -> Iterator[list[str]]:
    """Readers of all marked rows, on a connection that stays and on fresh ones; what each saw, or its error."""
    seen: list[str] = []
    ended = threading.Event()

    def read() -> None:
        with closing(sqlite3.connect(path, timeout=30)) as stays:
            while not ended.wait(0.01):
                try:
                    seen.append("+".join(sorted(model for (model,) in stays.execute(_STATE))))
                    seen.append(_state(path))
                except sqlite3.Error as error:
                    seen.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
