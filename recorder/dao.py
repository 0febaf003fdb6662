"""Calls written, found and added up for programs, on a connection that the caller owns.

Writers pass the recorder's connection, readers one of their own (`store.database.open_reader`). An insert joins the
caller's transaction; without one it makes its own, so that it is durable when it returns. Errors of SQLite pass
through. `IMPOSSIBLE` lists statements that can never be true of a row: a phrase, and the SQL that counts such rows, as
(number of rows, lowest id); comparisons with NULL are not true, so unknown values pass. The arithmetic of `get_metrics`
is in figures/metrics.py.
"""

import sqlite3
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

import msgspec

from llm_metrics_proxy.recorder import writing
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.figures.metrics import BEGINNING, END, Metrics, metrics_between
from llm_metrics_proxy.recorder.store.timestamps import bound

_TYPES = {field.name: field.type for field in msgspec.structs.fields(CompletionRequest)}
_NUMBERS = tuple(name for name, kind in _TYPES.items() if kind in (int, int | None, float, float | None))
_FRACTIONS = tuple(name for name in _NUMBERS if _TYPES[name] == float | None)
_TEXTS = tuple(name for name, kind in _TYPES.items() if kind in (str, str | None))
# -1 in a request stands for "no limit" with some servers, and rate limits are what a provider says.
_MAY_BE_NEGATIVE = {
    "max_tokens",
    "temperature",
    "top_p",
    "rate_limit_remaining_requests",
    "rate_limit_remaining_tokens",
}


def _some(names: tuple[str, ...], condition: str) -> str:
    """`condition` for any of the columns."""
    return " OR ".join(condition.format(name) for name in names)


# In the order of values that SQLite has: numbers, texts, bytes. A comparison costs a tenth of a call of typeof().
IMPOSSIBLE: Final = {
    # With a modifier strftime() computes the day, so that the 30th of February comes back as another one.
    "timestamp is not YYYY-MM-DDTHH:MM:SS.mmmZ": """
        strftime('%Y-%m-%dT%H:%M:%fZ', timestamp, '+0 days') IS NOT timestamp""",
    "success or is_streaming is neither 0 nor 1": """
        success NOT IN (0, 1) OR is_streaming NOT IN (0, 1)""",
    "status_code is no status of HTTP": """
        typeof(status_code) <> 'integer' OR status_code NOT BETWEEN 100 AND 999""",
    "success without a 2xx status, or with an error type": """
        success AND (status_code NOT BETWEEN 200 AND 299 OR error_type IS NOT NULL)""",
    "a number is negative": _some(tuple(name for name in _NUMBERS if name not in _MAY_BE_NEGATIVE), "{} < 0"),
    "a number is stored as text or bytes": _some(_NUMBERS, "{0} >= ''"),
    "a number is infinite": _some(_FRACTIONS, "{0} IN (9e999, -9e999)"),
    "a text is stored as something else": _some(_TEXTS, "{0} < '' OR {0} >= x''"),
    "the first token came after the last, or the last after the end": """
        time_to_first_token_ms > time_to_last_token_ms OR time_to_last_token_ms > response_time_ms""",
    "a part of the tokens is more than the whole": """
        coalesce(cached_tokens, 0) + coalesce(cache_write_tokens, 0) > prompt_tokens
            OR reasoning_tokens > completion_tokens""",
    "a time of a token without a stream": """
        NOT is_streaming AND (time_to_first_token_ms IS NOT NULL OR time_to_last_token_ms IS NOT NULL)""",
    "usage, billed, server_timing or labels is no JSON": """
        NOT json_valid(coalesce(usage, '{}')) OR NOT json_valid(coalesce(billed, '{}'))
            OR NOT json_valid(coalesce(server_timing, '{}')) OR NOT json_valid(coalesce(labels, '{}'))""",
    "usage_source is neither provider nor partial": """
        usage_source NOT IN ('provider', 'partial')""",
    "cost_complete or cost_note does not fit the cost": """
        cost_complete NOT IN (0, 1) OR cost_complete IS NOT NULL AND cost_usd IS NULL
            OR cost_complete = (cost_note IS NOT NULL)""",
    "event_id is not 32 hex digits": """
        length(event_id) <> 32 OR event_id GLOB '*[^0-9a-f]*'""",
}
_BETWEEN = "FROM completion_requests WHERE id > :above AND id <= :upto"
_ANY = f"SELECT 1 {_BETWEEN} AND ({' OR '.join(f'({one})' for one in IMPOSSIBLE.values())}) LIMIT 1"
_COUNTED = f"SELECT count(*), min(id) {_BETWEEN} AND ({{}})"
# The index forbids it; NOT INDEXED reads the table itself, since a damaged index would answer for itself.
_REPEATED = """
    SELECT count(*), min(id) FROM (
        SELECT min(id) AS id FROM completion_requests NOT INDEXED
        WHERE event_id IS NOT NULL GROUP BY event_id HAVING count(*) > 1)
"""
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def impossible(
    connection: sqlite3.Connection, above: int = _LOWEST, upto: int = _HIGHEST
) -> dict[str, tuple[int, int]]:
    """Rows with `above` < id <= `upto` that cannot be true: by phrase their number and the lowest id."""
    ids = {"above": above, "upto": upto}
    if connection.execute(_ANY, ids).fetchone() is None:  # one pass over the rows, as a rule the only one
        return {}
    found = {name: connection.execute(_COUNTED.format(one), ids).fetchone() for name, one in IMPOSSIBLE.items()}
    return {name: (count, first_id) for name, (count, first_id) in found.items() if count}


