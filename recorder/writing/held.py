"""Calls that something in the database keeps out: they wait beside it until it lets them in.

The file is the user's too, and a trigger, a unique index or a CHECK of theirs may refuse single calls, or ignore them
without a word. All others are recorded meanwhile. Those calls stand in files like spill.py's whose names end with
`.held`, so that nobody replays them in vain. They become spill files at a start, when the schema has changed, which
SQLite counts, and now and then, since rows may have been the reason. A call that is still kept out is held back again.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.reporting import Reporter
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.store.files import open_regular, sync_folder
from llm_metrics_proxy.recorder.writing import spill
from llm_metrics_proxy.recorder.writing.batch import KeptOutError
from llm_metrics_proxy.recorder.writing.rejected import Rejected
from llm_metrics_proxy.recorder.writing.spill import SpillFiles

_KEPT_OUT: Final = (
    "%(calls)d calls did not get into %(path)s: something that was added to its tables keeps them out (%(why)s). They "
    "wait in %(folder)s, and are written once that is changed or dropped."
)
_FIRST_PAUSE: Final = 60.0  # seconds until the next try with the same schema; doubled up to the longest
_LONGEST_PAUSE: Final = 3_600.0


class Held:
    """One recorder's calls that are held back; for one thread."""

    def __init__(
        self,
        database: Path,
        process: str,
        numbers: Iterator[int],
        *,
        reporter: Reporter,
        released: Callable[[], None],
    ) -> None:
        """`numbers` are shared with the process's spill files; `released` is called when there is more to replay."""
        self.is_holding = True  # an earlier start may have left some
        self._database = database
        self._folder = spill_folder.folder_of(database)
        self._reporter = reporter
        self._released = released
        self._files = SpillFiles(database, process, numbers, ending=spill.HELD)
        self._schema: int | None = None
        self._pause = _FIRST_PAUSE
        self._retry_at = 0.0

    def follow(self, database: Path) -> None:
        """The database has another path, since its folder was moved."""
        self._database = database
        self._folder = spill_folder.folder_of(database)
        self._files.follow(database)

    def keep(self, kept_out: Sequence[Rejected], triggers: Sequence[str]) -> None:
        """Hold these calls back; they are durable when this returns. `triggers` are the users' on our tables.

        Raises:
            OSError, DatabaseRefused: none of them is kept, so their transaction has to be rolled back.
        """
        if not kept_out:
            return
        self._files.write(b"".join(spill.line_of(one.event) for one in kept_out))
        self.is_holding = True
        unsaid = any(isinstance(one.reason, KeptOutError) for one in kept_out)
        said = {str(one.reason) for one in kept_out if not isinstance(one.reason, KeptOutError)}
        said |= {f"trigger {name}" for name in triggers if unsaid}
        why = "; ".join(sorted(said))
        self._reporter.warn(
            "calls_held_back", _KEPT_OUT, calls=len(kept_out), path=self._database, why=why, folder=self._folder
        )

    def release(self, schema: int) -> None:
        """Let the calls be replayed if it is time, or if `schema`, SQLite's number of the schema, is a new one."""
        changed = schema != self._schema
        if not changed and not (self.is_holding and time.monotonic() >= self._retry_at):
            return
        self._schema = schema
        self._pause = _FIRST_PAUSE if changed else min(self._pause * 2, _LONGEST_PAUSE)
        self._retry_at = time.monotonic() + self._pause
        self._files.let_go()
        held = spill.held_files(self._folder)
        for file in held:
            with suppress(OSError):  # another recorder's, or just released by it; one that stays is tried again
                _release(file)
        self.is_holding = any(file.exists() for file in held)
        if held:
            sync_folder(self._folder)
            self._released()

    def close(self) -> None:
        """Leave the files to the next start."""
        self._files.let_go()


def _release(file: Path) -> None:
    """Give the file the name of a spill file, unless its recorder still writes it."""
    descriptor = open_regular(file)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.rename(file.with_name(file.name.removesuffix(spill.HELD)))
    finally:
        os.close(descriptor)
