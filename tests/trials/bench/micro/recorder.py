"""Costs of the recorder: rows through the DAO beside the same through SQLite alone, and a queue being emptied."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

import msgspec

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.support.percentile import percentile
from tests.trials.bench.micro.fixture import Benchmark
from tests.trials.bench.micro.material import rows

_BATCH = 500  # what the recorder commits at once
_ROWS = 20_000
_ROUNDS = 7
_DRAINED = 100_000
_TICK_SECONDS = 0.001

type Insert = Callable[[sqlite3.Connection, list[CompletionRequest]], None]


def test_dao(benchmark: Benchmark, tmp_path: Path) -> None:
    """Insert full rows in batches, committed with synchronous=FULL, in turn with a bare executemany of the same."""
    events = rows(_ROWS)
    statement = f"INSERT INTO completion_requests ({', '.join(CompletionRequest.__struct_fields__)}) VALUES"
    statement += f" ({', '.join('?' * len(CompletionRequest.__struct_fields__))})"
    plain = {id(event): msgspec.structs.astuple(event) for event in events}

    def bare(connection: sqlite3.Connection, batch: list[CompletionRequest]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, [plain[id(event)] for event in batch])
        connection.execute("COMMIT")

    def dao(connection: sqlite3.Connection, batch: list[CompletionRequest]) -> None:
        CompletionRequestsDAO(connection).insert_completion_requests(batch)

    ways: dict[str, Insert] = {"bare": bare, "dao": dao}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}

    def turn(number: int) -> None:
        for name in sorted(ways, reverse=number % 2 == 1):
            taken[name].append(_insert(ways[name], events, tmp_path / f"{number}-{name}.db"))

    numbers = iter(range(_ROUNDS))
    benchmark.pedantic(lambda: turn(next(numbers)), rounds=_ROUNDS)
    pairs = list(zip(taken["bare"], taken["dao"], strict=True))
    benchmark.extra_info["figures"] = {
        "dao_rows_per_s": _ROWS / median(wall for wall, _ in taken["dao"]),
        "dao_us_per_row": median(cpu for _, cpu in taken["dao"]) / _ROWS * 1e6,
        "bare_rows_per_s": _ROWS / median(wall for wall, _ in taken["bare"]),
        "bare_us_per_row": median(cpu for _, cpu in taken["bare"]) / _ROWS * 1e6,
        "dao_rows_ratio": median(bare_wall / dao_wall for (bare_wall, _), (dao_wall, _) in pairs),
        "dao_cpu_ratio": median(dao_cpu / bare_cpu for (_, bare_cpu), (_, dao_cpu) in pairs),
    }


def test_drain(benchmark: Benchmark, tmp_path: Path) -> None:
    """Watch the event loop by a tick each millisecond, while a recorder writes 100,000 rows that wait in its queue."""
    events = rows(_DRAINED)
    figures: dict[str, float] = {}
    benchmark.extra_info["figures"] = figures

    def drain() -> None:
        recorder = Recorder(tmp_path / "metrics.db", queue_size=_DRAINED, backup_interval=None)
        recorder.open()
        for event in events:
            recorder.submit(event)
        idle = asyncio.run(_lateness(lambda began: time.monotonic() - began > 1))
        began = time.monotonic()
        recorder.start()
        late = asyncio.run(_lateness(lambda _: recorder.counters().get("written", 0) == _DRAINED))
        figures["drain_rows_per_s"] = _DRAINED / (time.monotonic() - began)
        recorder.close()
        for name, ticks in (("idle", idle), ("drain", late)):
            figures[f"{name}_late_p50_ms"] = percentile(ticks, 0.50)
            figures[f"{name}_late_p99_ms"] = percentile(ticks, 0.99)
            figures[f"{name}_late_max_ms"] = max(ticks)

    benchmark.pedantic(drain, rounds=1)


async def _lateness(is_over: Callable[[float], bool]) -> list[float]:
    """Return by how many milliseconds each tick came late."""
    late, began = [], time.monotonic()
    while not is_over(began):
        due = time.monotonic() + _TICK_SECONDS
        await asyncio.sleep(_TICK_SECONDS)
        late.append((time.monotonic() - due) * 1000)
    return late


def _insert(insert: Insert, events: list[CompletionRequest], path: Path) -> tuple[float, float]:
    """Return seconds by the clock and CPU seconds of this thread."""
    maker = Recorder(path, backup_interval=None)
    maker.open()
    maker.close()
    batches = [events[start : start + _BATCH] for start in range(0, len(events), _BATCH)]
    with closing(open_writer(path)) as connection:
        began, used = time.monotonic(), time.thread_time()
        for batch in batches:
            insert(connection, batch)
        taken = time.monotonic() - began, time.thread_time() - used
        ((count,),) = connection.execute("SELECT count(*) FROM completion_requests").fetchall()
    assert count == len(events)
    return taken
