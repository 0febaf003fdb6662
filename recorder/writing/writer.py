"""The recorder's transactions: a batch, its counters and gaps, all or nothing.

Used by the recorder's thread alone. It retries nothing: whoever calls keeps the batch and calls again. Since every
row has its `event_id`, a batch whose fate is unknown can be written again without harm.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from llm_metrics_proxy import __version__
from llm_metrics_proxy.recorder import writing
from llm_metrics_proxy.recorder.events import CompletionRequest, Event, Unrecognised
from llm_metrics_proxy.recorder.store.account import SALVAGE, START, Account, Counters, Gap, Tally
from llm_metrics_proxy.recorder.writing.live_file import LiveFile
from llm_metrics_proxy.recorder.writing.rejected import Rejected
from llm_metrics_proxy.recorder.writing.replay import Piece
from llm_metrics_proxy.recorder.writing.spill import Record

# What SQLite, or Python before it, says of a value that cannot be stored. Only raised by an insert they mean a row.
_ABOUT_A_ROW = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    TypeError,
    ValueError,  # lone surrogates
)


class Outcome(NamedTuple):
    """The result of a batch: the counters that it adds to, and the events that no row could be made of."""

    counts: Counter[str]
    rejected: list[Rejected]


class Writer:
    """Writes batches through the connection of `live`."""

    def __init__(self, live: LiveFile, process: str, counters: Counters) -> None:
        """Open nothing yet."""
        self._live = live
        self._process = process
        self._counters = counters
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

    def _transaction(self, events: Sequence[Event], piece: Piece | None) -> list[Rejected]:
        connection = self._live.connection()
        values, gaps = self._counters.take()
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._live.check_schema(connection)
            account = Account(connection, self._process)
            outcome = (
                _insert(connection, account, events) if piece is None else _insert_piece(connection, account, piece)
            )
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


def _insert(connection: sqlite3.Connection, account: Account, events: Sequence[Event]) -> Outcome:
    """Insert all events but those that cannot be stored."""
    requests = [event for event in events if isinstance(event, CompletionRequest)]
    counts: Counter[str] = Counter()
    rejected: list[Rejected] = []
    connection.execute("SAVEPOINT batch")
    try:
        counts["written"] = writing.insert(connection, requests)
    except _ABOUT_A_ROW:
        connection.execute("ROLLBACK TO batch")
        # A batch is small and this is rare: one by one finds every bad row and keeps all others.
        for request in requests:
            try:
                counts["written"] += writing.insert(connection, [request])
            except _ABOUT_A_ROW as error:
                rejected.append(Rejected(request, error))
    connection.execute("RELEASE batch")
    counts["duplicates"] = len(requests) - counts["written"] - len(rejected)
    for event in events:
        if isinstance(event, Unrecognised):
            try:
                account.note_unrecognised(event)
                counts["unrecognised"] += 1
            except _ABOUT_A_ROW as error:
                rejected.append(Rejected(event, error))
    return Outcome(+counts, rejected)  # without the zeros


def _insert_piece(connection: sqlite3.Connection, account: Account, piece: Piece) -> Outcome:
    """Insert the piece's lines that the database does not have, and note that it has them."""
    had = account.replayed_lines(piece.file)
    records: list[Record] = [record for record in piece.records[max(0, had - piece.first) :] if record]
    events = [record for record in records if isinstance(record, CompletionRequest | Unrecognised)]
    outcome = _insert(connection, account, events)
    outcome.counts.update({"replayed": len(events)} if events else {})
    of_file = Account(connection, piece.process)
    of_file.write_gaps(record for record in records if isinstance(record, Gap))
    for record in records:
        if isinstance(record, Tally):
            of_file.write_counters(record.values)
    account.note_replay(piece.file, max(had, piece.end))
    return outcome
