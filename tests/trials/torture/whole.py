"""Everything one after the other, and a file of a gigabyte: what users will meet, at 200 events a second."""

import shutil
import sqlite3
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.restore import restore
from tests.support.percentile import percentile
from tests.trials.torture.case import Blocked, Outcome, Stage, expect
from tests.trials.torture.disks import memory_disk
from tests.trials.torture.faults import MOVES, SUFFIXES, database_of_ours, full_disk, write_lock
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.verdict import check, stored, until_written, wait_until

_RATE = 200
_MEGABYTES = 32
_LOCK_SECONDS = 10.0
_FULL_SECONDS = 4.0
_ROOM = 6  # copies: the file, two backups, what a restore prepares, its WAL, and air
_FILL = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO completion_requests (timestamp, success, status_code, response_time_ms, model, is_streaming, event_id,
        error_message)
    SELECT '2026-01-01T00:00:00.000Z', 1, 200, 1, 'filling', 0, lower(hex(randomblob(16))), hex(randomblob(450)) FROM n
"""


def one_after_the_other(stage: Stage) -> Outcome:
    """A lock of 10 s, a full disk, the files removed: 0 lost, 0 twice."""
    lock_seconds = min(stage.seconds(_LOCK_SECONDS), _LOCK_SECONDS)
    with memory_disk(stage.folder, _MEGABYTES) as disk:
        path = disk / "metrics.db"
        with Recording(Plan(path, rate=_RATE)) as recording:
            wait_until(lambda: stored(recording) > _RATE, "events are recorded")
            with write_lock(path):
                time.sleep(lock_seconds)
            until_written(recording, "the lock")
            with full_disk(disk):
                time.sleep(_FULL_SECONDS)
            until_written(recording, "the full disk")
            MOVES["all three unlinked"](path)
            time.sleep(1)
            until_written(recording, "the removal")
            last = recording.stop()
        events = check([recording], path)
    expect(not last.dropped, f"{len(last.dropped)} events were dropped")
    figures = {
        "events": events,
        "lost": 0,
        "twice": 0,
        "kept aside": last.counters.get("spilled", 0),
        "slowest submit ms": round(last.slowest_submit_ms, 1),
        "an event waited for a place at most ms": round(last.longest_wait_ms),
    }
    return Outcome(1, figures)


def large_file(stage: Stage) -> Outcome:
    """Backup and restore of a large file while recording: no event lost; how long an event waited is measured."""
    free = shutil.disk_usage(stage.folder).free
    if free < stage.megabytes * _ROOM * 1_000_000:
        raise Blocked(f"{free / 1e9:.1f} GB are free, and {stage.megabytes * _ROOM / 1e3:.1f} GB are needed")
    path = database_of_ours(stage.folder / "metrics.db")
    _fill(path, stage.megabytes)
    saved = stage.sub("saved")
    size = round(path.stat().st_size / 1e6)
    with Recording(Plan(path, rate=_RATE)) as recording, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: recording.last.acknowledged > _RATE, "events are recorded")
        copied, backup_seconds = _timed(pool.submit(backup.create, path, backup_dir=saved))
        last = recording.stop()
    check([recording], path)
    figures: dict[str, object] = {"MB": size, "backup s": round(backup_seconds, 1)}
    figures |= _waits("backup", last.longest_wait_ms, last.delays_ms)
    with Recording(Plan(path, rate=_RATE)) as second, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: second.last.acknowledged > _RATE, "events are recorded")
        _, restore_seconds = _timed(pool.submit(restore, path, copied, backup_dir=saved))
        until_written(second, "the restore")
        last = second.stop()
    safety = sorted(saved.glob("*.backup"))
    check([second], path, beside=safety)
    check([recording], path, beside=safety)
    figures |= {"restore s": round(restore_seconds, 1)} | _waits("restore", last.longest_wait_ms, last.delays_ms)
    for suffix in SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return Outcome(1, figures)


def _timed[T](work: Future[T]) -> tuple[T, float]:
    began = time.monotonic()
    result = work.result()
    return result, time.monotonic() - began


def _waits(during: str, longest: float, delays: tuple[float, ...]) -> dict[str, object]:
    return {
        f"an event waited during {during} at most ms": round(longest),
        f"p99 during {during} ms": round(percentile(delays, 0.99)),
    }


def _fill(path: Path, megabytes: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        while path.stat().st_size < megabytes * 1_000_000:
            connection.execute(_FILL)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
