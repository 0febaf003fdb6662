"""Compute what stored calls cost: those that nobody has looked at yet, or history anew.

Calls are read and priced outside of any transaction; what has changed is written in short slices, beside recorders. The
watermark of what was looked at moves in the transactions of the costs themselves, so a run that was killed goes on
where it was. Several may run at once: each writes what the prices say.

Pricing has a thread of its own with the lowest priority. The thread that writes keeps its own: one that waits for a CPU
while it holds the lock would make the recorder wait.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.prices import history, newer_list
from llm_metrics_proxy.recorder.prices.history import Row, Span
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import UNKNOWN, Cost, cost_of
from llm_metrics_proxy.recorder.prices.recost_report import Recosted, Report
from llm_metrics_proxy.recorder.prices.rollup_costs import CostChange, change_costs
from llm_metrics_proxy.recorder.store import database, identity, presence, watermarks
from llm_metrics_proxy.recorder.store.slices import Slices, open_background, wait_for_others

HOLD_MS: Final = 20.0
ALONE_MS: Final = 50.0  # while no recorder has the database open

_AT_ONCE: Final = 50  # changes between two looks at the clock

# Tiers of these stand beside the usage, which is all that was kept before.
_WITHOUT_TERMS = """
    SELECT count(*) FROM completion_requests
    WHERE timestamp >= ? AND timestamp < min(?, (SELECT applied_at FROM schema_version WHERE version = 6))
        AND provider IN ('openai', 'azure.ai.openai', 'aws.bedrock') AND usage IS NOT NULL AND service_tier IS NULL
"""
_COUNT = "SELECT count(*) FROM completion_requests WHERE timestamp >= ? AND timestamp < ?"


class _Priced(NamedTuple):
    rows: Sequence[Row]
    costs: Future[list[Cost]]
    looked_at: int
    last: int  # the id of the last row that was looked at


type Progress = Callable[[int, int], None]


def recost(  # noqa: PLR0913 - what a person may ask for
    path: Path,
    own: OwnPrices,
    span: Span | None = None,
    *,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    hold_ms: float | None = None,
) -> Recosted:
    """Compute the costs of calls anew: of those in `span`, or without it of those that were not looked at yet.

    A dry run only reads. `stop` ends it early, after the thousand calls it is at; `progress` is told how many calls
    were looked at, and of how many. The write lock is held for less than `hold_ms` at a time: without it 20, or 50 if
    nobody records.

    Raises:
        BadPrices: the list of prices beside the database is damaged.
        DatabaseRefused: there is no database of the present version at `path`, or SQLite refused; what was written
            before stays.
    """
    try:
        with (
            closing(database.open_reader(path) if dry_run else open_background(path)) as connection,
            ThreadPoolExecutor(1, "llm-metrics-prices", wait_for_others) as aside,
        ):
            aside.submit(newer_list.use, path).result()
            stop = stop or threading.Event()
            slices = {
                alone: Slices(connection, path, hold_ms=hold_ms or (ALONE_MS if alone else HOLD_MS), stop=stop)
                for alone in (False, True)
            }
            run = _Recost(connection, slices, lambda: not presence.living(path), own, aside, dry_run=dry_run)
            return run.run(span, progress or (lambda _done, _of: None))
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


class _Recost:
    def __init__(  # noqa: PLR0913 - its parts, made once
        self,
        connection: sqlite3.Connection,
        slices: Mapping[bool, Slices],
        is_alone: Callable[[], bool],
        own: OwnPrices,
        aside: ThreadPoolExecutor,
        *,
        dry_run: bool,
    ) -> None:
        self._connection = connection
        self._of_company = slices
        self._slices = slices[False]
        self._is_alone = is_alone
        self._own = own
        self._aside = aside
        self._dry_run = dry_run
        self._report = Report()

    def run(self, span: Span | None, progress: Progress) -> Recosted:
        above = watermarks.get(self._connection, watermarks.PRICING)
        newest = watermarks.newest(self._connection)
        if span is None:
            expected = max(newest - above, 0)
            batches = history.pending(self._connection, above, newest)
        else:
            (expected,) = self._connection.execute(_COUNT, (span.since, span.until)).fetchone()
            batches = history.between(self._connection, span, newest)
        done = 0
        ahead: deque[_Priced] = deque()
        for rows in chain(batches, ((),)):  # the next ones are priced while those before them are written
            if rows:
                wanted = [row for row in rows if row.call is None or span is None or span.has_model(row.call)]
                costs = self._aside.submit(self._prices, wanted)
                ahead.append(_Priced(wanted, costs, len(rows), rows[-1].id))
            while ahead and (len(ahead) > 1 or not rows) and not self._slices.stopped:
                priced = ahead.popleft()
                costs_now = priced.costs.result()
                if not self._dry_run and not self._write(priced, costs_now, moving=span is None):
                    break
                for row, cost in zip(priced.rows, costs_now, strict=True):
                    self._report.add(row.call, row.before, cost)
                done += priced.looked_at
                progress(done, max(done, expected))
            if self._slices.stopped:
                break
        (told,) = self._connection.execute(_WITHOUT_TERMS, _bounds(span)).fetchone()
        return self._report.result(
            stopped=self._slices.stopped and done < expected,
            without_terms=told,
            slices=sum(one.count for one in self._of_company.values()),
            longest_hold_ms=max(one.longest_ms for one in self._of_company.values()),
        )

    def _prices(self, rows: Sequence[Row]) -> list[Cost]:
        return [UNKNOWN if row.call is None else cost_of(row.call, self._own, row.before) for row in rows]

    def _write(self, priced: _Priced, costs: Sequence[Cost], *, moving: bool) -> bool:
        """Write what has changed; where rows are in the order of ids the watermark follows, `moving` behind them.

        All of it is written even if the work is to end, so that the report is right: False if others hold the lock
        by then.
        """
        changes = deque(
            CostChange(row.id, row.timestamp, row.key, row.before, cost)
            for row, cost in zip(priced.rows, costs, strict=True)
            if cost != row.before
        )
        self._slices = self._of_company[self._is_alone()]
        unmoved = moving
        while changes or unmoved:
            try:
                with self._slices.hold() as has_time:
                    change_costs(self._connection, _while(has_time, changes))
                    if moving:
                        upto = changes[0].id - 1 if changes else priced.last
                        watermarks.move(self._connection, watermarks.PRICING, upto)
            except DatabaseRefused:
                if self._slices.stopped:
                    return False
                raise
            unmoved = moving and bool(changes)
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return True


def _while(has_time: Callable[[], bool], changes: deque[CostChange]) -> Iterator[CostChange]:
    """Take changes out as long as there is time for them; those of one slice add up to the fewest sums."""
    while changes and has_time():
        yield from [changes.popleft() for _ in range(min(_AT_ONCE, len(changes)))]


def _bounds(span: Span | None) -> tuple[str, str]:
    return ("", "") if span is None else (span.since, span.until)
