"""One step of an export: what the destination took is noted, the next rows are read and sent.

First the destination takes a batch, then the cursor moves: what is killed between the two sends a batch again, which
changes nothing at a destination that knows rows by their event_id. The database is open only while something is read or
noted, since a connection that stays open to a file that is moved away would do harm when it is closed.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.errors import DatabaseRefused, ExportFailed
from llm_metrics_proxy.recorder.export import Batch, Destination, Row, Unacceptable, Unavailable, outbox
from llm_metrics_proxy.recorder.store import database, exporters, identity, presence
from llm_metrics_proxy.recorder.store.account import account_of_this_process
from llm_metrics_proxy.recorder.store.exporters import Cursor, Position
from llm_metrics_proxy.recorder.store.slices import Slices, open_background

REFUSED: Final = "export_refused"  # in recorder_events

ACCOUNT_SECONDS: Final = 60.0  # between two times that the recorders' own figures are sent

_PATIENCE_SECONDS = 1.0  # with others that have it open
_REJECTED = "it rejected some of those that it was sent"
_REFUSED_AT_MOST = 20  # rows in a row: more, and it is not the rows


type _Files = list[tuple[int, int, int] | None]


class _Taken(msgspec.Struct):
    """A batch that the destination has taken and the database does not know of yet."""

    position: Position
    sent: int = 0
    refused: list[str] = msgspec.field(default_factory=list)  # why


class Delivery:
    """The delivery from one database to one destination; for one thread."""

    def __init__(
        self, path: Path, destination: Destination, *, at_once: int, follow: bool, stop: threading.Event
    ) -> None:
        """`at_once` rows are read at most.

        With `follow`, rows that will soon have a cost wait for it, if the destination will not take them again then.
        """
        self.sent = 0  # rows, since it began
        self.refused = 0
        self.waiting = 0  # about how many the destination does not have
        self.batch: Batch | None = None  # what is to be sent next
        self._path, self._to = path, destination
        self._at_once, self._stop = at_once, stop
        self._priced = outbox.Priced(path) if follow and not destination.wants_changes else None
        self._cursor = Cursor("", Position(0, 0))
        self._connected = False
        self._taken: _Taken | None = None
        self._nothing_in: _Files | None = None  # the files in which nothing was to be sent
        self._refused_in_a_row = 0
        self._account_due = 0.0  # monotonic

    def step(self, *, again: bool = False) -> None:
        """Send the next batch, note that it is there, and read the one after it into `batch`, None if there is none.

        Where something fails the next step goes on. `again`: if there is no connection yet, begin with the first row.

        Raises:
            Unavailable: not now.
            DatabaseRefused: the database could not be read or written.
            ExportFailed: never, before somebody does something about it.
        """
        if not self._connected:
            self._connect(again=again)
        if self.batch is None:
            self._turn()
        # An attempt is not over before something was sent: else one that fails would look like the first again.
        if self.batch is not None:
            self._send(self.batch)
            self._turn()
        if self._to.wants_account and time.monotonic() >= self._account_due:
            self._send_account()

    def beat(self) -> None:
        """Have the next step see whether the destination is there, though there is nothing to send."""
        if self._connected:
            self.batch = Batch((), self._cursor.position)

    def note_error(self, error: str) -> None:
        """Have `llm-metrics status` say why it does not go on.

        Raises:
            DatabaseRefused: that cannot be noted.
        """
        with _opened(self._path) as connection, Slices(connection, self._path, stop=self._stop).hold():
            exporters.note_error(connection, self._to.name, error)

    def _connect(self, *, again: bool) -> None:
        self.batch = self._taken = self._nothing_in = None
        with _opened(self._path) as connection:
            known = exporters.find(connection, self._to.name)
            self.waiting = exporters.waiting(connection, known.position.row_id)
        there = self._to.connect(known.source_id)
        here = Position(0, 0) if again else known.position
        cursor = Cursor(known.source_id, here if there is None else Position(*map(min, here, there)))
        with _opened(self._path) as connection, Slices(connection, self._path, stop=self._stop).hold():
            exporters.register(connection, self._to.name, cursor, wants_changes=self._to.wants_changes)
        self._cursor, self._connected = cursor, True

    def _send(self, batch: Batch) -> None:
        taken = _Taken(batch.position)
        with self._reconnecting():
            self._send_part(batch, taken)
            if taken.refused:  # it has all of them that it will ever have
                self._send_part(Batch((), batch.position), taken)
        self._taken, self.batch = taken, None

    def _send_account(self) -> None:
        with _opened(self._path) as connection:
            told = outbox.read_account(connection)
        with self._reconnecting():
            self._to.send_account(told)
        self._account_due = time.monotonic() + ACCOUNT_SECONDS

    @contextmanager
    def _reconnecting(self) -> Iterator[None]:
        """After a failure inside, the next step connects anew."""
        try:
            yield
        except Unavailable:
            self._connected = False
            raise

    def _send_part(self, batch: Batch, taken: _Taken) -> None:
        """Send these, by halves if the destination will not have them, until the one is alone that is the matter."""
        try:
            rejected = self._to.send(batch)
        except Unacceptable as error:
            if len(batch.rows) > 1:
                half = len(batch.rows) // 2
                self._send_part(Batch(batch.rows[:half], self._cursor.position), taken)
                self._send_part(Batch(batch.rows[half:], batch.position), taken)
                return
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= _REFUSED_AT_MOST or not batch.rows:
                what = f"{self._to.name} takes nothing ({error})"
                raise ExportFailed(what=what, cure="see that it is the right place; the rows wait") from error
            taken.refused.append(str(error))
        else:
            taken.sent += len(batch.rows) - rejected
            taken.refused += [_REJECTED] * rejected
            if batch.rows:
                self._refused_in_a_row = 0

    def _turn(self) -> None:
        """Note what was taken, claim what is next, and read it."""
        cursor, taken = self._cursor, self._taken
        files = _as_they_are(self._path)
        if files == self._nothing_in and not taken:
            return
        at = taken.position if taken else cursor.position
        with _opened(self._path) as connection:
            if exporters.find(connection, self._to.name) != cursor:
                self._connected = False
                message = "the database was put back to an earlier state"
                raise Unavailable(message)
            last = outbox.last_of_next(connection, at.row_id, self._at_once)
            if self._priced:
                last = max(at.row_id, self._priced.up_to(connection, last))
            if taken or last > at.row_id:
                with Slices(connection, self._path, stop=self._stop).hold():
                    if taken:
                        self._settle(connection, taken)
                    exporters.claim(connection, self._to.name, last)  # before they are read
            self._cursor, self._taken = Cursor(cursor.source_id, at), None
            rows, change_id = self._read(connection, at, last)
            self.waiting = exporters.waiting(connection, at.row_id)
        if taken:
            self.sent += taken.sent
            self.refused += len(taken.refused)
        position = Position(last, change_id)
        self.batch = Batch(rows, position) if position != at else None
        self._nothing_in = files if not (self.batch or self.waiting) else None

    def _read(self, connection: sqlite3.Connection, at: Position, last: int) -> tuple[list[Row], int]:
        """The rows above a position, those that changed below it if there is room, and up to which change.

        Of one moment: a row that changes in between is neither in the first as it was nor in the second.
        """
        connection.execute("BEGIN")
        rows = outbox.rows(connection, at.row_id, last)
        room = self._at_once - len(rows)
        if not self._to.wants_changes or not room:
            return rows, at.change_id
        changed, change_id = outbox.changed(connection, at.change_id, at.row_id, room)
        return rows + changed, change_id

    def _settle(self, connection: sqlite3.Connection, taken: _Taken) -> None:
        exporters.advance(connection, self._to.name, taken.position, sent=taken.sent, refused=len(taken.refused))
        if taken.refused:
            detail = f"{self._to.name}: {taken.refused[0]}"
            account_of_this_process(connection).note_event(REFUSED, detail, len(taken.refused))


def _as_they_are(path: Path) -> _Files:
    """A value that changes with each commit, read from the database and its WAL without opening them."""
    found: _Files = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            status = file.stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, which nobody moves away meanwhile."""
    try:
        with _guarded(path), closing(open_background(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Be present as a reader; alone where there is no -shm, since opening the file makes one.

    If others have it open all the same, somebody has removed theirs, and two for one WAL would damage the database.
    """
    with ExitStack() as stack:
        if database.files_of(path).shm is not None:
            stack.enter_context(presence.sharing(path))
        else:
            try:
                stack.enter_context(presence.exclusively(path, _PATIENCE_SECONDS))
            except DatabaseRefused as error:
                message = "the -shm of the database was removed, and its recorders have not noticed yet"
                raise Unavailable(message) from error
        yield
