"""The child's side of a recording: a recorder under load, which says what it holds to be durable.

Events have numbers. The recorder takes them in order into the database or into a spill file, so what its counters say
has left the queue is a number below which everything is acknowledged.
"""

import logging
import secrets
import signal
import sqlite3
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.events import CompletionRequest, timestamp_of
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import database

_TICK = 0.005
_REPORT_SECONDS = 0.02
_SAMPLES = 3


@dataclass(frozen=True)
class Plan:
    """The task of a recorder; `rate` is events a second, `padding` bytes of text in each."""

    database: Path
    rate: float = 200
    name: str = field(default_factory=lambda: secrets.token_hex(6))
    queue_size: int = 10_000
    padding: int = 200
    most: int | None = None  # events in all
    close_seconds: float = 5.0
    synchronous: str | None = None  # a weakness, for a control
    trusting: bool = False  # another: what was only submitted is called acknowledged

    def event_id(self, number: int) -> str:
        """32 hex digits."""
        return f"{self.name}{number:020x}"

    def event(self, number: int) -> CompletionRequest:
        """An event that tells from its id where it came from."""
        return CompletionRequest(
            timestamp=timestamp_of(time.time_ns()),
            success=True,
            status_code=200,
            response_time_ms=100,
            is_streaming=False,
            model="torture",
            error_message="x" * self.padding,
            event_id=self.event_id(number),
        )


@dataclass(frozen=True)
class Progress:
    """A recorder's report; `acknowledged` numbers, from 0, are durable. Times are milliseconds."""

    submitted: int = 0
    acknowledged: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    dropped: tuple[int, ...] = ()
    slowest_submit_ms: float = 0.0
    delays_ms: tuple[float, ...] = ()  # from submit to durable, only at the end
    longest_wait_ms: float = 0.0  # of an event for being durable
    close_ms: float | None = None
    refused: str | None = None


def handled(counters: dict[str, int]) -> int:
    """Return the number of events that have left the memory, wherever they went."""
    ends = ("written", "completed", "duplicates", "unrecognised", "tunnelled", "limits", "rejected", "spilled")
    lost = sum(n for name, n in counters.items() if name.startswith("dropped_") and name != "dropped_queue_full")
    return sum(counters.get(name, 0) for name in ends) + lost - counters.get("replayed", 0)


class _Load:
    """Submits at the plan's rate, and watches what becomes durable."""

    def __init__(self, recorder: Recorder, plan: Plan) -> None:
        self._recorder = recorder
        self._plan = plan
        self._waiting: deque[float] = deque()
        self._samples: deque[int] = deque([0] * _SAMPLES, _SAMPLES)
        self._delays: list[float] = []
        self._dropped: list[int] = []
        self._submitted = self._acknowledged = 0
        self._slowest = self._longest = 0.0

    def submit_until(self, due: int) -> None:
        while self._submitted < due:
            began = time.monotonic()
            if self._recorder.submit(self._plan.event(self._submitted)):
                self._waiting.append(began)
            else:
                self._dropped.append(self._submitted)
            self._slowest = max(self._slowest, time.monotonic() - began)
            self._submitted += 1

    def look(self) -> None:
        # Counters of a replayed piece are added one after the other, so that a single look may see too much.
        self._samples.append(handled(self._recorder.counters()))
        now = time.monotonic()
        durable = min(self._samples)
        while self._acknowledged < durable and self._waiting:
            self._delays.append(now - self._waiting.popleft())
            self._acknowledged += 1
        if self._waiting:
            self._longest = max(self._longest, now - self._waiting[0])

    def progress(self, *, close_seconds: float | None = None) -> Progress:
        ended = close_seconds is not None
        # Numbers are only those of accepted events as long as none was dropped; then nothing more is claimed.
        claimed = min(self._acknowledged, self._dropped[0]) if self._dropped else self._acknowledged
        return Progress(
            submitted=self._submitted,
            acknowledged=self._submitted if self._plan.trusting else claimed,
            counters=self._recorder.counters(),
            dropped=tuple(self._dropped) if ended else (),
            slowest_submit_ms=self._slowest * 1e3,
            delays_ms=tuple(seconds * 1e3 for seconds in self._delays) if ended else (),
            longest_wait_ms=self._longest * 1e3,
            close_ms=close_seconds * 1e3 if close_seconds is not None else None,
        )


def _weaken(synchronous: str) -> None:
    original = database.open_writer

    def open_writer(path: Path) -> sqlite3.Connection:
        connection = original(path)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        return connection

    database.open_writer = open_writer


def record(plan: Plan, pipe: Connection) -> None:
    """The child: record until told to stop, or killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    logging.disable()  # what the recorder says of the faults would bury the results
    if plan.synchronous:
        _weaken(plan.synchronous)
    recorder = Recorder(plan.database, queue_size=plan.queue_size, backup_dir=plan.database.parent)
    try:
        recorder.open()
    except RecorderError as error:
        pipe.send(Progress(refused=str(error)))
        return
    recorder.start()
    load = _Load(recorder, plan)
    began = reported = time.monotonic()
    pipe.send(load.progress())
    with suppress(EOFError, BrokenPipeError):
        while not pipe.poll(_TICK):
            now = time.monotonic()
            due = int((now - began) * plan.rate)
            load.submit_until(due if plan.most is None else min(due, plan.most))
            load.look()
            if now - reported >= _REPORT_SECONDS:
                pipe.send(load.progress())
                reported = now
        pipe.recv()
        began = time.monotonic()
        recorder.close(plan.close_seconds)
        pipe.send(load.progress(close_seconds=time.monotonic() - began))
