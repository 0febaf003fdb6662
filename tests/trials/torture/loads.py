"""T16, T17, T19, T20: readers that stay, the event loop beside the recorder, poison rows, and the end under a lock."""

import asyncio
import random
import sqlite3
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import rejected
from tests.support.percentile import percentile
from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.faults import database_of_ours, write_lock
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording, processes
from tests.trials.torture.verdict import check, ids, run_once, spilled_ids, wait_until

_WAL_LIMIT = 5 << 20  # bytes; the recorder asks for 4 MiB
_TICK = 0.001
_MOST_LATE_MS = 50.0  # p99 of a 1 ms tick, with other load on the machine
_POISON_SHARE = 0.05
_CLOSE_SECONDS = 3.0
_MORE_MS = 300.0  # than the deadline


def pinned_wal(stage: Stage) -> Outcome:
    """A reader that stays makes the WAL grow; when it has gone, the WAL shrinks below its limit."""
    path = database_of_ours(stage.folder / "metrics.db")
    wal = path.with_name(f"{path.name}-wal")
    with Recording(Plan(path, rate=2_000, padding=1_000)) as recording:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM completion_requests").fetchone()
            wait_until(lambda: wal.stat().st_size > 2 * _WAL_LIMIT, "the WAL grows under the reader")
            largest = wal.stat().st_size
        took = wait_until(lambda: wal.stat().st_size < _WAL_LIMIT, "the WAL shrinks again")
        recording.stop()
    check([recording], path)
    return Outcome(1, {"WAL grew to MB": round(largest / 1e6), "small again after s": round(took, 1)})


def lateness(stage: Stage) -> Outcome:
    """A 1 ms tick of asyncio beside the recorder, in the same process; idle and loaded in turns."""
    seconds = stage.seconds(5.0)
    figures: dict[str, object] = {}
    for rate in (0, 500, 5_000):
        ours, theirs = processes.Pipe()
        path = stage.folder / f"metrics-{rate}.db"
        child = processes.Process(target=_tick_and_record, args=(path, rate, seconds, theirs), daemon=True)
        child.start()
        theirs.close()
        late: list[float] = ours.recv()
        child.join()
        ours.close()
        p99 = percentile(late, 0.99)
        figures[f"late ms p99/max at {rate}/s"] = f"{p99:.1f}/{max(late):.1f}"
        expect(p99 < _MOST_LATE_MS * stage.slack, f"at {rate} events/s the p99 of the lateness is {p99:.1f} ms")
    return Outcome(3, figures)


def _tick_and_record(path: Path, rate: int, seconds: float, pipe: Connection) -> None:
    plan = Plan(path)
    recorder = Recorder(path, backup_dir=path.parent)
    recorder.open()
    recorder.start()
    late: list[float] = []

    async def tick() -> None:
        began = last = time.monotonic()
        submitted = 0
        while last - began < seconds:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            late.append((now - last - _TICK) * 1e3)
            while submitted < (now - began) * rate:
                recorder.submit(plan.event(submitted))
                submitted += 1
            last = time.monotonic()

    asyncio.run(tick())
    recorder.close()
    pipe.send(late)


def poison(stage: Stage) -> Outcome:
    """Rows that cannot be stored cost only themselves: they are kept in rejected.jsonl, and counted."""
    path = database_of_ours(stage.folder / "metrics.db")
    plan = Plan(path)
    recorder = Recorder(path, backup_dir=path.parent)
    recorder.open()
    recorder.start()
    bad = set()
    total = stage.rounds(20) * 1_000
    for number in range(total):
        event = plan.event(number)
        if random.random() < _POISON_SHARE:
            bad.add(number)
            event = _poisoned(event)
        while not recorder.submit(event):
            time.sleep(0.01)
            event = _poisoned(plan.event(number)) if number in bad else plan.event(number)
    recorder.close(60)
    counters = recorder.counters()
    found = ids(path)
    missing = sum(plan.event_id(n) not in found for n in range(total) if n not in bad)
    expect(not missing, f"{missing} good events are lost")
    expect(sum(found.values()) == total - len(bad), f"{sum(found.values())} rows of {total - len(bad)}")
    expect(counters.get("rejected") == len(bad), f"{len(bad)} bad events: {counters}")
    lines = (spill_folder.folder_of(path) / rejected.FILE_NAME).read_bytes().count(b"\n")
    expect(lines == len(bad), f"{lines} lines for {len(bad)} bad events")
    return Outcome(1, {"events": total, "of them bad": len(bad)})


def _poisoned(event: CompletionRequest) -> CompletionRequest:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    field, value = random.choice(_POISON)
    return CompletionRequest(**fields | {field: value})


_POISON: tuple[tuple[str, object], ...] = (
    ("prompt_tokens", 2**63),
    ("error_message", "\ud800"),
    ("status_code", None),
    ("model", {"a": 1}),
    ("timestamp", None),
)


def closed_while_locked(stage: Stage) -> Outcome:
    """The end keeps its deadline; all is in the spill file, and in the database after the next start."""
    rounds = stage.rounds(10)
    slowest = 0.0
    kept = 0
    for number in range(rounds):
        path = stage.sub(number) / "metrics.db"
        with Recording(Plan(path, rate=2_000, close_seconds=_CLOSE_SECONDS)) as recording:
            wait_until(lambda recording=recording: recording.last.acknowledged > 100, "events are recorded")  # type: ignore[misc] # a default
            with write_lock(path):
                time.sleep(random.uniform(0, 1))
                last = recording.stop()
                check([recording], path, waiting=True)
                kept += len(spilled_ids(path))
        slowest = max(slowest, last.close_ms or 0.0)
        expect(
            slowest < _CLOSE_SECONDS * 1e3 + _MORE_MS * stage.slack,
            f"close took {slowest:.0f} ms of {_CLOSE_SECONDS * 1e3:.0f}",
        )
        run_once(path)
        check([recording], path)
    return Outcome(rounds, {"slowest close ms": round(slowest), "kept aside": kept})
