"""The roll-up: sums and times of calls by hour, day and month, quick to read, and kept after their rows were pruned.

Rows are added in the order of their ids, up to the watermark 'rollup', which moves in the same transaction. So each row
is in it once, however many recorders there are and however often they try; a reader adds what is above the watermark
from the rows themselves, and is exact at any moment. A cost that comes later goes into both (recorder/prices).
"""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.recorder.figures import completed
from llm_metrics_proxy.recorder.figures.sums import (
    COST_KEYS,
    COST_SUMS,
    ERROR_KEYS,
    KEYS,
    PERCENTS,
    ROW,
    SUMS,
    Sums,
    sums_of,
)
from llm_metrics_proxy.recorder.percentile import percentiles
from llm_metrics_proxy.recorder.store import database, sqlite, timestamps, watermarks
from llm_metrics_proxy.recorder.store.slices import Slices

SPANS: Final = {"hour": 13, "day": 10, "month": 7}  # how many characters of a timestamp name the period
HOURS_KEPT: Final = timedelta(days=8)  # what is older is asked by day
HOLD_MS: Final = 20.0
A_MOMENTS_ROWS: Final = 5_000  # may be added up in the proxy's own process: a few tenths of a second

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[int, int]).decode

_FIRST_AT_ONCE, _LEAST_AT_ONCE, _MOST_AT_ONCE = 500, 100, 20_000  # rows

_NEXT = f"SELECT {ROW} FROM completion_requests WHERE id > ? AND id <= ?"  # noqa: S608 - names of our own
_ADD_CALLS = f"""
    INSERT INTO rollup_calls (span, period, {", ".join(KEYS)}, {", ".join(SUMS)})
    VALUES ({", ".join("?" * (2 + len(KEYS) + len(SUMS)))})
    ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)}
"""  # noqa: S608 - names of our own
_ADD_COSTS = f"""
    INSERT INTO rollup_costs (span, period, {", ".join(COST_KEYS)}, {", ".join(COST_SUMS)})
    VALUES ({", ".join("?" * (2 + len(COST_KEYS) + len(COST_SUMS)))})
    ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in COST_SUMS)}
"""  # noqa: S608 - names of our own
_ADD_ERRORS = f"""
    INSERT INTO rollup_errors (span, period, {", ".join(ERROR_KEYS)}, calls)
    VALUES ({", ".join("?" * (2 + len(ERROR_KEYS) + 1))})
    ON CONFLICT DO UPDATE SET calls = calls + excluded.calls
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
_FORGET_EMPTY = tuple(
    f"DELETE FROM {table} WHERE span = ? AND period = ? AND calls = 0"  # noqa: S608 - names of our own
    for table in ("rollup_calls", "rollup_errors", "rollup_times")
)
_FORGET_HOURS = tuple(
    f"DELETE FROM {table} WHERE span = 'hour' AND period < ?"  # noqa: S608 - names of our own
    for table in ("rollup_calls", "rollup_costs", "rollup_errors", "rollup_times")
)


class _Fresh(NamedTuple):
    """The sums of some rows, and the number of changes of costs by then."""

    above: int  # ids
    up_to: int
    changes: int
    by_span: dict[str, Sums]


type _Gather = Callable[[int], _Fresh | None]


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
    follow_completed(connection, slices)
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


def follow_completed(connection: sqlite3.Connection, slices: Slices) -> None:
    """Add what calls that were completed after they had been added up have more now.

    Raises:
        DatabaseRefused: SQLite refused; what was added before stays added.
    """
    if gone := completed.gone(connection):
        with slices.hold():
            completed.forget(connection, gone)
    while not slices.stopped and (row_ids := completed.waiting(connection)):
        with slices.hold() as has_time:
            while row_ids and has_time():
                change = completed.change(connection, row_ids.pop())
                for span, length in SPANS.items():
                    add(connection, span, change.by(length))
                    for statement in _FORGET_EMPTY:
                        connection.executemany(statement, {(span, key[0][:length]) for key in change.calls})


@contextmanager
def _gathering(connection: sqlite3.Connection, path: Path, aside: Executor | None) -> Iterator[_Gather]:
    """Yield the function that gathers the next rows: here, or in another thread, through a connection of its own."""
    if aside is None:
        yield partial(_gather, connection)
        return
    reader = aside.submit(database.open_reader, path).result()
    try:
        yield lambda at_once: aside.submit(_gather, reader, at_once).result()
    finally:
        aside.submit(reader.close).result()


def add(connection: sqlite3.Connection, span: str, sums: Sums) -> None:
    """Add the sums, whose periods are of that `span`; in the caller's transaction."""
    since = oldest_hour() if span == "hour" else ""
    of_span: dict[str, tuple[str, list[tuple[object, ...]]]] = {
        "rollup_calls": (_ADD_CALLS, [(span, *key, *row) for key, row in sums.calls.items() if key[0] >= since]),
        "rollup_costs": (_ADD_COSTS, [(span, *key, *row) for key, row in sums.costs.items() if key[0] >= since]),
        "rollup_errors": (_ADD_ERRORS, [(span, *key, calls) for key, calls in sums.errors.items() if key[0] >= since]),
        "rollup_times": (
            _SET_TIMES,
            [_times(connection, (span, *key), counts) for key, counts in sums.times.items() if key[0] >= since],
        ),
    }
    for table, (statement, rows) in of_span.items():
        if rows:
            sqlite.check_written(connection.executemany(statement, rows), table, len(rows))


