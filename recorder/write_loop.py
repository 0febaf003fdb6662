"""What the recorder's thread does: gather a batch, write it, and keep it for as long as the database refuses it.

Nothing ends the thread but the end of the queue, or the shutdown's deadline. What the database refuses is tried again
with growing pauses; the queue fills meanwhile, and `Recorder.submit` drops and counts what no longer fits.
"""

import logging
import queue
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from recorder import identity
from recorder.counters import Counters
from recorder.errors import RecorderError
from recorder.events import Event, Unrecognised
from recorder.reporting import Reporter, say
from recorder.writer import Writer

_BATCH_EVENTS = 500
_BATCH_SECONDS = 0.1
_IDLE_SECONDS = 1.0  # after which counters that changed alone are written
_FIRST_PAUSE = 0.05  # seconds between two attempts; doubled, up to
_LONGEST_PAUSE = 1.0
_CONNECTION_IS_GOOD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)


def timestamp_of(event: Event) -> str:
    """When the event was, as it says itself."""
    return event.at if isinstance(event, Unrecognised) else event.timestamp


class WriteLoop:
    """Empties `events` into the database until the queue is shut down; `run` is the thread's whole life."""

    def __init__(self, path: Path, process: str, events: queue.Queue[Event], counters: Counters) -> None:
        """`process` names this recorder in the database."""
        self.closing = threading.Event()  # set by the shutdown: nothing more will come
        self.given_up = threading.Event()  # set by the shutdown when its deadline has come
        self._path = path
        self._events = events
        self._counters = counters
        self._writer = Writer(path, process, counters)
        self._reporter = Reporter()
        self._batch: list[Event] = []
        self._drained = False
        self._done = False
        self._failing = False
        self._pause = _FIRST_PAUSE

    def run(self) -> None:
        """Write until the queue is shut down and empty, or until `given_up`."""
        while not self._done:
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - the thread must go on; _hold counts and reports
                self._hold(error)
        with suppress(sqlite3.Error):  # everything is committed already, and the next start does it as well
            self._writer.checkpoint()
        self._writer.close()

    def _step(self) -> None:
        if not self._batch:
            self._gather()
        if self.given_up.is_set():
            self._abandon()
            return
        if self._batch or self._counters.unsaved():
            rejected = self._writer.write(self._batch)
            self._batch = []
            self._succeeded(rejected)
        self._done = self._drained

    def _gather(self) -> None:
        """Wait for a first event, then 100 ms for more unless a batch is there already; at idle none comes.

        One wake-up a batch: waiting for each event would take the GIL from the proxy's thread each time.
        """
        try:
            self._batch.append(self._events.get(timeout=_IDLE_SECONDS))
            if self._events.qsize() < _BATCH_EVENTS:
                self.closing.wait(_BATCH_SECONDS)
            while len(self._batch) < _BATCH_EVENTS:
                self._batch.append(self._events.get_nowait())
        except queue.Empty:
            pass
        except queue.ShutDown:
            self._drained = True

    def _succeeded(self, rejected: int) -> None:
        if rejected:
            self._reporter.warn("rejected", "%d events hold values that cannot be stored; they were dropped.", rejected)
        if self._failing:
            self._failing = False
            self._pause = _FIRST_PAUSE
            say(logging.INFO, "%s is being written again.", self._path)

    def _hold(self, error: Exception) -> None:
        """Keep the batch, say why once in a while, and pause before the next attempt."""
        self._failing = True
        if not isinstance(error, (sqlite3.Error, OSError, RecorderError)):
            self._counters.add("recorder_errors")
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _CONNECTION_IS_GOOD:
            with suppress(sqlite3.Error):
                self._writer.close()
        waiting = self._events.qsize() + len(self._batch)
        self._reporter.warn("held", "Recording is held up, %d events wait. %s", waiting, self._sentence(error))
        self.given_up.wait(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _sentence(self, error: Exception) -> str:
        if isinstance(error, RecorderError):
            return str(error)
        if isinstance(error, sqlite3.Error):
            return str(identity.refusal(self._path, error))
        if isinstance(error, OSError):
            return f"{self._path}: {error.strerror}."
        return f"An error of the recorder's own: {type(error).__name__}."  # its text may quote an event

    def _abandon(self) -> None:
        """The deadline has come: count what is left as dropped, and say so in the database if it listens."""
        self._done = True
        for event in self._batch:
            self._counters.dropped("shutdown", timestamp_of(event))
        self._batch = []
        with suppress(queue.Empty, queue.ShutDown):
            while True:
                self._counters.dropped("shutdown", timestamp_of(self._events.get_nowait()))
        if not self._failing:
            self._writer.write([])
