"""What the calls of the last minutes looked like, by model, origin or provider.

Unknown stays None: a sum or a percentile over no known value is None, never 0. No output here; see top_table.py.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from recorder import timestamps
from recorder.percentile import Number, nearest_rank

type By = Literal["model", "origin", "provider"]

BY: Final[tuple[By, ...]] = get_args(By.__value__)

# One pass, with the values of the percentiles as JSON: twice as fast as rows of them. (Which SQLite writes with 15
# digits.) BETWEEN leaves out what no measurement is: text, infinities. The plus keeps SQLite from reading a whole index
# in the order of the groups instead of the window's part of the table. sum() would end in an error when absurd values
# overflow 64 bits, total() does not; but it is 0 over nothing, where the answer is NULL.
_CALLS: Final[dict[By, str]] = {
    by: f"""
        SELECT {by}, count(*), total(NOT success),
            iif(count(prompt_tokens), total(prompt_tokens), NULL),
            iif(count(completion_tokens), total(completion_tokens), NULL),
            total(success AND prompt_tokens IS NULL AND completion_tokens IS NULL),
            iif(count(cost_usd), total(cost_usd), NULL),
            total(success AND cost_usd IS NULL),
            max(timestamp),
            json_group_array(time_to_first_token_ms) FILTER (WHERE time_to_first_token_ms BETWEEN 0 AND 1e12),
            json_group_array(tokens_per_second) FILTER (WHERE tokens_per_second BETWEEN 0 AND 1e12)
        FROM completion_requests WHERE timestamp >= ? GROUP BY +{by}
    """  # noqa: S608 - one of three names of ours
    for by in BY
}
_LAST = "SELECT max(timestamp) FROM completion_requests"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the calls. Sums are over what is known; `without_*` says of how many successful calls it is not."""

    name: str | None  # of the model, origin or provider; None if that is unknown
    requests: int
    errors: int
    time_to_first_token_p50_ms: Number | None
    time_to_first_token_p95_ms: Number | None
    tokens_per_second_p50: Number | None
    prompt_tokens: int | None
    completion_tokens: int | None
    without_tokens: int
    cost_usd: float | None
    without_cost: int
    last_at: str


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; the names are the keys of the JSON document, which others' programs read: add, never rename."""

    at: str
    since: str
    by: str
    lines: tuple[Line, ...]  # most requests first
    total: Line | None  # None when there were no calls
    last_at: str | None  # of all calls, also those before `since`


class _Values(NamedTuple):
    """What percentiles are made of, in ascending order."""

    first_tokens: list[Number]
    rates: list[Number]


def collect(connection: sqlite3.Connection, window: timedelta, by: By) -> Top:
    """What the calls of the last `window` looked like, all as of one moment.

    Raises:
        sqlite3.Error: they could not be read.
    """
    now = datetime.now(UTC)
    since = timestamps.bound(now - window)
    connection.execute("BEGIN")  # ends with the connection
    lines, values = [], []
    for *row, first_tokens, rates in connection.execute(_CALLS[by], (since,)):
        values.append(_Values(sorted(json.loads(first_tokens)), sorted(json.loads(rates))))
        lines.append(_line(row, values[-1]))
    (last_at,) = connection.execute(_LAST).fetchone()
    return Top(
        at=timestamps.bound(now),
        since=since,
        by=by,
        lines=tuple(sorted(lines, key=lambda line: (-line.requests, line.name or ""))),
        total=_total(lines, values) if lines else None,
        last_at=last_at,
    )


def _line(row: Sequence[Any], values: _Values) -> Line:
    name, requests, errors, prompt, completion, without_tokens, cost, without_cost, last_at = row
    return Line(
        name=name,
        requests=requests,
        errors=round(errors),
        time_to_first_token_p50_ms=nearest_rank(values.first_tokens, 50),
        time_to_first_token_p95_ms=nearest_rank(values.first_tokens, 95),
        tokens_per_second_p50=nearest_rank(values.rates, 50),
        prompt_tokens=None if prompt is None else round(prompt),
        completion_tokens=None if completion is None else round(completion),
        without_tokens=round(without_tokens),
        cost_usd=cost,
        without_cost=round(without_cost),
        last_at=last_at,
    )


def _total(lines: Sequence[Line], values: Sequence[_Values]) -> Line:
    sums = (
        "total",
        sum(line.requests for line in lines),
        sum(line.errors for line in lines),
        _sum(line.prompt_tokens for line in lines),
        _sum(line.completion_tokens for line in lines),
        sum(line.without_tokens for line in lines),
        _sum(line.cost_usd for line in lines),
        sum(line.without_cost for line in lines),
        max(line.last_at for line in lines),
    )
    first_tokens = sorted(chain.from_iterable(one.first_tokens for one in values))
    return _line(sums, _Values(first_tokens, sorted(chain.from_iterable(one.rates for one in values))))


def _sum[N: Number](values: Iterable[N | None]) -> N | None:
    """The sum of what is known."""
    known = [value for value in values if value is not None]
    return sum(known[1:], start=known[0]) if known else None
