"""Long work beside the recorder, in short transactions, so that whoever else writes never waits long.

A slice is one BEGIN IMMEDIATE ... COMMIT. It ends when its time is up, not after a number of rows, since nobody knows
how long a row takes on this disk today; how much of the time its commit needs is learnt from the slices before it.
Between two slices the lock is free for at least as long as it was held, if a recorder is there.
"""

import itertools
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import database, identity, sqlite
from llm_metrics_proxy.recorder.store.identity import refusal

HOLD_MS: Final = 50.0
PATIENCE_SECONDS: Final = database.START_SECONDS

_AIM = 0.4  # of the longest hold: the rest is for a disk and a machine that are busy with something else
_FIRST_SHARE = 0.25  # of the aim: no commit has been seen yet
_LEAST_SHARE = 0.1
_GROWTH = 1.5
_SHORTEST_PAUSE = 0.02  # seconds, in which a writer that waits in SQLite's own steps gets its turn
_PAUSE_ALONE = 0.004  # seconds

_LOWEST: Final = 19


class Slices:
    """The slices of one piece of work on one connection, and how long the longest of them held the lock."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        hold_ms: float = HOLD_MS,
        alone: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        """`connection` is to the file at `path`, outside of a transaction, and checkpoints nothing by itself.

        SQLite's own checkpoint would be part of a commit's time, though the lock is free again by then. With `alone`
        no recorder is there: pauses between slices are only long enough for other tools to get a turn now and then.
        """
        self.count = 0
        self.longest_ms = 0.0
        self._connection = connection
        self._path = path
        self._aim = hold_ms / 1_000 * _AIM
        self._working_seconds = self._aim * _FIRST_SHARE
        self._alone = alone
        self._stop = stop or threading.Event()

    @property
    def stopped(self) -> bool:
        """True if the work is to end."""
        return self._stop.is_set()

    @contextmanager
    def hold(self) -> Iterator[Callable[[], bool]]:
        """One slice: do a bit, ask the function that is yielded whether there is time for more, and leave.

        Raises:
            DatabaseRefused: others held the lock for too long, or SQLite refused; the slice is rolled back.
        """
        try:
            self._begin()
            began = time.monotonic()
            asked = itertools.count()
            # Something is done in each slice, however short it is, or the work would never end.
            yield lambda: next(asked) == 0 or time.monotonic() - began < self._working_seconds
            self._connection.execute("COMMIT")
            held = time.monotonic() - began
        except sqlite3.Error as error:
            raise refusal(self._path, error) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self.count += 1
        self.longest_ms = max(self.longest_ms, held * 1_000)
        longer = self._working_seconds * min(self._aim / held, _GROWTH)
        self._working_seconds = min(max(longer, self._aim * _LEAST_SHARE), self._aim)
        self._stop.wait(_PAUSE_ALONE if self._alone else max(held, _SHORTEST_PAUSE))

    def _begin(self) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not sqlite.is_lock(error):
                    raise
                if self.stopped or time.monotonic() >= ends:
                    what = f"{self._path} is locked by another process (waited {PATIENCE_SECONDS:g} s)"
                    raise DatabaseRefused(what=what, cure="end that process, or try again when it is done") from error
            else:
                return


def open_background(path: Path) -> sqlite3.Connection:
    """A writing connection as `recorder.store.slices.Slices` wants it, to an existing database of the present version.

    What the power takes back is done again, so that no commit waits for the disk under the lock.

    Raises:
        DatabaseRefused: there is none at `path`, or of another version, or it could not be opened.
    """
    database.check_is_there(path)
    try:
        connection = database.open_writer(path)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    try:
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        version = identity.version_of(connection, path)
    except BaseException:  # raised again: the caller never gets the connection, so it is closed here
        connection.close()
        raise
    if version != CURRENT_SCHEMA_VERSION:
        connection.close()
        what = f"{path} has schema version {version}, and this program works on version {CURRENT_SCHEMA_VERSION}"
        raise DatabaseRefused(what=what, cure="run llm-metrics migrate")
    return connection


def wait_for_others() -> None:
    """Run the calling thread when nobody else needs the CPU, for good; only Linux can do that for one thread."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
