"""A batch of events becomes rows: all at once, or one by one where something refuses.

A call that is no row afterwards was there before, or it cannot be stored, or something in the file keeps it out: a
user's trigger that ignores or refuses it or cannot run, a unique index, a CHECK. SQLite gives no error where a trigger
ignores a row, and counts one as inserted that a trigger deletes again. So every call that it does not count is looked
for, and all of them where there are triggers of users.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder import writing
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest, Event, Limits, Tunnelled, Unrecognised
from llm_metrics_proxy.recorder.store import quota, sqlite
from llm_metrics_proxy.recorder.store.account import Account, Gap, Tally
from llm_metrics_proxy.recorder.writing import later
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

_COUNTED: Final[Mapping[type, str]] = {Unrecognised: "unrecognised", Tunnelled: "tunnelled", Limits: "limits"}
_TABLES: Final[Mapping[type, str]] = {Unrecognised: "unrecognised", Tunnelled: "tunnelled_hosts", Limits: "quota"}

type Failures = Mapping[str, Exception]
"""The ids of calls whose insert fails, and what SQLite says then."""


class TransactionEndedError(Exception):
    """A trigger answered an insert with ROLLBACK: all of the transaction is undone. The cause is SQLite's error."""


class KeptOutError(Exception):
    """A call is no row after its insert, which gave no error."""

    def __str__(self) -> str:
        """The reason, as far as it is known."""
        return "a trigger ignored or deleted it"


class Outcome(NamedTuple):
    """The result of a batch: the counters that it adds to, and the events that are no rows.

    `rejected` hold what cannot be stored; `kept_out` could be, but something in the file does not let them in.
    """

    counts: Counter[str]
    rejected: list[Rejected]
    kept_out: list[Rejected]


def insert(
    connection: sqlite3.Connection, account: Account, events: Sequence[Event], enders: Failures, *, watched: bool
) -> Outcome:
    """Insert the events in the caller's transaction, but for those of `enders`, which are kept out.

    `watched`: the table has triggers of users, so that all calls have to be looked for.

    Raises:
        TransactionEndedError: see `enders_of`.
        sqlite3.Error: it is not about single rows, so the caller has to roll back.
    """
    requests = [event for event in events if isinstance(event, CompletionRequest)]
    done, failures = _insert_all(connection, requests, enders, watched=watched)
    rejected: list[Rejected] = []
    kept_out: list[Rejected] = []
    for missing in _missing(connection, requests, failures):
        (kept_out if _is_kept_out(missing.reason) else rejected).append(missing)
    counts = done + Counter(duplicates=len(requests) - done.total() - len(rejected) - len(kept_out))
    for event in events:
        if not isinstance(event, CompletionRequest):
            try:
                _note(connection, account, event)
                counts[_COUNTED[type(event)]] += 1
            except (*_ABOUT_A_ROW, KeptOutError) as error:
                (kept_out if _is_kept_out(error) else rejected).append(Rejected(event, error))
    counts["spilled"] = len(kept_out)
    return Outcome(+counts, rejected, kept_out)  # without the zeros


def insert_piece(
    connection: sqlite3.Connection, account: Account, piece: Piece, enders: Failures, *, watched: bool
) -> Outcome:
    """Insert the lines of a spill file that the database does not have, and note that it has them; like `insert`."""
    had = account.replayed_lines(piece.file)
    records: list[Record] = [record for record in piece.records[max(0, had - piece.first) :] if record]
    events = [record for record in records if not isinstance(record, Gap | Tally)]
    outcome = insert(connection, account, events, enders, watched=watched)
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
                _insert_or_undo(connection, [record], watched=False)
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
    connection: sqlite3.Connection, requests: Sequence[CompletionRequest], enders: Failures, *, watched: bool
) -> tuple[Counter[str], Failures]:
    """Insert the requests but for those of `enders`; return what was done, and why others could not be inserted."""
    if not enders:
        try:
            return _insert_or_undo(connection, requests, watched=watched), {}
        except Exception as error:
            if not _is_about_rows(error):
                raise
    # A batch is small and this is rare: one by one finds every bad row and keeps all others.
    done, failures = Counter[str](), dict(enders)
    for request in requests:
        if request.event_id not in enders:
            try:
                done += _insert_or_undo(connection, [request], watched=watched)
            except Exception as error:
                if not _is_about_rows(error):
                    raise
                failures[request.event_id] = error
    return done, failures


