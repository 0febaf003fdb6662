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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import UNKNOWN, Cost, cost_of
from llm_metrics_proxy.recorder.prices.rollup_costs import CostChange, change_costs
from llm_metrics_proxy.recorder.store import database, identity, watermarks
from llm_metrics_proxy.recorder.store.slices import Slices, open_background, wait_for_others

HOLD_MS: Final = 20.0
STATED: Final = "provider"  # the source of costs that the provider itself stated
OTHERS: Final = "(others)"

_MOST_NAMED: Final = 10_000  # models: clients choose their names

_READ_AHEAD: Final = 500  # rows
_AT_ONCE: Final = 16  # changes between two looks at the clock
_FIRST, _LAST = "", "~"  # before and after every timestamp

_COLUMNS = f"id, {', '.join(Call.__struct_fields__)}, cost_usd, cost_source"
_PENDING = f"""
    SELECT {_COLUMNS} FROM completion_requests WHERE id > :id AND id <= :newest ORDER BY id LIMIT :limit
"""  # noqa: S608 - names of our own columns, here and below
_HISTORY = f"""
    SELECT {_COLUMNS} FROM completion_requests
    WHERE (timestamp, id) > (:timestamp, :id) AND timestamp < :until AND id <= :newest
    ORDER BY timestamp, id LIMIT :limit
"""  # noqa: S608
_COUNT = "SELECT count(*) FROM completion_requests WHERE timestamp >= ? AND timestamp < ?"


class Span(NamedTuple):
    """A choice of calls: timestamps from `since` on and before `until`, and a model's name, as in file names."""

    since: str = _FIRST
    until: str = _LAST
    model: str | None = None


class _Row(NamedTuple):
    id: int
    call: Call | None  # None: it holds what no recorder writes
    before: Cost


class ModelCosts(msgspec.Struct):
    """The calls of one model that have a cost now, or had one before; a sum is None where none of them has one."""

    model: str
    calls: int = 0
    changed: int = 0
    usd_before: float | None = None
    usd_now: float | None = None


class WithoutPrice(msgspec.Struct):
    """The calls of one model that used something, and whose cost is not known."""

    provider: str
    model: str
    calls: int = 0


class Recosted(msgspec.Struct, frozen=True):
    """calls = stated + without_usage + those of `models` that have a cost + those of `without_price`."""

    calls: int
    changed: int  # calls that got another cost, or the same from another source
    stated: int  # their cost is the provider's own word, and stays
    without_usage: int
    models: tuple[ModelCosts, ...]  # those that cost most first
    without_price: tuple[WithoutPrice, ...]  # those with most calls first
    slices: int
    longest_hold_ms: float


type Progress = Callable[[int, int], None]


def recost(  # noqa: PLR0913 - what a person may ask for
    path: Path,
    own: OwnPrices,
    span: Span | None = None,
    *,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    hold_ms: float = HOLD_MS,
) -> Recosted:
    """Compute the costs of calls anew: of those in `span`, or without it of those that were not looked at yet.

    A dry run only reads. `stop` ends it early, between two slices; `progress` is told how many calls were looked at,
    and of how many. The write lock is held for less than `hold_ms` at a time.

    Raises:
        DatabaseRefused: there is no database of the present version at `path`, or SQLite refused; what was written
            before stays.
    """
    try:
        with (
            closing(database.open_reader(path) if dry_run else open_background(path)) as connection,
            ThreadPoolExecutor(1, "llm-metrics-prices", wait_for_others) as aside,
        ):
            connection.text_factory = _text
            slices = Slices(connection, path, hold_ms=hold_ms, stop=stop)
            run = _Recost(connection, slices, own, aside, dry_run=dry_run)
            return run.run(span, progress or (lambda _done, _of: None))
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")  # of one row: the others can be priced


