"""Which model answered to which name: by day, and whether it is another one than was asked for.

names.py judges two names, aliases.csv has what providers document beyond them, and this module adds calls up in the
table `model_answers`. That stays when calls are pruned, and the view `substitutions` reads it.

Costs are as they were when the calls were added up. What the model asked for would have cost is at the same prices.
"""

import sqlite3
from collections.abc import Iterable
from concurrent.futures import Executor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.prices import history, newer_list
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import cost_of
from llm_metrics_proxy.recorder.store import database, timestamps, watermarks
from llm_metrics_proxy.recorder.store.slices import Slices
from llm_metrics_proxy.recorder.upkeep.answers import names

OTHERS: Final = "(others)"

_MOST_PAIRS: Final = 1_000  # a day: clients choose the names
_AT_ONCE: Final = 20_000  # rows
_DAY: Final = 10  # characters of a timestamp

_PAIRS = """
    SELECT substr(timestamp, 1, 10), ifnull(provider, ''), model, response_model, count(*), min(timestamp),
        max(timestamp)
    FROM completion_requests
    WHERE id > ? AND id <= ? AND typeof(model) = 'text' AND typeof(response_model) = 'text' AND model <> response_model
    GROUP BY 1, 2, 3, 4
"""
_ADD = """
    INSERT INTO model_answers (day, provider, model, response_model, substituted, told, calls, first_at, last_at,
        compared, cost_usd, asked_usd)
    VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET substituted = excluded.substituted, calls = calls + excluded.calls,
        first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at),
        compared = compared + excluded.compared, cost_usd = cost_usd + excluded.cost_usd,
        asked_usd = asked_usd + excluded.asked_usd
"""
_HAS_ROOM = """
    SELECT (SELECT count(*) FROM model_answers WHERE day = :day) < :most OR EXISTS (
        SELECT 1 FROM model_answers
        WHERE day = :day AND provider = :provider AND model = :model AND response_model = :response_model)
"""
_KNOWN = "SELECT DISTINCT provider, model, response_model, substituted FROM model_answers WHERE model <> ?"
_JUDGE = "UPDATE model_answers SET substituted = ? WHERE provider = ? AND model = ? AND response_model = ?"
_UNTOLD = """
    SELECT day, provider, model, response_model, calls FROM model_answers
    WHERE substituted AND NOT told AND day >= ? ORDER BY calls DESC
"""
_TELL = "UPDATE model_answers SET told = 1 WHERE day = ? AND provider = ? AND model = ? AND response_model = ?"


class Told(msgspec.Struct, frozen=True):
    """A pair of which a person is to be told: once on each day on which it occurs."""

    day: str
    provider: str
    asked: str
    answered: str
    calls: int  # until then


class _Pair(msgspec.Struct, frozen=True):
    """Some calls of a day: what they cost and what the model asked for would have cost, as far as both are known."""

    day: str
    provider: str
    model: str
    response_model: str
    calls: int
    first_at: str
    last_at: str
    substituted: bool = False
    compared: int = 0
    cost_usd: float = 0.0
    asked_usd: float = 0.0


def bring_up_to_date(
    connection: sqlite3.Connection, path: Path, slices: Slices, own: OwnPrices, aside: Executor
) -> list[Told]:
    """Add the calls that have been priced since; return the pairs of today and yesterday that nobody was told of.

    `connection` is as `Slices` wants it. Rows are read and judged in `aside`, which has one thread.

    Raises:
        BadPrices: the list of prices beside the database is damaged.
        DatabaseRefused: SQLite refused; what was added before stays added.
    """
    newer_list.use(path)
    while not slices.stopped:
        above = watermarks.get(connection, watermarks.ANSWERS)
        upto = min(above + _AT_ONCE, watermarks.get(connection, watermarks.PRICING))
        if upto <= above:
            break
        pairs = aside.submit(_gathered, path, above, upto, own).result()
        with slices.hold():
            if watermarks.get(connection, watermarks.ANSWERS) == above:  # else another process was faster
                _add(connection, pairs)
                watermarks.move(connection, watermarks.ANSWERS, upto)
    _judge_anew(connection, slices, own)
    return _untold(connection, slices)


def _gathered(path: Path, above: int, upto: int, own: OwnPrices) -> list[_Pair]:
    """Add up the next rows, without the lock."""
    with closing(database.open_reader(path)) as connection:
        pairs = [_Pair(*row) for row in connection.execute(_PAIRS, (above, upto)).fetchall()]
        return [_compared(connection, above, upto, pair, own) for pair in pairs]


def _compared(connection: sqlite3.Connection, above: int, upto: int, pair: _Pair, own: OwnPrices) -> _Pair:
    """Judge a pair; of another model also compare the costs, call by call."""
    if names.are_one(pair.provider, pair.model, pair.response_model, own, pair.last_at):
        return pair
    compared, cost, asked = 0, 0.0, 0.0
    of_pair = (pair.provider, pair.model, pair.response_model)
    for row in history.answered(connection, above, upto, of_pair, pair.day):
        if row.call is None or row.before.usd is None:
            continue
        as_asked = cost_of(msgspec.structs.replace(row.call, response_model=None), own)
        if as_asked.usd is not None:
            compared, cost, asked = compared + 1, cost + row.before.usd, asked + as_asked.usd
    return msgspec.structs.replace(pair, substituted=True, compared=compared, cost_usd=cost, asked_usd=asked)


def _add(connection: sqlite3.Connection, pairs: Iterable[_Pair]) -> None:
    for pair in pairs:
        key = {name: getattr(pair, name) for name in ("day", "provider", "model", "response_model")}
        (has_room,) = connection.execute(_HAS_ROOM, key | {"most": _MOST_PAIRS}).fetchone()
        kept = pair if has_room else msgspec.structs.replace(pair, provider="", model=OTHERS, response_model=OTHERS)
        of_names = (kept.day, kept.provider, kept.model, kept.response_model)
        sums = (kept.calls, kept.first_at, kept.last_at, kept.compared, kept.cost_usd, kept.asked_usd)
        connection.execute(_ADD, (*of_names, kept.substituted and has_room, *sums))


def _judge_anew(connection: sqlite3.Connection, slices: Slices, own: OwnPrices) -> None:
    """Follow the list of prices and prices.toml, which may say more of names than when their calls were added."""
    now = timestamps.now()
    changed = [
        (not was, provider, model, answered)
        for provider, model, answered, was in connection.execute(_KNOWN, (OTHERS,)).fetchall()
        if names.are_one(provider, model, answered, own, now) == bool(was)
    ]
    if changed and not slices.stopped:
        with slices.hold():
            connection.executemany(_JUDGE, changed)


def _untold(connection: sqlite3.Connection, slices: Slices) -> list[Told]:
    since = timestamps.bound(datetime.now(UTC) - timedelta(days=1))[:_DAY]
    found = [Told(*row) for row in connection.execute(_UNTOLD, (since,)).fetchall()]
    if found:
        with slices.hold():
            connection.executemany(_TELL, [(one.day, one.provider, one.asked, one.answered) for one in found])
    return found
