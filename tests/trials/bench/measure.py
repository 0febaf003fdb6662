"""One workload through one system: the client's figures, and what the system used meanwhile."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median

from tests.trials.bench.commands import Close, Open, Report, Run
from tests.trials.bench.load import BenchFailedError, LoadClient
from tests.trials.bench.process import cpu_seconds, peak_rss_mb
from tests.trials.bench.systems import Running
from tests.trials.bench.traffic import Answer
from tests.trials.bench.workloads import Workload

type Figures = dict[str, float]

_WARM_UP = (Run(Answer.SMALL, 1, 20, 0), Run(Answer.BURST, 1, 2, 0))
_PATIENCE_SECONDS = 30.0
_EVENTS = "SELECT coalesce(sum(output_events), 0) FROM completion_requests"


def warm_up(client: LoadClient, running: Running) -> None:
    """Ask a little, so that nothing is done for the first time while it is measured."""
    client.do(Open(running.target, 1))
    for run in _WARM_UP:
        _run(client, running, run)
    client.do(Close())


def measured(client: LoadClient, running: Running, workload: Workload, other: LoadClient | None = None) -> Figures:
    """Return the figures of a workload; `other` asks what goes on beside it.

    Raises:
        BenchFailedError: an answer was wrong or never came.
    """
    run = Run(workload.answer, workload.concurrency, workload.count, workload.body, workload.lock_seconds)
    client.do(Open(running.target, 0 if workload.reconnects else workload.concurrency))
    if running.system.foreign is not None and not workload.reconnects:
        # The others connect to the provider with their client's connection, before anything is measured.
        _run(client, running, Run(Answer.SMALL, workload.concurrency, 1, 0))
    used_before, began = _cpu(running), time.monotonic_ns()
    with _asking_beside(other, running, workload):
        report = _run(client, running, run)
    used = _cpu(running) - used_before
    figures = dict(report.figures)
    if workload.lock_seconds:
        with write_lock(running.database):
            locked = _run(client, running, run).figures
        figures |= {f"locked_{name}": value for name, value in locked.items()}
        figures["locked_p99_quotient"] = locked["p99_ms"] / report.figures["p99_ms"]
    client.do(Close())
    if running.pid is not None:
        figures["cpu_us_per_request"] = used / report.requests * 1e6
        if report.events:
            figures["cpu_us_per_event"] = used / report.events * 1e6
        figures["peak_rss_mb"] = peak_rss_mb(running.pid)
    if running.lateness is not None:
        figures |= _held(running.lateness, began, report.ended)
    return figures


def rows_of(running: Running) -> Figures:
    """Wait until all calls have their rows, and return how many were sent, stored and lost, and likewise events.

    An event counts as lost if the row of its stream does not count it.
    """
    assert running.system.rows is not None  # noqa: S101 - asked only of systems that record
    deadline = time.monotonic() + _PATIENCE_SECONDS * running.system.is_ours
    while (stored := running.count(running.system.rows)) < running.sent and time.monotonic() < deadline:
        time.sleep(0.05)  # another process's transactions give no signal
    figures: Figures = {"sent": running.sent, "stored": stored, "lost": running.sent - stored}
    if running.system.is_ours:
        figures["events_lost"] = running.events - running.count(_EVENTS)
    return figures


def must_be_whole(figures: Figures, log: str) -> None:
    """See that our own addon has recorded everything, once.

    Raises:
        BenchFailedError: it has not.
    """
    if figures["lost"] or figures["events_lost"]:
        msg = f"llm-metrics stored {figures['stored']} rows of {figures['sent']} calls, and {figures['events_lost']}"
        msg += f" events are not counted; it printed:\n{log[-2000:]}"
        raise BenchFailedError(msg)


@contextmanager
def _asking_beside(other: LoadClient | None, running: Running, workload: Workload) -> Iterator[None]:
    """Ask what goes on beside a workload, from before it until about its end."""
    beside = workload.beside
    if beside is None or other is None:
        yield
        return
    seconds = workload.seconds
    run = Run(beside.answer, beside.concurrency, 0, beside.body, seconds)
    other.do(Open(running.target, beside.concurrency))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(other.do, run)
        try:
            yield
        finally:
            report = asking.result()
            running.sent += report.requests
            running.events += report.events
            other.do(Close())


def _run(client: LoadClient, running: Running, run: Run) -> Report:
    report = client.do(run)
    running.sent += report.requests
    running.events += report.events
    return report


def _cpu(running: Running) -> float:
    return cpu_seconds(running.pid) if running.pid is not None else 0.0


def _held(path: Path, began: int, ended: list[int]) -> Figures:
    """Return how long the event loop was held: the longest for each request, of which median and worst.

    The worst also by the CPU time of the loop's thread: what is missing there the machine had taken away.
    """
    lines = [line.split() for line in path.read_text().splitlines()]
    held = [(int(at), float(late), float(used)) for at, late, used in lines]
    longest = [
        max(((late, min(late, used)) for at, late, used in held if start < at <= end), default=(0.0, 0.0))
        for start, end in pairwise([began, *ended])
    ]
    return {
        "typical_hold_ms": median(late for late, _ in longest),
        "worst_hold_ms": max(late for late, _ in longest),
        "worst_hold_cpu_ms": max(used for _, used in longest),
    }


@contextmanager
def write_lock(database: Path | None) -> Iterator[None]:
    """Hold the lock that writers of a database need; this is another process than the one that writes it."""
    if database is None:
        yield
        return
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
