"""The roll-up: what calls add up to by hour, day and month, quick to ask, and there after their rows were pruned.

Rows are added in the order of their ids, up to the watermark 'rollup', which moves in the same transaction. So each row
is in it once, whoever wrote it and however often that was tried; a reader adds what is above the watermark from the
rows themselves, and is exact at any moment. A cost that comes later goes into both by `change_costs`.
"""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from recorder import database, timestamps
from recorder.histogram import SHARES, percentiles
from recorder.slices import Slices
from recorder.sums import KEYS, ROW, SUMS, Sums

WATERMARK: Final = "rollup"
SPANS: Final = {"hour": 13, "day": 10, "month": 7}  # how many characters of a timestamp name the period
HOURS_KEPT: Final = timedelta(days=8)  # what is older is asked by day
HOLD_MS: Final = 20.0

_CHANGES_ABOVE = "cost changes above the roll-up"  # a watermark that counts them

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[int, int]).decode

_FIRST_AT_ONCE, _LEAST_AT_ONCE, _MOST_AT_ONCE = 500, 100, 20_000  # rows

_MARK = "SELECT row_id FROM watermarks WHERE name = ?"
_MOVE_MARK = """
    INSERT INTO watermarks (name, row_id) VALUES (?, ?)
    ON CONFLICT(name) DO UPDATE SET row_id = max(row_id, excluded.row_id)
"""
_LAST_ID = "SELECT ifnull(max(id), 0) FROM completion_requests"
_NEXT = f"SELECT {ROW} FROM completion_requests WHERE id > ? AND id <= ?"  # noqa: S608 - names of our own
_ADD_CALLS = f"""
    INSERT INTO rollup_calls (span, period, {", ".join(KEYS)}, {", ".join(SUMS)})
    VALUES ({", ".join("?" * (2 + len(KEYS) + len(SUMS)))})
    ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)}
"""  # noqa: S608 - names of our own
_COUNTS = """
    SELECT counts FROM rollup_times
    WHERE span = ? AND period = ? AND measure = ? AND dimension = ? AND value = ?
"""
_SET_TIMES = """
    INSERT INTO rollup_times (span, period, measure, dimension, value, calls, p50, p95, p99, counts)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE
    SET calls = excluded.calls, p50 = excluded.p50, p95 = excluded.p95, p99 = excluded.p99, counts = excluded.counts
"""
_FORGET_HOURS = tuple(
    f"DELETE FROM {table} WHERE span = 'hour' AND period < ?"  # noqa: S608 - names of our own
    for table in ("rollup_calls", "rollup_times")
)

type CostChange = tuple[int, float | None, str | None]
_CHANGES = "CREATE TEMP TABLE IF NOT EXISTS cost_changes (id INTEGER PRIMARY KEY, cost_usd REAL, cost_source TEXT)"
_CHANGE = "INSERT INTO cost_changes (id, cost_usd, cost_source) VALUES (?, ?, ?)"
# What a provider says of its own calls stays, and what is as it was need not be written.
_DROP_UNCHANGED = """
    DELETE FROM cost_changes WHERE NOT EXISTS (
        SELECT 1 FROM completion_requests AS old
        WHERE old.id = cost_changes.id AND old.cost_source IS NOT 'provider'
            AND (old.cost_usd IS NOT cost_changes.cost_usd OR old.cost_source IS NOT cost_changes.cost_source))
"""
# CROSS JOIN: the few changes come first, and each finds its row; SQLite would read through all rows to find the few.
_CARRY = f"""
    UPDATE rollup_calls SET cost_usd = rollup_calls.cost_usd + usd, cost_usd_known = rollup_calls.cost_usd_known + known
    FROM (
        SELECT substr(timestamp, 1, :length) AS of_period,
            {", ".join(f"{key} AS of_{name}" for name, key in KEYS.items())},
            total(new.cost_usd) - total(old.cost_usd) AS usd, count(new.cost_usd) - count(old.cost_usd) AS known
        FROM cost_changes AS new CROSS JOIN completion_requests AS old ON old.id = new.id
        WHERE old.id <= :mark GROUP BY 1, 2, 3, 4, 5, 6, 7)
    WHERE span = :span AND period = of_period AND {" AND ".join(f"{name} = of_{name}" for name in KEYS)}
"""  # noqa: S608 - names of our own
_SET_COSTS = """
    UPDATE completion_requests SET (cost_usd, cost_source) = (
        SELECT new.cost_usd, new.cost_source FROM cost_changes AS new WHERE new.id = completion_requests.id)
    WHERE id IN (SELECT id FROM cost_changes)
"""


class _Fresh(NamedTuple):
    """What rows add up to, and how many changes of costs there had been by then."""

    above: int  # ids
    up_to: int
    changes: int
    hours: Sums


type _Gather = Callable[[int], _Fresh | None]


def watermark(connection: sqlite3.Connection, name: str = WATERMARK) -> int:
    """The id up to which rows have been through what `name` says."""
    found = connection.execute(_MARK, (name,)).fetchone()
    return int(found[0]) if found else 0


def waiting(connection: sqlite3.Connection) -> int:
    """About how many rows are not in the roll-up yet: ids may have gaps."""
    (last,) = connection.execute(_LAST_ID).fetchone()
    return max(int(last) - watermark(connection), 0)