def _insert_or_undo(
    connection: sqlite3.Connection, requests: Sequence[CompletionRequest], *, watched: bool
) -> Counter[str]:
    """Insert the requests or complete rows with them, all or nothing, also of what triggers did.

    Returns how many were `written` as new rows, and how many `completed` a row.

    Raises:
        KeptOutError, TransactionEndedError: a trigger is the reason.
        Exception: SQLite's, or Python's, of a value that cannot be stored.
    """
    connection.execute("SAVEPOINT rows")
    try:
        rows, inserted, completed = _write(connection, requests)
        if watched or inserted < len(rows):
            _check_present(connection, rows)
    except Exception as error:
        if not connection.in_transaction:
            raise TransactionEndedError(str(error)) from error
        connection.execute("ROLLBACK TO rows")
        connection.execute("RELEASE rows")
        raise
    connection.execute("RELEASE rows")
    return +Counter(written=inserted, completed=completed)


def _write(
    connection: sqlite3.Connection, requests: Sequence[CompletionRequest]
) -> tuple[list[CompletionRequest], int, int]:
    """Return the requests that are rows of their own, how many of them are new, and how many others completed a row.

    Rows are inserted in the order of the requests, so that ids grow as calls end.
    """
    rows: list[CompletionRequest] = []
    inserted = completed = 0
    for may_be_known, group in groupby(requests, key=lambda request: request.response_id is not None):
        for some in ([request] for request in group) if may_be_known else (list(group),):
            found = later.complete(connection, some[0]) if may_be_known else None
            if found is None:
                inserted += writing.insert(connection, some)
                rows += some
            elif found.kept_out:
                raise KeptOutError
            else:
                completed += found.completed
    return rows, inserted, completed


def _is_about_rows(error: Exception) -> bool:
    """True if other rows may get in: values, constraints, triggers, expressions of indexes, full-text tables."""
    return (
        isinstance(error, (*_ABOUT_A_ROW, KeptOutError))
        or sqlite.code_of(error) == sqlite3.SQLITE_ERROR
        or sqlite.is_about_a_virtual_table(error)
    )


def _missing(
    connection: sqlite3.Connection, requests: Sequence[CompletionRequest], failures: Failures
) -> list[Rejected]:
    """The requests whose insert failed and that are no rows, each once, with the reason."""
    failed = {request.event_id: request for request in requests if request.event_id in failures}
    present = _present(connection, failed.values()) if failed else set()
    return [Rejected(failed[event_id], failures[event_id]) for event_id in failed if event_id not in present]


def _check_present(connection: sqlite3.Connection, requests: Sequence[CompletionRequest]) -> None:
    if _present(connection, requests) < {request.event_id for request in requests}:
        raise KeptOutError


def _present(connection: sqlite3.Connection, requests: Iterable[CompletionRequest]) -> set[str]:
    """Those of their ids that stand in a row."""
    ids = json.dumps([request.event_id for request in requests])
    return {event_id for (event_id,) in connection.execute(_PRESENT, (ids,))}


def _note(connection: sqlite3.Connection, account: Account, event: Unrecognised | Tunnelled | Limits) -> None:
    """Note what is no call: traffic that was not read, and limits.

    Raises:
        KeptOutError, sqlite3.Error: that is not done.
    """
    try:
        if isinstance(event, Limits):
            noted = quota.note(connection, event)
        elif isinstance(event, Tunnelled):
            noted = account.note_tunnelled(event)
        else:
            noted = account.note_unrecognised(event)
    except sqlite3.IntegrityError as error:
        if not connection.in_transaction:  # so it is about all of the batch
            table = _TABLES[type(event)]
            raise DatabaseRefused(what=f"A trigger of {table} undoes all ({error})", cure="drop it") from error
        raise
    if not noted:
        raise KeptOutError


def _is_kept_out(reason: Exception) -> bool:
    """True if the row could be stored without something that another program added."""
    if isinstance(reason, KeptOutError | TransactionEndedError | sqlite3.OperationalError):
        return True
    is_of_others = isinstance(reason, sqlite3.IntegrityError) and not str(reason).startswith(_OWN_COLUMN_IS_NULL)
    return is_of_others or sqlite.is_about_a_virtual_table(reason)
