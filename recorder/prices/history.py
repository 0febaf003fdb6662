"""Stored calls, read to be priced: in batches, so that no snapshot is held for long."""

import sqlite3
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.recorder.prices import pricing
from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.pricing import Cost
from llm_metrics_proxy.recorder.prices.rollup_costs import KEYS_OF_A_ROW

_READ_AHEAD: Final = 1_000  # rows
_FIRST, _LAST = "", "~"  # before and after every timestamp

_CALLS, _KEYS = len(Call.__struct_fields__), len(KEYS_OF_A_ROW)
_COLUMNS = ", ".join(("id", *Call.__struct_fields__, *KEYS_OF_A_ROW, *pricing.COLUMNS))
_PENDING = f"""
    SELECT {_COLUMNS} FROM completion_requests WHERE id > :id AND id <= :newest ORDER BY id LIMIT :limit
"""  # noqa: S608 - names of our own columns, here and below
_COMPLETED = f"""
    SELECT {_COLUMNS} FROM completion_requests
    WHERE id IN (SELECT row_id FROM completed_later WHERE added ORDER BY row_id LIMIT :limit)
"""  # noqa: S608
_ANSWERED = f"""
    SELECT {_COLUMNS} FROM completion_requests
    WHERE id > ? AND id <= ? AND ifnull(provider, '') = ? AND model = ? AND response_model = ?
        AND substr(timestamp, 1, 10) = ?
"""  # noqa: S608
_HISTORY = f"""
    SELECT {_COLUMNS} FROM completion_requests
    WHERE (timestamp, id) > (:timestamp, :id) AND timestamp < :until AND id <= :newest
    ORDER BY timestamp, id LIMIT :limit
"""  # noqa: S608


class Span(NamedTuple):
    """A choice of calls: timestamps from `since` on and before `until`, and a model's name, as in file names."""

    since: str = _FIRST
    until: str = _LAST
    model: str | None = None

    def has_model(self, call: Call) -> bool:
        """Tell whether a call asked for such a model, or got an answer of one."""
        return self.model is None or fits(self.model, call.model, call.response_model)


class Row(NamedTuple):
    """A stored call and its cost."""

    id: int
    timestamp: str
    call: Call | None  # None: it holds what no recorder writes
    key: tuple[str | int, ...]  # of its sums: the values of KEYS_OF_A_ROW
    before: Cost


def fits(pattern: str, *names: str | None) -> bool:
    """Tell whether a pattern as in file names fits one of a model's names."""
    return any(fnmatchcase(name or "", pattern) for name in names)


def between(connection: sqlite3.Connection, span: Span, newest: int) -> Iterator[Sequence[Row]]:
    """Read the calls of a span up to the id `newest`, in the order of time."""
    at = {"timestamp": span.since, "id": -(2**63), "until": span.until, "newest": newest}
    return _batches(connection, _HISTORY, at)


def pending(connection: sqlite3.Connection, above: int, newest: int) -> Iterator[Sequence[Row]]:
    """Read the calls with above < id <= newest, in the order of ids."""
    return _batches(connection, _PENDING, {"id": above, "newest": newest})


def completed(connection: sqlite3.Connection) -> Sequence[Row]:
    """Read the calls that were completed by a later answer, as far as the roll-up has followed."""
    return [_row(row) for row in _read(connection, _COMPLETED, {"limit": _READ_AHEAD})]


def answered(
    connection: sqlite3.Connection, above: int, upto: int, names: tuple[str, str, str], day: str
) -> Sequence[Row]:
    """Read the calls of a day with above < id <= upto by provider, model and the model that answered."""
    return [_row(row) for row in connection.execute(_ANSWERED, (above, upto, *names, day))]


def _batches(connection: sqlite3.Connection, statement: str, at: dict[str, Any]) -> Iterator[Sequence[Row]]:
    while found := _read(connection, statement, at | {"limit": _READ_AHEAD}):
        yield [_row(row) for row in found]
        at |= {"id": found[-1][0], "timestamp": found[-1][1]}


def _read(connection: sqlite3.Connection, statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(statement, parameters).fetchall()
    except sqlite3.OperationalError:  # perhaps a text of one row is damaged: the others can be priced
        connection.text_factory = lambda raw: raw.decode(errors="replace")
        return connection.execute(statement, parameters).fetchall()


def _row(row: tuple[Any, ...]) -> Row:
    row_id, columns, rest = row[0], row[1 : 1 + _CALLS], row[1 + _CALLS :]
    try:
        call = msgspec.convert(columns, Call)
    except msgspec.ValidationError:
        call = None
    return Row(row_id, str(columns[0]), call, rest[:_KEYS], Cost(*rest[_KEYS:]))
