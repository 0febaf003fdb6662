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
from contextlib import closing, suppress
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.recorder.prices import newer_list
from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import UNKNOWN, Cost, cost_of
from llm_metrics_proxy.recorder.prices.recost_report import Recosted, Report
from llm_metrics_proxy.recorder.prices.rollup_costs import KEYS_OF_A_ROW, CostChange, change_costs
from llm_metrics_proxy.recorder.store import database, identity, presence, watermarks
from llm_metrics_proxy.recorder.store.slices import Slices, open_background, wait_for_others

HOLD_MS: Final = 20.0
ALONE_MS: Final = 50.0  # while no recorder has the database open

_READ_AHEAD: Final = 1_000  # rows
_AT_ONCE: Final = 50  # changes between two looks at the clock
_FIRST, _LAST = "", "~"  # before and after every timestamp

_CALLS, _KEYS = len(Call.__struct_fields__), len(KEYS_OF_A_ROW)
_COLUMNS = ", ".join(
    ("id", *Call.__struct_fields__, *KEYS_OF_A_ROW, "cost_usd", "cost_source", "cost_complete", "cost_note")
)
_PENDING = f"""
    SELECT {_COLUMNS} FROM completion_requests WHERE id > :id AND id <= :newest ORDER BY id LIMIT :limit
"""  # noqa: S608 - names of our own columns, here and below
_HISTORY = f"""
    SELECT {_COLUMNS} FROM completion_requests
    WHERE (timestamp, id) > (:timestamp, :id) AND timestamp < :until AND id <= :newest
    ORDER BY timestamp, id LIMIT :limit
"""  # noqa: S608
# Tiers of these stand beside the usage, which is all that was kept before.
_WITHOUT_TERMS = """
    SELECT count(*) FROM completion_requests
    WHERE timestamp >= ? AND timestamp < min(?, (SELECT applied_at FROM schema_version WHERE version = 6))
        AND provider IN ('openai', 'azure.ai.openai', 'aws.bedrock') AND usage IS NOT NULL AND service_tier IS NULL
"""
_COUNT = "SELECT count(*) FROM completion_requests WHERE timestamp >= ? AND timestamp < ?"


class Span(NamedTuple):
    """A choice of calls: timestamps from `since` on and before `until`, and a model's name, as in file names."""

    since: str = _FIRST
    until: str = _LAST
    model: str | None = None


class _Row(NamedTuple):
    id: int
    timestamp: str
    call: Call | None  # None: it holds what no recorder writes
    key: tuple[str | int, ...]  # of its sums
    before: Cost


class _Priced(NamedTuple):
    rows: Sequence[_Row]
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

    A dry run only reads. `stop` ends it early, between two slices; `progress` is told how many calls were looked at,
    and of how many. The write lock is held for less than `hold_ms` at a time: without it 20, or 50 if nobody records.

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
            connection.text_factory = _text
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


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")  # of one row: the others can be priced


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
            batches = self._batches(_PENDING, {"id": above, "newest": newest})
        else:
            (expected,) = self._connection.execute(_COUNT, (span.since, span.until)).fetchone()
            at = {"timestamp": span.since, "id": -(2**63), "until": span.until, "newest": newest}
            batches = self._batches(_HISTORY, at)
        done = 0
        ahead: deque[_Priced] = deque()
        for rows in chain(batches, ((),)):  # the next ones are priced while those before them are written
            if rows:
                wanted = [row for row in rows if row.call is None or span is None or _names(row.call, span.model)]
                costs = self._aside.submit(self._prices, wanted)
                ahead.append(_Priced(wanted, costs, len(rows), rows[-1].id))
            while ahead and (len(ahead) > 1 or not rows) and not self._slices.stopped:
                priced = ahead.popleft()
                changes = deque(self._changes(priced.rows, priced.costs.result()))
                if not self._dry_run:
                    self._write(changes, priced.last if span is None else None)
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

    def _batches(self, statement: str, at: dict[str, object]) -> Iterator[Sequence[_Row]]:
        """Each is read to its end, so that no snapshot is held for long."""
        while found := self._connection.execute(statement, at | {"limit": _READ_AHEAD}).fetchall():
            yield [_row(row) for row in found]
            at |= {"id": found[-1][0], "timestamp": found[-1][1]}

    def _prices(self, rows: Sequence[_Row]) -> list[Cost]:
        return [UNKNOWN if row.call is None else cost_of(row.call, self._own, row.before) for row in rows]

    def _changes(self, rows: Sequence[_Row], costs: Sequence[Cost]) -> Iterator[CostChange]:
        for row, cost in zip(rows, costs, strict=True):
            if self._report.add(row.call, row.before, cost):
                yield CostChange(row.id, row.timestamp, row.key, row.before, cost)

    def _write(self, changes: deque[CostChange], last: int | None) -> None:
        """Write changes; with `last`, the row up to which they are, in the order of ids, and the watermark follows."""
        moving = last is not None
        self._slices = self._of_company[self._is_alone()]
        while changes or moving:
            if self._slices.stopped:
                return
            with self._slices.hold() as has_time:
                while changes and has_time():
                    change_costs(self._connection, [changes.popleft() for _ in range(min(_AT_ONCE, len(changes)))])
                if last is not None:
                    upto = changes[0].id - 1 if changes else last
                    watermarks.move(self._connection, watermarks.PRICING, upto)
            moving = moving and bool(changes)
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _row(row: tuple[Any, ...]) -> _Row:
    row_id, columns, rest = row[0], row[1 : 1 + _CALLS], row[1 + _CALLS :]
    call = None
    with suppress(msgspec.ValidationError):
        call = msgspec.convert(columns, Call)
    return _Row(row_id, str(columns[0]), call, rest[:_KEYS], Cost(*rest[_KEYS:]))


def _names(call: Call, pattern: str | None) -> bool:
    names = (call.model or "", call.response_model or "")
    return pattern is None or any(fnmatchcase(name, pattern) for name in names)


def _bounds(span: Span | None) -> tuple[str, str]:
    return (_FIRST, _FIRST) if span is None else (span.since, span.until)
