"""The writing connection and its transactions: one batch, its counters and gaps, all or nothing.

Used by the recorder's thread alone. It retries nothing: whoever calls keeps the batch and calls again. Since every
row has its `event_id`, a batch whose fate is unknown can be written again without harm.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from migrations import CURRENT_SCHEMA_VERSION
from recorder import database, timestamps
from recorder.counters import Counters, Gap
from recorder.dao import CompletionRequestsDAO
from recorder.errors import DatabaseRefused
from recorder.events import Event, Unrecognised
from recorder.ledger import Ledger

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


class Writer:
    """One connection at a time, opened when it is needed."""

    def __init__(self, path: Path, process: str, counters: Counters) -> None:
        """Open nothing yet."""
        self._path = path
        self._process = process
        self._counters = counters
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def write(self, events: Sequence[Event]) -> int:
        """Write the events, the counters and the gaps; return how many events no row could be made of.

        Raises:
            sqlite3.Error, OSError: nothing was written; the batch may be tried again.
            DatabaseRefused: nothing was written, since the file is not the one that it was.
        """
        connection = self._open()
        values, gaps = self._counters.take()
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._check_version(connection)
            outcome = self._insert(connection, events)
            rejected = outcome["dropped_rejected"]
            for name, n in outcome.items():
                values[name] = values.get(name, 0) + n
            now = timestamps.now()
            # A row that is refused may have its own timestamp to blame, so the gap says when it was refused.
            refused = [Gap("rejected", rejected, now, now)] if rejected else []
            ledger = Ledger(connection, self._process)
            ledger.write_counters(values)
            ledger.write_gaps([*gaps, *refused])
            connection.execute("COMMIT")
        except BaseException:  # raised again: whatever ended it, no transaction stays open and no gap is forgotten
            self._counters.give_back(gaps)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        for name, n in outcome.items():  # only now: a batch that is tried again is not counted twice
            self._counters.add(name, n)
        self._counters.saved(values)
        return rejected

    def checkpoint(self) -> None:
        """Move the WAL into the database file and cut it to nothing, unless a reader still needs it."""
        if self._connection is not None:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection, if there is one; the next write opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        """The connection, to the file that stands at the path now."""
        # An unlinked file gives no error in WAL mode: rows would go on into an inode that nobody can open again.
        if self._connection is not None and database.file_identity(self._path) != self._file:
            self.close()
        if self._connection is None:
            self._file = database.file_identity(self._path)
            if self._file is None:
                raise DatabaseRefused(what=f"{self._path} is gone", cure="put it back, or start again")
            self._connection = database.open_writer(self._path)
        return self._connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        """Asked under the lock of each batch: another process may have migrated the file, or put a backup back."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != CURRENT_SCHEMA_VERSION:
            what = f"{self._path} now has schema version {version}, and this program writes {CURRENT_SCHEMA_VERSION}"
            raise DatabaseRefused(what=what, cure="start again with the release that fits")

    def _insert(self, connection: sqlite3.Connection, events: Sequence[Event]) -> Counter[str]:
        """Insert all events but those that cannot be stored, and count what became of each."""
        outcome: Counter[str] = Counter()
        requests = [event for event in events if not isinstance(event, Unrecognised)]
        dao = CompletionRequestsDAO(connection)
        connection.execute("SAVEPOINT batch")
        try:
            outcome["written"] = dao.insert_completion_requests(requests)
        except _ABOUT_A_ROW:
            connection.execute("ROLLBACK TO batch")
            # A batch is small and this is rare: one by one finds every bad row and keeps all others.
            for request in requests:
                try:
                    outcome["written"] += dao.insert_completion_request(request)
                except _ABOUT_A_ROW:
                    outcome["dropped_rejected"] += 1
        connection.execute("RELEASE batch")
        outcome["duplicates"] = len(requests) - outcome["written"] - outcome["dropped_rejected"]
        ledger = Ledger(connection, self._process)
        for event in events:
            if isinstance(event, Unrecognised):
                try:
                    ledger.note_unrecognised(event)
                    outcome["unrecognised"] += 1
                except _ABOUT_A_ROW:
                    outcome["dropped_rejected"] += 1
        return +outcome  # without the zeros