def move_watermark(connection: sqlite3.Connection, name: str, row_id: int) -> None:
    """Move it forward, never back; in the transaction of the work that it tells of."""
    connection.execute(_MOVE_MARK, (name, row_id))


def bring_up_to_date(  # noqa: PLR0913 - how it is done, each by name and with a default
    connection: sqlite3.Connection,
    path: Path,
    *,
    aside: Executor | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[int], None] | None = None,
    hold_ms: float = HOLD_MS,
) -> int:
    """Add the rows that are not in the roll-up yet, in slices while recorders write; return how many those were.

    `connection` is as `Slices` wants it. Rows are read and added up in `aside` if it is given, which has one thread.
    `progress` is told how many are done. A slice aims at `hold_ms`, and the longer, the less a row costs.

    Raises:
        DatabaseRefused: SQLite refused; what was added before stays added.
    """
    slices = Slices(connection, path, stop=stop)
    added, at_once = 0, _FIRST_AT_ONCE
    with _gathering(connection, path, aside) as gather:
        while not slices.stopped and (fresh := gather(at_once)):
            with slices.hold():
                began = time.monotonic()
                added += _add(connection, fresh)
                held_ms = (time.monotonic() - began) * 1_000
            at_once = min(max(int(at_once * hold_ms / held_ms), _LEAST_AT_ONCE), at_once * 2, _MOST_AT_ONCE)
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if progress is not None:
                progress(added)
    _forget_hours(connection, slices)
    return added


@contextmanager
def _gathering(connection: sqlite3.Connection, path: Path, aside: Executor | None) -> Iterator[_Gather]:
    """How the next rows are gathered: here, or in another thread, through a connection of its own."""
    if aside is None:
        yield partial(_gather, connection)
        return
    reader = aside.submit(database.open_reader, path).result()
    try:
        yield lambda at_once: aside.submit(_gather, reader, at_once).result()
    finally:
        aside.submit(reader.close).result()


def add(connection: sqlite3.Connection, span: str, sums: Sums) -> None:
    """Add the sums to periods of `span`, which are not shorter than theirs; in the caller's transaction."""
    longer = sums.by(SPANS[span])
    since = oldest_hour() if span == "hour" else ""
    connection.executemany(
        _ADD_CALLS, ((span, *key, *of_key) for key, of_key in longer.calls.items() if key[0] >= since)
    )
    connection.executemany(
        _SET_TIMES,
        [_times(connection, (span, *series), counts) for series, counts in longer.times.items() if series[0] >= since],
    )


def counts_of(text: str) -> dict[int, int]:
    """Column `counts`: numbers of calls by bucket."""
    return _decode(text)


def change_costs(connection: sqlite3.Connection, changes: Sequence[CostChange]) -> int:
    """Set cost and source of rows, each given as (id, cost_usd, cost_source); in the caller's transaction.

    Rows with the provider's own figure stay as they are. Returns how many were changed.
    """
    connection.execute(_CHANGES)
    connection.execute("DELETE FROM cost_changes")
    connection.executemany(_CHANGE, changes)
    connection.execute(_DROP_UNCHANGED)
    mark = watermark(connection)
    if connection.execute("SELECT max(id) > ? FROM cost_changes", (mark,)).fetchone()[0]:
        move_watermark(connection, _CHANGES_ABOVE, watermark(connection, _CHANGES_ABOVE) + 1)
    for span, length in SPANS.items():
        connection.execute(_CARRY, {"span": span, "length": length, "mark": mark})
    return connection.execute(_SET_COSTS).rowcount


def _gather(connection: sqlite3.Connection, at_once: int) -> _Fresh | None:
    """Add up the next rows, without the lock; None if there are none."""
    connection.execute("BEGIN")  # one moment for all of it
    try:
        above = watermark(connection)
        (last,) = connection.execute(_LAST_ID).fetchone()
        up_to = min(above + at_once, last)
        if up_to <= above:
            return None
        fresh = _Fresh(above, up_to, watermark(connection, _CHANGES_ABOVE), Sums())
        fresh.hours.add_rows(connection.execute(_NEXT, (above, up_to)))
        return fresh
    finally:
        connection.execute("COMMIT")


def _add(connection: sqlite3.Connection, fresh: _Fresh) -> int:
    """Add what was gathered, unless another process was faster, or has changed costs of these rows since."""
    if (watermark(connection), watermark(connection, _CHANGES_ABOVE)) != (fresh.above, fresh.changes):
        return 0
    for span in SPANS:
        add(connection, span, fresh.hours)
    move_watermark(connection, WATERMARK, fresh.up_to)
    return fresh.up_to - fresh.above


def _times(connection: sqlite3.Connection, series: tuple[str, ...], counts: Mapping[int, int]) -> tuple[object, ...]:
    """The row of a series to which these are added."""
    found = connection.execute(_COUNTS, series).fetchone()
    added = Counter(counts_of(found[0]) if found else {})
    added.update(counts)
    return *series, added.total(), *percentiles(added, SHARES), _encode(dict(sorted(added.items()))).decode()


def _forget_hours(connection: sqlite3.Connection, slices: Slices) -> None:
    for statement in _FORGET_HOURS:
        with slices.hold():
            connection.execute(statement, (oldest_hour(),))


def oldest_hour() -> str:
    """The first hour that is kept."""
    return timestamps.bound(datetime.now(UTC) - HOURS_KEPT)[: SPANS["hour"]]
