"""The recorder's transactions: a batch, its counters and gaps, all or nothing.

Used by the recorder's thread alone. It retries nothing: whoever calls keeps the batch and calls again. Since every
row has its `event_id`, a batch whose fate is unknown can be written again without harm. Calls that something in the
file keeps out are held back (held.py) before the others are committed.
"""

from collections.abc import Sequence

from llm_metrics_proxy import __version__
from llm_metrics_proxy.recorder.events import Event
from llm_metrics_proxy.recorder.store.account import SALVAGE, START, Account, Counters
from llm_metrics_proxy.recorder.writing import batch
from llm_metrics_proxy.recorder.writing.batch import Failures
from llm_metrics_proxy.recorder.writing.held import Held
from llm_metrics_proxy.recorder.writing.live_file import LiveFile
from llm_metrics_proxy.recorder.writing.rejected import Rejected
from llm_metrics_proxy.recorder.writing.replay import Piece


class Writer:
    """Writes batches through the connection of `live`."""

    def __init__(self, live: LiveFile, process: str, counters: Counters, held: Held) -> None:
        """Open nothing yet."""
        self._live = live
        self._process = process
        self._counters = counters
        self._held = held
        self._is_version_noted = False

    def write(self, events: Sequence[Event]) -> list[Rejected]:
        """Write the events, the counters and the gaps; return the events that no row could be made of.

        Raises:
            sqlite3.Error, OSError, RecorderError: nothing was written; the batch may be tried again.
        """
        return self._transaction(events, None)

    def replay(self, piece: Piece) -> list[Rejected]:
        """Write spilled events, but for the lines that the database has already; the same otherwise."""
        if Account(self._live.connection(), self._process).replayed_lines(piece.file) >= piece.end:
            return []
        return self._transaction([], piece)

    def look(self) -> None:
        """While nothing happens, see whether calls that are held back may get in now.

        Raises:
            sqlite3.Error, OSError, RecorderError: the database cannot be asked.
        """
        if self._held.is_holding:
            self._held.release(self._live.check_schema(self._live.connection()))

    def _transaction(self, events: Sequence[Event], piece: Piece | None) -> list[Rejected]:
        try:
            return self._attempt(events, piece, {})
        except batch.TransactionEndedError:
            # A trigger rolled all of it back for one call; the others need a transaction without that.
            records = events if piece is None else piece.records
            if enders := batch.enders_of(self._live.connection(), records):
                return self._attempt(events, piece, enders)
            raise

    def _attempt(self, events: Sequence[Event], piece: Piece | None, enders: Failures) -> list[Rejected]:
        connection = self._live.connection()
        values, gaps = self._counters.take()
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._held.release(self._live.check_schema(connection))
            account = Account(connection, self._process)
            triggers = self._live.triggers_of_users
            outcome = (
                batch.insert(connection, account, events, enders, watched=bool(triggers))
                if piece is None
                else batch.insert_piece(connection, account, piece, enders, watched=bool(triggers))
            )
            self._held.keep(outcome.kept_out, triggers)
            for name, n in outcome.counts.items():
                values[name] = values.get(name, 0) + n
            account.write_counters(values)
            account.write_gaps(gaps)
            for name in self._live.salvaged:
                account.note_event(SALVAGE, f"kept as {name}")
            if not self._is_version_noted:
                account.note_event(START, f"llm-metrics-proxy {__version__}")
            connection.execute("COMMIT")
            self._live.confirm()
        except BaseException as error:  # raised again: no transaction stays open, and no gap is forgotten
            self._counters.give_back(gaps)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, Exception):
                self._live.failed(error)
            raise
        self._live.salvaged.clear()
        self._is_version_noted = True
        for name, n in outcome.counts.items():  # only now: a batch that is tried again is not counted twice
            self._counters.add(name, n)
        self._counters.saved(values)
        return outcome.rejected