def phrase(name: str, count: int, first_id: int) -> str:
    """What `impossible` found of one kind, in words."""
    return f"{name}: {count} row{'s' if count > 1 else ''}, first id {first_id}"


def repeated(connection: sqlite3.Connection) -> list[str]:
    """The events that stand in more than one row, as a phrase if there are any."""
    count, first_id = connection.execute(_REPEATED).fetchone()
    return [phrase("event_id stands in more than one row", count, first_id)] if count else []


# Texts that stand before and after every timestamp, so that an open end needs no other statement and the index serves.
_FIRST, _LAST = "", "~"

_SELECT = f"""
    SELECT id, {", ".join(writing.COLUMNS)} FROM completion_requests
    WHERE timestamp >= :start AND timestamp < :end
        AND (:model IS NULL OR model = :model)
        AND (:origin IS NULL OR origin = :origin)
        AND (:success IS NULL OR success = :success)
    ORDER BY timestamp DESC, id DESC
    LIMIT :limit
"""  # noqa: S608 - names of our own fields
_TABLE = "SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo('completion_requests')"
_INDEXES = "SELECT name FROM pragma_index_list('completion_requests') ORDER BY name"
_ROWS = "SELECT count(*), min(timestamp), max(timestamp) FROM completion_requests"


class StoredRequest(CompletionRequest, frozen=True, kw_only=True):
    """A row: the event and its id. `event_id` is "" for rows from version 1 of the schema, which had none."""

    id: int


# Not checked against the annotations: the values are as typed as the table's columns make them.
_make_row: Callable[..., StoredRequest] = StoredRequest


class Column(msgspec.Struct, frozen=True):
    """A column as the table declares it."""

    name: str
    type: str
    not_null: bool
    primary_key: bool


class TableInfo(msgspec.Struct, frozen=True):
    """The columns in order, the indexes by name, and what the table holds; no timestamps when it is empty."""

    columns: tuple[Column, ...]
    indexes: tuple[str, ...]
    rows: int
    oldest: str | None
    newest: str | None


class CompletionRequestsDAO:
    """Access to `completion_requests` on one connection, from the thread that opened it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` stays the caller's, who closes it."""
        self._connection = connection

    def insert_completion_request(self, event: CompletionRequest) -> bool:
        """Insert one event; False if a row with its `event_id` is there already."""
        return self.insert_completion_requests([event]) == 1

    def insert_completion_requests(self, events: Collection[CompletionRequest]) -> int:
        """Insert the events, all or none, and return how many were new; those whose `event_id` is there are skipped.

        Raises:
            sqlite3.IntegrityError, OverflowError, UnicodeEncodeError, ...: a value cannot be stored. In a transaction
                of the caller's, some of the rows are inserted; it is the caller's to roll back.
        """
        if self._connection.in_transaction:
            return writing.insert(self._connection, events)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            inserted = writing.insert(self._connection, events)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return inserted

    def get_completion_requests(  # noqa: PLR0913 - filters, each by name and with a default
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        model: str | None = None,
        origin: str | None = None,
        success: bool | None = None,
        limit: int | None = None,
    ) -> list[StoredRequest]:
        """The calls with start <= timestamp < end that match every filter given, newest first, at most `limit`.

        Raises:
            ValueError: a time without a time zone, or a negative limit.
        """
        if limit is not None and limit < 0:
            message = f"limit is {limit}: give 0 or more, or None for all"
            raise ValueError(message)
        parameters = {
            **_period(start, end),
            "model": model,
            "origin": origin,
            "success": success,
            "limit": -1 if limit is None else limit,
        }
        return [_stored(row) for row in self._connection.execute(_SELECT, parameters)]

    def get_metrics(self, start: datetime | None = None, end: datetime | None = None) -> Metrics:
        """The figures of the calls with start <= timestamp < end.

        Whole months, days, and of the last week hours, come from the roll-up, also where rows were pruned; what `start`
        and `end` cut, and what the roll-up does not have yet, from the rows. Percentiles are exact for at most
        10,000 calls whose rows are all there, else within 3.2 %: `percentiles_are_exact` says which.

        Raises:
            ValueError: a time without a time zone.
        """
        for moment in (start, end):
            if moment is not None:
                bound(moment)  # raises
        return metrics_between(self._connection, start or BEGINNING, end or END)

    def get_table_info(self) -> TableInfo:
        """The table's columns and indexes, and how much it holds."""
        count, oldest, newest = self._connection.execute(_ROWS).fetchone()
        return TableInfo(
            columns=tuple(
                Column(name, declared, bool(not_null), bool(key))
                for name, declared, not_null, key in self._connection.execute(_TABLE)
            ),
            indexes=tuple(name for (name,) in self._connection.execute(_INDEXES)),
            rows=count,
            oldest=oldest,
            newest=newest,
        )

    def validate_data_integrity(self) -> list[str]:
        """Every problem as one phrase; empty if there is none. Reads the whole file several times: it takes seconds."""
        problems = [answer for (answer,) in self._connection.execute("PRAGMA quick_check") if answer != "ok"]
        problems += [phrase(name, *found) for name, found in impossible(self._connection).items()]
        problems += repeated(self._connection)
        return problems


def _period(start: datetime | None, end: datetime | None) -> dict[str, str | int | None]:
    return {"start": bound(start) if start else _FIRST, "end": bound(end) if end else _LAST}


def _stored(row: tuple[object, ...]) -> StoredRequest:
    values = dict(zip(("id", *writing.COLUMNS), row, strict=True))
    values["success"] = bool(values["success"])
    values["is_streaming"] = bool(values["is_streaming"])
    values["event_id"] = values["event_id"] or ""
    return _make_row(**values)
