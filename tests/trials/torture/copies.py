"""T5, T6, T13: backups while recorders write."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Container
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.errors import BackupFailed
from llm_metrics_proxy.recorder.store.database import connect
from tests.support.percentile import percentile
from tests.trials.torture.case import Broken, Outcome, Stage, expect
from tests.trials.torture.faults import database_of_ours
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording, processes
from tests.trials.torture.verdict import ask, check, check_sound, ids, spilled_ids, wait_until

type Copy = Callable[[Path, Path], Path]

_RATE = 1_500
_WRITERS = 2
_AT_ONCE = 4
_EACH = 50
_ENDS_WITHIN = 20.0  # seconds, of a backup that cannot be made


def backups(stage: Stage) -> Outcome:
    """T5: each backup is sound, and has all that was acknowledged before it began."""
    return _copies(stage, lambda path, folder: backup.create(path, backup_dir=folder), rounds=60)


def plain_copies(stage: Stage) -> Outcome:
    """T5's control: copies of the file."""

    def copy(path: Path, folder: Path) -> Path:
        return Path(shutil.copy(path, folder / "copy.db"))

    return _copies(stage, copy, rounds=60)


def plain_copies_with_wal(stage: Stage) -> Outcome:
    """T5's second control: copies of the file and of its WAL, with a checkpoint between the two.

    Without one, as under light load, such copies are right most of the time, which makes them look safe.
    """

    def copy(path: Path, folder: Path) -> Path:
        shutil.copy(path, folder / "copy.db")
        ask(path, "PRAGMA wal_checkpoint(RESTART)")
        time.sleep(0.05)
        shutil.copy(f"{path}-wal", folder / "copy.db-wal")
        return folder / "copy.db"

    return _copies(stage, copy, rounds=60)


def _copies(stage: Stage, copy: Copy, *, rounds: int) -> Outcome:
    path = database_of_ours(stage.folder / "metrics.db")
    took: list[float] = []
    with ExitStack() as running:
        writers = [running.enter_context(Recording(Plan(path, rate=_RATE))) for _ in range(_WRITERS)]
        for writer in writers:
            wait_until(partial(_records, writer), "events are recorded")
        for number in range(stage.rounds(rounds)):
            time.sleep(0.05)
            before = [(writer.plan, writer.last.acknowledged) for writer in writers]
            aside = spilled_ids(path)  # acknowledged as well, and no part of the database yet
            began = time.monotonic()
            folder = stage.sub(number)
            made = copy(path, folder)
            took.append((time.monotonic() - began) * 1e3)
            check_copy(made, before, aside)
            shutil.rmtree(folder)
        for writer in writers:
            writer.stop()
        check(writers, path)
    longest = max(writer.last.longest_wait_ms for writer in writers)
    return Outcome(
        stage.rounds(rounds),
        {
            "backup ms p50": round(percentile(took, 0.5)),
            "an event waited at most ms": round(longest),
            "kept aside": sum(writer.last.counters.get("spilled", 0) for writer in writers),
        },
    )


def _records(writer: Recording) -> bool:
    return writer.last.acknowledged > 0


def check_copy(made: Path, before: list[tuple[Plan, int]], aside: Container[str] = ()) -> None:
    """Sound, nothing twice, nothing missing that was acknowledged before, but for what was kept `aside` then.

    Raises:
        Broken: it is not.
    """
    try:
        check_sound(made)
        found = ids(made)
    except sqlite3.Error as error:
        raise Broken(f"the copy cannot be read: {error}") from error
    for plan, acknowledged in before:
        ours = map(plan.event_id, range(acknowledged))
        missing = sum(event_id not in found and event_id not in aside for event_id in ours)
        expect(not missing, f"the copy lacks {missing} of {acknowledged} acknowledged events")


def locked_for_ever(stage: Stage) -> Outcome:
    """T6: a backup of a database that another process holds alone ends with a sentence, and leaves nothing."""
    path = database_of_ours(stage.folder / "metrics.db")
    saved = stage.sub("saved")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with ProcessPoolExecutor(1, mp_context=processes) as pool:
            said = pool.submit(_backup_refused, path, saved).result(timeout=_ENDS_WITHIN * 2)
        took = time.monotonic() - began
    expect(said, "a backup was made of a locked database")
    expect(took < _ENDS_WITHIN, f"it took {took:.0f} s")
    expect(not list(saved.iterdir()), f"it left {[file.name for file in saved.iterdir()]}")
    return Outcome(1, {"ended after s": round(took, 1)})


def locked_for_ever_bare(stage: Stage) -> Outcome:
    """T6's control: Connection.backup alone never ends."""
    path = database_of_ours(stage.folder / "metrics.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        child = processes.Process(target=_bare_backup, args=(path, stage.folder / "copy.db"), daemon=True)
        child.start()
        child.join(_ENDS_WITHIN)
        try:
            expect(not child.is_alive(), f"it had not ended after {_ENDS_WITHIN:.0f} s")
        finally:
            child.kill()
            child.join()
    return Outcome(1)


def same_millisecond(stage: Stage) -> Outcome:
    """T13: backups of several processes at once never share a name."""
    path = database_of_ours(stage.folder / "metrics.db")
    saved = stage.sub("saved")
    each = stage.rounds(_EACH)
    with ProcessPoolExecutor(_AT_ONCE, mp_context=processes) as pool:
        names = [name for made in pool.map(_backups, [(path, saved, each)] * _AT_ONCE) for name in made]
    expect(len(set(names)) == _AT_ONCE * each, f"{len(names)} backups have {len(set(names))} names")
    files = sorted(file.name for file in saved.iterdir() if not file.name.endswith(".sha256"))
    expect(files == sorted(names), f"{set(files) ^ set(names)} should not be there")
    for file in files:
        check_sound(saved / file)
    return Outcome(each, {"backups": len(names)})


def _backups(what: tuple[Path, Path, int]) -> list[str]:
    path, saved, each = what
    return [backup.create(path, backup_dir=saved).name for _ in range(each)]


def _backup_refused(path: Path, saved: Path) -> str | None:
    try:
        backup.create(path, backup_dir=saved)
    except BackupFailed as error:
        return str(error)
    return None


def _bare_backup(path: Path, copy: Path) -> None:
    with closing(connect(path, timeout=1)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
