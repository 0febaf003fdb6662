"""Compute what stored calls cost: those that nobody has looked at yet, or history anew.

Calls are read and priced outside of any transaction; what has changed is written in short slices, beside recorders. The
watermark of what was looked at moves in the transactions of the costs themselves, so a run that was killed goes on
where it was. Several may run at once: each writes what the prices say.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.figures.rollup import follow_completed
from llm_metrics_proxy.recorder.prices import ahead
from llm_metrics_proxy.recorder.prices.ahead import Choice, Priced
from llm_metrics_proxy.recorder.prices.history import Span
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.recost_report import Recosted, Report
from llm_metrics_proxy.recorder.prices.rollup_costs import CostChange, change_costs
from llm_metrics_proxy.recorder.store import database, identity, presence, watermarks
from llm_metrics_proxy.recorder.store.slices import Slices, open_background

HOLD_MS: Final = 20.0
ALONE_MS: Final = 50.0  # while no recorder has the database open

MANY: Final = 50_000  # calls, which are worth the start of a process

_AT_ONCE: Final = 50  # changes between two looks at the clock

# Tiers of these stand beside the usage, which is all that was kept before.
_WITHOUT_TERMS = """
    SELECT count(*) FROM completion_requests
    WHERE timestamp >= ? AND timestamp < min(?, (SELECT applied_at FROM schema_version WHERE version = 6))
        AND provider IN ('openai', 'azure.ai.openai', 'aws.bedrock') AND usage IS NOT NULL AND service_tier IS NULL
"""
_PRICED = "DELETE FROM completed_later WHERE row_id = ? AND added"
_COUNT = "SELECT count(*) FROM completion_requests WHERE timestamp >= ? AND timestamp < ?"


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
        with closing(database.open_reader(path) if dry_run else open_background(path)) as connection:
            stop = stop or threading.Event()
            slices = {
                alone: Slices(
                    connection, path, hold_ms=hold_ms or (ALONE_MS if alone else HOLD_MS), alone=alone, stop=stop
                )
                for alone in (False, True)
            }
            run = _Recost(connection, path, slices, lambda: not presence.living(path), dry_run=dry_run)
            return run.run(own, span, progress or (lambda _done, _of: None))
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


class _Recost:
    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        slices: Mapping[bool, Slices],
        is_alone: Callable[[], bool],
        *,
        dry_run: bool,
    ) -> None:
        self._connection = connection
        self._path = path
        self._of_company = slices
        self._slices = slices[False]
        self._is_alone = is_alone
        self._dry_run = dry_run
        self._report = Report()

    def run(self, own: OwnPrices, span: Span | None, progress: Progress) -> Recosted:
        above = watermarks.get(self._connection, watermarks.PRICING)
        newest = watermarks.newest(self._connection)
        if span is None:
            expected = max(newest - above, 0)
        else:
            (expected,) = self._connection.execute(_COUNT, (span.since, span.until)).fetchone()
        done = 0
        if not self._dry_run:
            follow_completed(self._connection, self._slices)
        price = ahead.in_a_thread if expected < MANY else ahead.in_a_process
        with closing(price(Choice(self._path, newest, above, span), own)) as batches:
            for batch in batches:
                moving = span is None and not batch.completed
                if self._slices.stopped or not (self._dry_run or self._write(batch, moving=moving)):
                    break
                self._report.add_all(batch.report)
                done += batch.looked_at
                progress(done, max(done, expected))
        (told,) = self._connection.execute(_WITHOUT_TERMS, _bounds(span)).fetchone()
        return self._report.result(
            stopped=self._slices.stopped and done < expected,
            without_terms=told,
            slices=sum(one.count for one in self._of_company.values()),
            longest_hold_ms=max(one.longest_ms for one in self._of_company.values()),
        )

    def _write(self, batch: Priced, *, moving: bool) -> bool:
        """Write what has changed; where calls are in the order of ids the watermark follows, `moving` behind them.

        All of it is written even if the work is to end, so that the report is right: False if others hold the lock
        by then.
        """
        changes = deque(batch.changes)
        self._slices = self._of_company[self._is_alone()]
        unmoved = moving or bool(batch.completed)
        while changes or unmoved:
            try:
                with self._slices.hold() as has_time:
                    change_costs(self._connection, _while(has_time, changes))
                    if moving:
                        watermarks.move(
                            self._connection, watermarks.PRICING, changes[0].id - 1 if changes else batch.last
                        )
                    elif not changes:
                        self._connection.executemany(_PRICED, ((row_id,) for row_id in batch.completed))
            except DatabaseRefused:
                if self._slices.stopped:
                    return False
                raise
            unmoved = unmoved and bool(changes)
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return True


def _while(has_time: Callable[[], bool], changes: deque[CostChange]) -> Iterator[CostChange]:
    """Take changes out as long as there is time for them; those of one slice add up to the fewest sums."""
    while changes and has_time():
        yield from [changes.popleft() for _ in range(min(_AT_ONCE, len(changes)))]


def _bounds(span: Span | None) -> tuple[str, str]:
    return ("", "") if span is None else (span.since, span.until)
