"""The recorder as the proxy sees it: a bounded queue into which events go, and one thread behind it that writes them.

`submit` and `count` never block and never raise. An event is durable within 250 ms, in the database or, while that
refuses, in a spill file, unless the process is killed in that time. Where neither can be written events wait in memory,
and what finds the queue full is dropped, counted, and leaves a row that says from when to when.
"""

import logging
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from llm_metrics_proxy.recorder import progress, schema
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.events import Event
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.prices import price_file
from llm_metrics_proxy.recorder.reporting import say
from llm_metrics_proxy.recorder.store import presence, secret, watermarks
from llm_metrics_proxy.recorder.store.account import Counters
from llm_metrics_proxy.recorder.store.home import Home
from llm_metrics_proxy.recorder.store.timestamps import parse_duration
from llm_metrics_proxy.recorder.upkeep import INTERVAL, UpkeepProcess
from llm_metrics_proxy.recorder.upkeep.maintenance import Maintenance
from llm_metrics_proxy.recorder.writing.event_queue import EventQueue
from llm_metrics_proxy.recorder.writing.write_loop import WriteLoop, sentence_of

_LAST_ATTEMPT = 0.6  # seconds of a shutdown's deadline that an attempt to write may take, while it waits for a lock

_RESCUE_SECONDS = 2.0  # after a shutdown's deadline, for what a thread that hangs has not kept aside


