"""Where events go that the database does not take: the spill files, `rejected.jsonl`, and at the very last nowhere.

Every event that ends here is counted, and nothing here raises.
"""

import errno
from collections.abc import Sequence
from pathlib import Path

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import Event
from llm_metrics_proxy.recorder.reporting import Reporter
from llm_metrics_proxy.recorder.store import spill_folder, timestamps
from llm_metrics_proxy.recorder.store.account import Counters, Tally
from llm_metrics_proxy.recorder.store.spill_folder import Reserve
from llm_metrics_proxy.recorder.writing import rejected, spill
from llm_metrics_proxy.recorder.writing.rejected import Rejected
from llm_metrics_proxy.recorder.writing.spill import Record, Spill

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_JSON = (UnicodeError, OverflowError, TypeError, ValueError)


class Aside:
    """One recorder's place for events in the spill folder; for one thread."""

    def __init__(self, database: Path, process: str, counters: Counters, reporter: Reporter) -> None:
        """Nothing is written yet, and no disk space reserved."""
        self._folder = folder = spill_folder.folder_of(database)
        self._process = process
        self._counters = counters
        self._reporter = reporter
        self._spill = Spill(database, process)
        self._reserve = Reserve(folder, process)

    def ready(self) -> None:
        """The database takes events: reserve space for the next time, and let go of the files for their replay."""
        self._spill.let_go()
        self._reserve.take()

    def keep(self, events: Sequence[Event]) -> bool:
        """Keep the events in a spill file; False if it does not take them, and nothing has happened."""
        lines, bad = [], []
        for event in events:
            try:
                lines.append(spill.line_of(event))
            except _NOT_JSON as error:
                bad.append(Rejected(event, error))
        if lines and not self._write(b"".join(lines)):
            return False
        self._counters.add("spilled", len(lines))
        self.reject(bad)
        return True

    def reject(self, events: Sequence[Rejected]) -> None:
        """Keep events that no row could be made of."""
        if not events:
            return
        try:
            rejected.keep(self._folder, events)
            self._counters.add("rejected", len(events))
        except OSError:
            for _ in events:  # their own timestamps may be what is wrong with them
                self._counters.dropped("rejected", timestamps.now())
        sentence = (
            "%(events)d events hold values that cannot be stored; what could be kept of them is in %(file)s: "
            "please report what it says."
        )
        file = self._folder / rejected.FILE_NAME
        self._reporter.warn("events_rejected", sentence, events=len(events), file=file)

    def close(self) -> None:
        """Keep the counters and gaps that the database does not have, and leave nothing that is not needed."""
        if self._counters.unsaved():
            values, gaps = self._counters.take()
            records: list[Record] = [*gaps, Tally(self._process, values)]
            self._write(b"".join(map(spill.line_of, records)))
        self._spill.let_go()
        self._reserve.give_up()

    def _write(self, lines: bytes) -> bool:
        try:
            try:
                self._spill.write(lines)
            except OSError as error:
                if error.errno not in _NO_SPACE or not self._reserve.give_up():
                    raise
                self._spill.write(lines)
        except (OSError, DatabaseRefused) as error:
            sentence = (
                "Neither the database nor %(folder)s takes events (%(error)s): make one of them writable. What waits "
                "stays in memory, and when that is full new events are dropped."
            )
            why = (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".")
            self._reporter.warn("spill_failed", sentence, folder=self._folder, error=why)
            return False
        return True