class _Recost:
    def __init__(
        self,
        connection: sqlite3.Connection,
        slices: Slices,
        own: OwnPrices,
        aside: ThreadPoolExecutor,
        *,
        dry_run: bool,
    ) -> None:
        self._connection = connection
        self._slices = slices
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
        for rows in batches:
            done += len(rows)
            wanted = [row for row in rows if row.call is None or span is None or _names(row.call, span.model)]
            costs = self._aside.submit(self._prices, wanted).result()
            changes = deque(self._changes(wanted, costs))
            if not self._dry_run:
                self._write(changes, rows[-1].id if span is None else None)
            progress(done, max(done, expected))
            if self._slices.stopped:
                break
        return self._report.result(slices=self._slices.count, longest_hold_ms=self._slices.longest_ms)

    def _batches(self, statement: str, at: dict[str, object]) -> Iterator[Sequence[_Row]]:
        """Each is read to its end, so that no snapshot is held for long."""
        while found := self._connection.execute(statement, at | {"limit": _READ_AHEAD}).fetchall():
            yield [_row(row) for row in found]
            at |= {"id": found[-1][0], "timestamp": found[-1][1]}

    def _prices(self, rows: Sequence[_Row]) -> list[Cost]:
        return [UNKNOWN if row.call is None else cost_of(row.call, self._own) for row in rows]

    def _changes(self, rows: Sequence[_Row], costs: Sequence[Cost]) -> Iterator[CostChange]:
        for row, cost in zip(rows, costs, strict=True):
            if self._report.add(row.call, row.before, cost) and cost != row.before:
                yield row.id, cost.usd, cost.source

    def _write(self, changes: deque[CostChange], last: int | None) -> None:
        """Write changes; with `last`, the row up to which they are, in the order of ids, and the watermark follows."""
        moving = last is not None
        while changes or moving:
            if self._slices.stopped:
                return
            with self._slices.hold() as has_time:
                while changes and has_time():
                    change_costs(self._connection, [changes.popleft() for _ in range(min(_AT_ONCE, len(changes)))])
                if last is not None:
                    upto = changes[0][0] - 1 if changes else last
                    watermarks.move(self._connection, watermarks.PRICING, upto)
            moving = moving and bool(changes)
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _row(row: tuple[Any, ...]) -> _Row:
    row_id, *columns, usd, source = row
    call = None
    with suppress(msgspec.ValidationError):
        call = msgspec.convert(columns, Call)
    return _Row(row_id, call, Cost(usd, source))


def _names(call: Call, pattern: str | None) -> bool:
    names = (call.model or "", call.response_model or "")
    return pattern is None or any(fnmatchcase(name, pattern) for name in names)


class Report:
    """Adds up calls, one by one; its size is bounded."""

    def __init__(self) -> None:
        """Nothing has been looked at yet."""
        self._calls = 0
        self._changed = 0
        self._stated = 0
        self._without_usage = 0
        self._models: dict[str, ModelCosts] = {}
        self._without_price: dict[tuple[str, str], WithoutPrice] = {}

    def add(self, call: Call | None, before: Cost, now: Cost) -> bool:
        """Count a call, and tell whether its cost is to be changed; `call` is None if it cannot be read."""
        self._calls += 1
        if before.source == STATED:
            self._stated += 1
            return False
        differs = now != before
        self._changed += differs
        name = (call and (call.model or call.response_model)) or ""
        if now.usd is None:
            self._count_without(call, name)
        if now.usd is not None or before.usd is not None:
            self._count_with(name, before, now)
        return differs

    def result(self, *, slices: int, longest_hold_ms: float) -> Recosted:
        """All that was found."""
        return Recosted(
            calls=self._calls,
            changed=self._changed,
            stated=self._stated,
            without_usage=self._without_usage,
            models=tuple(sorted(self._models.values(), key=lambda one: (-(one.usd_now or 0), one.model))),
            without_price=tuple(
                sorted(self._without_price.values(), key=lambda one: (-one.calls, one.provider, one.model))
            ),
            slices=slices,
            longest_hold_ms=round(longest_hold_ms, 1),
        )

    def _count_with(self, name: str, before: Cost, now: Cost) -> None:
        if name not in self._models and len(self._models) >= _MOST_NAMED:
            name = OTHERS
        costs = self._models.setdefault(name, ModelCosts(name))
        costs.calls += 1
        costs.changed += now.usd != before.usd
        costs.usd_before = _sum(costs.usd_before, before.usd)
        costs.usd_now = _sum(costs.usd_now, now.usd)

    def _count_without(self, call: Call | None, name: str) -> None:
        if call is None or (call.usage is None and call.prompt_tokens is None and call.completion_tokens is None):
            self._without_usage += 1
            return
        kept, key = self._without_price, (call.provider or "", name)
        if key not in kept and len(kept) >= _MOST_NAMED:
            key = ("", OTHERS)
        kept.setdefault(key, WithoutPrice(*key)).calls += 1


def _sum(known: float | None, stored: object) -> float | None:
    return (known or 0.0) + stored if isinstance(stored, float) else known
