"""The recorder's thread: gather a batch and write it, or spill it for as long as the database refuses.

Nothing ends the thread but the end of the queue, or the shutdown's deadline. While the database refuses, every batch
goes into the spill file, and the database is tried again with growing pauses; once it takes one, the spill files
follow. Where neither takes a batch it stays in memory, the queue fills, and event_queue.py drops and counts.
"""

import itertools
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.events import Event
from llm_metrics_proxy.recorder.reporting import Reporter, own_fault, say
from llm_metrics_proxy.recorder.store import identity, spill_folder, sqlite
from llm_metrics_proxy.recorder.store.account import Counters
from llm_metrics_proxy.recorder.store.home import Home
from llm_metrics_proxy.recorder.store.presence import Presence
from llm_metrics_proxy.recorder.writing.damage import Distrusted
from llm_metrics_proxy.recorder.writing.event_queue import EventQueue
from llm_metrics_proxy.recorder.writing.held import Held
from llm_metrics_proxy.recorder.writing.live_file import LiveFile
from llm_metrics_proxy.recorder.writing.recent import Recent
from llm_metrics_proxy.recorder.writing.rejected import Rejected
from llm_metrics_proxy.recorder.writing.replay import Replay
from llm_metrics_proxy.recorder.writing.spill import Spill
from llm_metrics_proxy.recorder.writing.writer import Writer

_BATCH_EVENTS = 500
_BATCH_SECONDS = 0.1
_IDLE_SECONDS = 1.0  # after which counters that changed alone are written
_FIRST_PAUSE = 0.5  # seconds between two attempts at the database; doubled up to the longest, but for a mere lock
_LONGEST_PAUSE = 30.0
_HELD_PAUSE = 0.2  # between two attempts with a batch that nobody takes
_MEANWHILE_SECONDS = 0.1  # between two looks at the queue while a whole file is read
_EXPECTED = (sqlite3.Error, OSError, RecorderError)
_MOVED = (
    "The folder of %(path)s was moved while the proxy runs: calls go on into it, as %(now)s. Move it back, or start "
    "the proxy anew with metrics_db=%(now)s."
)
_FOLDER_GONE = "The folder of %(path)s was removed while the proxy runs; it is made anew, with everything in it."

type AtEnd = Callable[[Callable[[], sqlite3.Connection], threading.Event], None]


def sentence_of(path: Path, error: Exception) -> str:
    """The sentence for an error of writing the database at `path`."""
    if isinstance(error, RecorderError):
        return str(error)
    if isinstance(error, sqlite3.Error):
        return str(identity.refusal(path, error))
    if isinstance(error, OSError):
        return f"{path}: {error.strerror}."
    return own_fault(error)


