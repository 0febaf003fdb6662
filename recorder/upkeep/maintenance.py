"""Maintenance by the recorder: a daily verified backup, and the deletion of old rows.

A thread of its own, with connections of its own, so that neither holds up what is written. Of several recorders that
share a database one does it; a lock in the spill folder says which.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.backup import backups
from llm_metrics_proxy.recorder.backup import retention as backup_retention
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.reporting import Reporter, own_fault, say
from llm_metrics_proxy.recorder.store import database, identity, presence, quota, timestamps
from llm_metrics_proxy.recorder.store.account import account_of_this_process
from llm_metrics_proxy.recorder.store.slices import Slices, open_background
from llm_metrics_proxy.recorder.upkeep import prune

FIRST_LOOK: Final = 60.0  # seconds after the start
NEXT_LOOK: Final = 3600.0

_NO_BACKUP: Final = "The daily backup failed, and is tried again in an hour. %(error)s"
_NOT_DELETED: Final = "Calls that are older than the retention stay for now; it is tried again in an hour. %(error)s"
_NOT_THINNED: Final = "What answers said of limits long ago stays for now; it is tried again in an hour. %(error)s"
_BORN = "SELECT min(applied_at) FROM schema_version"


class Maintenance:
    """Looks after the database at `path`: start(), stop()."""

    def __init__(
        self,
        path: Path,
        *,
        backup_dir: Path | None,
        backup_interval: timedelta | None,
        retention: timedelta | None,
        is_ours: Callable[[], bool] = lambda: True,
    ) -> None:
        """`backup_interval` None: no backups of its own; `retention` None: nothing is deleted.

        Nothing is done while the folder of the database not `is_ours`: another one stands in its place.
        """
        self._is_ours = is_ours
        self._path = path
        self._backup_dir = backup_dir
        self._backup_interval = backup_interval
        self._retention = retention
        self._stop = threading.Event()
        self._reporter = Reporter()
        self._thread = threading.Thread(target=self._run, name="llm-metrics-maintenance", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more, without waiting: a backup that is not finished when the process ends is none."""
        self._stop.set()

    def look(self) -> None:
        """Do what is due now, unless another recorder is at it."""
        if not self._is_ours():
            return
        works = (
            (self._back_up, "backup_failed", _NO_BACKUP),
            (self._delete, "deletion_failed", _NOT_DELETED),
            (self._thin, "limits_not_thinned", _NOT_THINNED),
        )
        for work, event, sentence in works:
            if self._stop.is_set():
                return
            try:
                with presence.alone(self._path, "maintenance") as alone:
                    if alone:
                        work()
            except Exception as error:  # noqa: BLE001 - the thread goes on
                self._reporter.warn(event, sentence, error=self._sentence(error))

    def _sentence(self, error: Exception) -> str:
        if isinstance(error, sqlite3.Error):
            return str(identity.refusal(self._path, error))
        if isinstance(error, OSError):
            return f"{error.filename or self._path}: {error.strerror}."
        return str(error) if isinstance(error, RecorderError) else own_fault(error)

    def _run(self) -> None:
        pause = FIRST_LOOK
        while not self._stop.wait(pause):
            self.look()
            pause = NEXT_LOOK

    def _back_up(self) -> None:
        if self._backup_interval is None or not self._is_due(self._backup_interval):
            return
        made = backup.create(self._path, backup_dir=self._backup_dir)
        say(logging.INFO, "backed_up", "Backed up %(path)s as %(backup)s.", path=self._path, backup=made)
        backup_retention.apply(self._path, self._backup_dir)
        with closing(database.open_writer(self._path)) as connection:
            account_of_this_process(connection).note_event("backup", str(made))

    def _is_due(self, interval: timedelta) -> bool:
        """True if the newest backup, or before the first one the database itself, is that old."""
        since = timestamps.bound(datetime.now(UTC) - interval)
        newest = next(iter(backups.found(self._path, self._backup_dir)), None)
        if newest is not None:
            return newest.made_at <= since
        with closing(database.open_reader(self._path)) as connection:
            (born,) = connection.execute(_BORN).fetchone()
        return born is not None and born <= since

    def _thin(self) -> None:
        with database.reader(self._path) as connection:
            surplus = quota.surplus(connection, datetime.now(UTC))
        if surplus:
            with closing(open_background(self._path)) as connection:
                quota.delete(connection, Slices(connection, self._path, stop=self._stop), surplus)

    def _delete(self) -> None:
        if self._retention is None:
            return
        before = datetime.now(UTC) - self._retention
        # Adding up more would hold up the proxy, whose process this is; the upkeep's own does it.
        done = prune.prune(self._path, before, stop=self._stop, most_added=rollup.A_MOMENTS_ROWS)
        if done.rows:
            say(logging.INFO, "deleted", "Deleted %(calls)d calls that were older than the retention.", calls=done.rows)