def counts_of(text: str) -> dict[int, int]:
    """Column `counts`: numbers of calls by bucket."""
    return _decode(text)


def _gather(connection: sqlite3.Connection, at_once: int) -> _Fresh | None:
    """Add up the next rows, without the lock; None if there are none."""
    connection.execute("BEGIN")  # one moment for all of it
    try:
        above = watermarks.get(connection, watermarks.ROLLUP)
        up_to = min(above + at_once, watermarks.newest(connection))
        if up_to <= above:
            return None
        changes = watermarks.get(connection, watermarks.CHANGES)
        hours = sums_of(connection, _NEXT, (above, up_to))
        return _Fresh(above, up_to, changes, {span: hours.by(length) for span, length in SPANS.items()})
    finally:
        connection.execute("COMMIT")


def _add(connection: sqlite3.Connection, fresh: _Fresh) -> int:
    """Add what was gathered, unless another process was faster, or has changed costs of these rows since."""
    now = watermarks.get(connection, watermarks.ROLLUP), watermarks.get(connection, watermarks.CHANGES)
    if now != (fresh.above, fresh.changes):
        return 0
    for span, sums in fresh.by_span.items():
        add(connection, span, sums)
    watermarks.move(connection, watermarks.ROLLUP, fresh.up_to)
    return fresh.up_to - fresh.above


def _times(connection: sqlite3.Connection, series: tuple[str, ...], counts: Mapping[int, int]) -> tuple[object, ...]:
    """The row of a series to which these are added."""
    found = connection.execute(_COUNTS, series).fetchone()
    added = Counter(counts_of(found[0]) if found else {})
    added.update(counts)
    added = +added  # a call that was completed later may have left a bucket
    of_all = percentiles(added, PERCENTS) if added else (0.0,) * len(PERCENTS)
    return *series, added.total(), *of_all, _encode(dict(sorted(added.items()))).decode()


def _forget_hours(connection: sqlite3.Connection, slices: Slices) -> None:
    for statement in _FORGET_HOURS:
        with slices.hold():
            connection.execute(statement, (oldest_hour(),))


def oldest_hour() -> str:
    """The first hour that is kept."""
    return timestamps.bound(datetime.now(UTC) - HOURS_KEPT)[: SPANS["hour"]]