class WriteLoop:
    """Empties `events` into the database until the queue is shut down; `run` is the thread's whole life."""

    def __init__(  # noqa: PLR0913 - the parts of a recorder
        self,
        path: Path,
        process: str,
        events: EventQueue,
        counters: Counters,
        presence: Presence,
        *,
        home: Home,
        backup_dir: Path | None,
        refused: RecorderError | None,
        at_end: AtEnd,
    ) -> None:
        """`process` names this recorder in the database; `refused` is why the start could not use it.

        `at_end` is called when all is written, unless the database refuses: with what gives the connection, and with
        the event that says that time is up. It does not raise.
        """
        self._at_end = at_end
        self.closing = threading.Event()  # set by the shutdown: nothing more will come
        self._given_up = threading.Event()
        self._given = self._path = path
        self._home = home
        self._process = process
        self._events = events
        self._counters = counters
        self._presence = presence
        self._folder = spill_folder.folder_of(path)
        self._live = LiveFile(
            path,
            process,
            presence,
            home,
            backup_dir=backup_dir,
            prepared=refused is None,
            meanwhile=self._meanwhile,
        )
        self._reporter = Reporter()
        self._numbers = numbers = itertools.count(1)
        self._spill = Spill(path, process, numbers, counters, self._reporter)
        self._replay = Replay(self._folder, counters, self._reporter)
        self._held = Held(path, process, numbers, reporter=self._reporter, released=self._replay.look_now)
        self._writer = Writer(self._live, process, counters, self._held)
        self._recent = Recent()
        self._batch: list[Event] = []
        self._looked_at = 0.0
        self._drained = False
        self._refusing = refused is not None
        self._retry_at = 0.0
        self._pause = _FIRST_PAUSE

    def run(self) -> None:
        """Write until the queue is shut down and empty, or until `give_up`."""
        self._begin()
        done = False
        while not done:
            try:
                done = self._step()
            except Exception as error:  # noqa: BLE001 - the thread must go on; _refused counts and reports
                self._refused(error)
        self._end()

    def give_up(self) -> None:
        """The shutdown's deadline has come: spill what is left, and end."""
        self._given_up.set()
        self._live.interrupt()

    def rescue(self) -> None:
        """Keep aside what `run` still has, from another thread, since `run` hangs; the process ends after this.

        What is written twice by that is found out when it is replayed.
        """
        left = [*self._batch, *self._events.rest()]
        if not left:  # it has kept all aside, and only closes its files
            return
        aside = Spill(self._path, self._process, self._numbers, self._counters, self._reporter)
        if not aside.keep(left):
            for event in left:
                self._events.drop(event, "shutdown")
        aside.close()

    def _begin(self) -> None:
        try:
            self._presence.appear()
        except (OSError, RecorderError) as error:
            sentence = "Events cannot be kept aside. %(error)s"
            self._reporter.warn("spill_failed", sentence, error=sentence_of(self._path, error))
        if not self._refusing:
            self._spill.ready()

    def _follow(self) -> None:
        """Go with the folder of the database, wherever it is moved."""
        if self._home.is_removed():
            self._renew()
        if (path := self._home.path()) == self._path:
            return
        self._path = path
        self._folder = spill_folder.folder_of(path)
        self._presence.follow(path)
        self._live.follow(path)
        self._spill.follow(path)
        self._held.follow(path)
        self._replay.follow(self._folder)
        if path != self._given:
            say(logging.WARNING, "folder_moved", _MOVED, path=self._given, now=path)

    def _renew(self) -> None:
        try:
            self._home.renew()
            self._presence.appear_again()
        except (OSError, RecorderError) as error:
            sentence = "The folder of %(path)s was removed while the proxy runs, and cannot be made anew. %(error)s"
            why = sentence_of(self._given, error)
            self._reporter.warn("folder_removed", sentence, path=self._given, error=why)
        else:
            say(logging.WARNING, "folder_removed", _FOLDER_GONE, path=self._given)

    def _step(self) -> bool:
        """Do what there is to do once; True if nothing is left."""
        if not self._batch:
            self._gather()
        self._follow()
        if self._given_up.is_set():
            self._abandon()
            return True
        if not self._refusing and (self._batch or self._counters.unsaved()):
            self._write(self._batch)
        elif not self._refusing:
            self._attempt(self._look)  # a file that was removed has to be noticed while nothing happens as well
        if self._refusing and self._batch and self._spill.keep(self._batch):
            self._batch = []
        if self._refusing and (self._batch or not self._drained) and time.monotonic() >= self._retry_at:
            self._write(self._batch)
        if not self._refusing:
            self._replay_piece()
        if self._batch:
            self._given_up.wait(_HELD_PAUSE)
        return (
            self._drained
            and not self._batch
            and (self._refusing or not (self._replay.busy or self._counters.unsaved()))
        )

    def _gather(self) -> None:
        """Wait for a first event, then 100 ms for more unless a batch is there already; at idle none comes.

        One wake-up a batch: waiting for each event would take the GIL from the proxy's thread each time.
        """
        try:
            self._batch.append(self._events.get(timeout=self._patience()))
            if self._events.qsize() < _BATCH_EVENTS:
                self.closing.wait(_BATCH_SECONDS)
            while len(self._batch) < _BATCH_EVENTS:
                self._batch.append(self._events.get_nowait())
        except queue.Empty:
            pass
        except queue.ShutDown:
            self._drained = True

    def _patience(self) -> float:
        """Seconds to wait for an event while there may be something else to do."""
        if self._refusing:
            return min(max(self._retry_at - time.monotonic(), 0), _IDLE_SECONDS)
        return 0 if self._replay.busy else _IDLE_SECONDS

    # --- the database

    def _write(self, batch: Sequence[Event]) -> None:
        def write() -> list[Rejected]:
            return self._writer.write(batch)

        if self._attempt(write):
            self._recent.add(batch)
            self._batch = []

    def _look(self) -> list[Rejected]:
        self._live.look()
        self._writer.look()
        return []

    def _open_again(self) -> list[Rejected]:
        self._live.connection()
        return []

    def _replay_piece(self) -> None:
        try:
            piece = self._replay.piece()
            if piece is not None and self._attempt(lambda: self._writer.replay(piece)):
                self._recent.add(piece.records)
                self._replay.done()
        except OSError as error:  # a fault of that file, and no reason to keep the next events from the database
            sentence = "What was kept aside waits in %(folder)s (%(error)s): make its files readable."
            self._reporter.warn("replay_failed", sentence, folder=self._folder, error=error.strerror)
            self._replay.stop()

    def _attempt(self, write: Callable[[], list[Rejected]]) -> bool:
        try:
            refused = write()
        except Exception as error:  # noqa: BLE001 - the thread must go on; _refused counts and reports
            self._refused(error)
            return False
        self._accepted()
        self._spill.reject(refused)
        return True

    def _accepted(self) -> None:
        if self._refusing:
            self._refusing = False
            self._pause = _FIRST_PAUSE
            self._spill.ready()
            self._replay.look_now()
            say(logging.INFO, "database_back", "%(path)s is being written again.", path=self._path)

    def _refused(self, error: Exception) -> None:
        """Say why once in a while, and set the time of the next attempt."""
        self._follow()  # or what is kept aside would go into what stands there now
        if not isinstance(error, _EXPECTED):
            self._counters.add("recorder_errors")
        self._refusing = True
        self._retry_at = time.monotonic() + self._pause
        if not sqlite.is_lock(error):
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        sentence, why = "Events are kept aside in %(folder)s. %(error)s", sentence_of(self._path, error)
        if self._live.is_distrusted and self._spill.keep_again(*self._recent.lines()):
            self._recent.clear()
        if isinstance(error, Distrusted):
            self._retry_at = 0.0  # it is not known yet how bad it is
            return
        if self._live.is_distrusted and isinstance(error, RecorderError):
            self._spill.note_damage(error)
        self._reporter.warn("database_refused", sentence, folder=self._folder, error=why)

    def _meanwhile(self) -> bool:
        """Keep aside what comes while a whole file is read; true once there is no time left for that."""
        now = time.monotonic()
        if now - self._looked_at < _MEANWHILE_SECONDS:
            return self._given_up.is_set()
        self._looked_at = now
        waiting: list[Event] = []
        with suppress(queue.Empty, queue.ShutDown):
            while len(waiting) < _BATCH_EVENTS:
                waiting.append(self._events.get_nowait())
        if waiting and not self._spill.keep(waiting):
            self._batch += waiting
        return self._given_up.is_set()

    # --- the end

    def _end(self) -> None:
        """Leave everything in the database, or kept aside, and nothing else behind."""
        self._look_at_end()
        if not self._refusing:
            self._at_end(self._live.connection, self._given_up)
            self._look_at_end()
        self._spill.close()
        self._held.close()
        self._replay.stop()
        with suppress(*_EXPECTED):  # everything is committed already, and the next start does it as well
            self._live.end()
        with suppress(*_EXPECTED):
            self._presence.vanish()
        self._home.close()

    def _look_at_end(self) -> None:
        try:
            self._follow()
            self._live.look(thoroughly=True)
        except Distrusted as error:
            self._refused(error)
        except Exception as error:  # noqa: BLE001 - the end goes on
            self._refused(error)
            sentence = "%(path)s was moved or removed, and what it held could not be saved. %(error)s"
            why = sentence_of(self._path, error)
            say(logging.ERROR, "database_not_saved", sentence, path=self._path, error=why)
        if self._live.is_distrusted and not self._retry_at:
            self._attempt(self._open_again)  # nobody has said yet how bad it is

    def _abandon(self) -> None:
        """Spill all that is left; what no file takes is counted as dropped."""
        self._batch += self._events.rest()
        if not self._spill.keep(self._batch):
            for event in self._batch:
                self._events.drop(event, "shutdown")
        self._batch = []