class Recorder:
    """Writes what is submitted into the database at `path`: open(), start(), submit() ..., close()."""

    def __init__(  # noqa: PLR0913 - what an option of the proxy says each
        self,
        path: Path,
        *,
        queue_size: int = 10_000,
        backup_dir: Path | None = None,
        backup_interval: str | None = "1d",
        retention: str | None = None,
        prices: Path | None = None,
        upkeep_interval: float = INTERVAL,
        lock_seconds: float = 30.0,
    ) -> None:
        """Touch nothing yet.

        Args:
            path: of the database, as `recorder.store.database.get_db_path` gives it.
            queue_size: how many events may wait in memory.
            backup_dir: the only place for backups; without it, those of backup.py.
            backup_interval: how old the newest backup may become, as `1d`; None makes none, but before migrations.
            retention: how old calls may become, as `90d`; None keeps all.
            prices: a file of own prices; without it, `prices.toml` beside the database if it is there.
            upkeep_interval: seconds between two looks whether calls wait for their cost or the roll-up.
            lock_seconds: how long `open` waits for other processes.
        """
        self._path = path
        self._backup_dir = backup_dir
        self._lock_seconds = lock_seconds
        self._backup_interval = backup_interval
        self._retention = retention
        self._prices = prices
        self._upkeep_interval = upkeep_interval
        self._counters = Counters()
        self._events = EventQueue(queue_size, self._counters)
        self._process = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns() // 1_000_000}"
        self._loop: WriteLoop | None = None
        self._thread: threading.Thread | None = None
        self._maintenance: Maintenance | None = None
        self._upkeep: UpkeepProcess | None = None
        self._home: Home | None = None
        self._refused: RecorderError | None = None
        self._closed = False

    @property
    def process(self) -> str:
        """The name under which this recorder lives, and writes its counters."""
        return self._process

    def open(self, *, or_spill: bool = False) -> RecorderError | None:
        """Check what stands at the path, create or migrate it; in the caller's thread, before any traffic.

        With `or_spill` a database that cannot be used is no end: the reason is returned, and events are spilled
        until it can be.

        Raises:
            RecorderError: one sentence that says why not, and what to do.
        """
        backup_interval = _duration("metrics_backup_interval", self._backup_interval)
        retention = _duration("metrics_retention", self._retention)
        price_file.load(self._prices, self._path)  # or one that is wrong would only be noticed much later
        try:
            with progress.shown(f"Preparing {self._path}"):  # it may have to be migrated
                self._path = schema.prepare(self._path, backup_dir=self._backup_dir, lock_seconds=self._lock_seconds)
        except RecorderError as error:
            if not or_spill:
                raise
            self._refused = error
        presence.check(self._path)
        self._maintenance = Maintenance(
            self._path,
            backup_dir=self._backup_dir,
            backup_interval=backup_interval,
            retention=retention,
            is_ours=self._is_ours,
        )
        self._upkeep = UpkeepProcess(self._path, self._prices, interval=self._upkeep_interval, is_ours=self._is_ours)
        return self._refused

    def secret(self) -> bytes | None:
        """The secret of the database, for hashes of keys; None if there is none, which the log says."""
        try:
            return secret.of(self._path)
        except OSError as error:
            sentence = "Calls get no key_id: %(file)s cannot be used (%(error)s)."
            file = secret.path_of(self._path)
            say(logging.WARNING, "secret_unusable", sentence, file=file, error=error.strerror)
            return None

    def start(self) -> None:
        """Start the threads; once, after `open`."""
        self._home = Home(self._path)
        self._loop = WriteLoop(
            self._path,
            self._process,
            self._events,
            self._counters,
            presence.Presence(self._path, self._process),
            home=self._home,
            backup_dir=self._backup_dir,
            refused=self._refused,
            at_end=self._add_up,
        )
        self._thread = threading.Thread(target=self._loop.run, name="llm-metrics-recorder", daemon=True)
        self._thread.start()
        for beside in (self._maintenance, self._upkeep):
            if beside is not None:
                beside.start()

    def submit(self, event: Event) -> bool:
        """Hand over an event; never blocks, never raises. False: it was dropped, and counted."""
        return self._events.submit(event)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of the caller's own, kept beside the recorder's; from any thread, never blocks."""
        self._counters.add(name, n)

    def counters(self) -> dict[str, int]:
        """All counters of this recorder so far; the database has them after the next batch, or at idle."""
        return self._counters.values()

    def close(self, deadline: float = 5.0) -> None:
        """Write what waits, or spill it, within `deadline` seconds; what cannot be is dropped and counted.

        If the recorder's thread hangs there in something that cannot be ended, it takes two seconds more at most.
        Safe to call again, and when the recorder was never started.
        """
        if self._closed:
            return
        self._closed = True
        ends = time.monotonic() + deadline
        self._events.shutdown()
        for beside in (self._maintenance, self._upkeep):
            if beside is not None:
                beside.stop()
        if self._thread is None or self._loop is None:
            self._events.drop_rest()
        else:
            self._loop.closing.set()
            self._thread.join(max(deadline - _LAST_ATTEMPT, deadline / 2))
            self._loop.give_up()
            self._thread.join(max(ends - time.monotonic(), 0))
            if self._thread.is_alive():  # nobody can end a migration, or a disk's pause, from outside
                rescue = threading.Thread(target=self._loop.rescue, name="llm-metrics-rescue", daemon=True)
                rescue.start()
                rescue.join(_RESCUE_SECONDS)
        if lost := self.counters().get("dropped_shutdown"):
            sentence = "%(events)d events could not be recorded before the end: see what llm-metrics check says."
            say(logging.WARNING, "events_lost", sentence, events=lost)

    def _is_ours(self) -> bool:
        return self._home is None or self._home.is_there()

    def _add_up(self, connect: Callable[[], sqlite3.Connection], given_up: threading.Event) -> None:
        """Leave no call out of the roll-up, if that takes no longer than a moment: nobody else may do it for days."""
        try:
            connection = connect()
            if watermarks.waiting(connection, watermarks.ROLLUP) <= rollup.A_MOMENTS_ROWS:
                rollup.bring_up_to_date(connection, self._path, stop=given_up)
        except Exception as error:  # noqa: BLE001 - the end goes on; the upkeep of the next start does it
            if not given_up.is_set():
                sentence = "The last calls are not in the roll-up yet, the next start adds them. %(error)s"
                say(logging.WARNING, "rollup_behind", sentence, error=sentence_of(self._path, error))


def _duration(name: str, text: str | None) -> timedelta | None:
    return parse_duration(name, text) if text else None
