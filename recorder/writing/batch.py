"""A batch of events becomes rows: all at once, or one by one where something refuses.

A call that is no row afterwards was there before, or it cannot be stored, or something in the file keeps it out: a
user's trigger that ignores or refuses it or cannot run, a unique index, a CHECK. SQLite gives no error where a trigger
ignores a row, so every call that it does not count as inserted is looked for.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder import writing
from llm_metrics_proxy.recorder.events import CompletionRequest, Event, Unrecognised
from llm_metrics_proxy.recorder.store import sqlite
from llm_metrics_proxy.recorder.store.account import Account, Gap, Tally
from llm_metrics_proxy.recorder.writing.rejected import Rejected
from llm_metrics_proxy.recorder.writing.replay import Piece
from llm_metrics_proxy.recorder.writing.spill import Record

# What SQLite, or Python before it, says of a value that cannot be stored. Only raised by an insert they mean a row.
_ABOUT_A_ROW: Final = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    TypeError,
    ValueError,  # lone surrogates
)
_OWN_COLUMN_IS_NULL: Final = "NOT NULL constraint failed: completion_requests."
_PRESENT: Final = "SELECT event_id FROM completion_requests WHERE event_id IN (SELECT value FROM json_each(?))"

type Failures = Mapping[str, Exception]
"""The ids of calls whose insert fails, and what SQLite says then."""


class TransactionEndedError(Exception):
    """A trigger answered an insert with ROLLBACK: all of the transaction is undone. The cause is SQLite's error."""


class Outcome(NamedTuple):
    """The result of a batch: the counters that it adds to, and the events that are no rows.

    `rejected` hold what cannot be stored; `kept_out` could be, but something in the file does not let them in.
    """

    counts: Counter[str]
    rejected: list[Rejected]
    kept_out: list[Rejected]


def insert(connection: sqlite3.Connection, account: Account, events: Sequence[Event], enders: Failures) -> Outcome:
    """Insert the events in the caller's transaction, but for those of `enders`, which are kept out.

    Raises:
        TransactionEndedError: see `enders_of`.
        sqlite3.Error: it is not about single rows, so the caller has to roll back.
    """
    requests = [event for event in events if isinstance(event, CompletionRequest)]
    written, failures = _insert_all(connection, requests, enders)
    rejected: list[Rejected] = []
    kept_out: list[Rejected] = []
    if written < len(requests):
        for missing in _missing(connection, requests, failures):
            (kept_out if _is_kept_out(missing.reason) else rejected).append(missing)
    counts = Counter(
        written=written, duplicates=len(requests) - written - len(rejected) - len(kept_out), spilled=len(kept_out)
    )
    for event in events:
        if isinstance(event, Unrecognised):
            try:
                account.note_unrecognised(event)
                counts["unrecognised"] += 1
            except _ABOUT_A_ROW as error:
                rejected.append(Rejected(event, error))
    return Outcome(+counts, rejected, kept_out)  # without the zeros


def insert_piece(connection: sqlite3.Connection, account: Account, piece: Piece, enders: Failures) -> Outcome:
    """Insert the lines of a spill file that the database does not have, and note that it has them; like `insert`."""
    had = account.replayed_lines(piece.file)
    records: list[Record] = [record for record in piece.records[max(0, had - piece.first) :] if record]
    events = [record for record in records if isinstance(record, CompletionRequest | Unrecognised)]
    outcome = insert(connection, account, events, enders)
    outcome.counts.update({"replayed": len(events)} if events else {})
    of_file = Account(connection, piece.process)
    of_file.write_gaps(record for record in records if isinstance(record, Gap))
    for record in records:
        if isinstance(record, Tally):
            of_file.write_counters(record.values)
    account.note_replay(piece.file, max(had, piece.end))
    return outcome


def enders_of(connection: sqlite3.Connection, records: Sequence[object]) -> Failures:
    """Find the calls whose insert ends the transaction, by trying each in one that is rolled back.

    Raises:
        sqlite3.Error: it is not about single rows.
    """
    found: dict[str, Exception] = {}
    try:
        for record in records:
            if not isinstance(record, CompletionRequest):
                continue
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            try:
                _insert_or_undo(connection, [record])
            except TransactionEndedError as ended:
                found[record.event_id] = ended
            except Exception as error:
                if not _is_about_rows(error):
                    raise
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return found


def _insert_all(
    connection: sqlite3.Connection, requests: Sequence[CompletionRequest], enders: Failures
) -> tuple[int, Failures]:
    """Insert the requests but for those of `enders`; return how many were new, and what was said of the others."""
    if not enders:
        try:
            return _insert_or_undo(connection, requests), {}
        except Exception as error:
            if not _is_about_rows(error):
                raise
    # A batch is small and this is rare: one by one finds every bad row and keeps all others.
    written, failures = 0, dict(enders)
    for request in requests:
        if request.event_id not in enders:
            try:
                written += _insert_or_undo(connection, [request])
            except Exception as error:
                if not _is_about_rows(error):
                    raise
                failures[request.event_id] = error
    return written, failures


def _insert_or_undo(connection: sqlite3.Connection, requests: Sequence[CompletionRequest]) -> int:
    """Insert all of the requests and return how many were new, or leave nothing of them and raise SQLite's error."""
    connection.execute("SAVEPOINT rows")
    try:
        inserted = writing.insert(connection, requests)
    except Exception as error:
        if not connection.in_transaction:
            raise TransactionEndedError(str(error)) from error
        connection.execute("ROLLBACK TO rows")
        connection.execute("RELEASE rows")
        raise
    connection.execute("RELEASE rows")
    return inserted


def _is_about_rows(error: Exception) -> bool:
    """True if other rows may get in: values, constraints, triggers, expressions of indexes, full-text tables."""
    return (
        isinstance(error, _ABOUT_A_ROW)
        or sqlite.code_of(error) == sqlite3.SQLITE_ERROR
        or sqlite.is_about_a_virtual_table(error)
    )


def _missing(
    connection: sqlite3.Connection, requests: Sequence[CompletionRequest], failures: Failures
) -> list[Rejected]:
    """Look for the requests that are no rows now, each once, with the reason if there is one."""
    ids = json.dumps([request.event_id for request in requests])
    present = {event_id for (event_id,) in connection.execute(_PRESENT, (ids,))}
    missing = {request.event_id: request for request in requests if request.event_id not in present}
    return [Rejected(request, failures.get(event_id)) for event_id, request in missing.items()]


def _is_kept_out(reason: Exception | None) -> bool:
    """True if the row could be stored without something that another program added; None: SQLite gave no reason."""
    if reason is None or isinstance(reason, TransactionEndedError | sqlite3.OperationalError):
        return True
    is_of_others = isinstance(reason, sqlite3.IntegrityError) and not str(reason).startswith(_OWN_COLUMN_IS_NULL)
    return is_of_others or sqlite.is_about_a_virtual_table(reason)
