"""Progress of the totals: the rows they have, the rows that come next, and their place in the table `exporters`.

Rows are added up to a cursor, their costs up to another one, which waits for the recorder to have them priced. Both are
saved with the totals in one transaction, so each row counts once, whenever this is killed. Totals in memory may be
newer than the saved ones. Before anything is added they are checked to belong to the database still: a backup that was
put back has other rows after the cursor, or another saving, and then counting goes on from what that saved.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.export import outbox
from llm_metrics_proxy.recorder.export.outbox import fetched
from llm_metrics_proxy.recorder.export.prometheus.by_label import MOST_VALUES, ByLabel, LabelTotals
from llm_metrics_proxy.recorder.export.prometheus.totals import (
    CALL,
    COST,
    MOST,
    MOST_GROUPS,
    MOST_KINDS,
    RATE_BOUNDS,
    TIME_BOUNDS,
    TOKENS,
    Group,
    Histogram,
    Kind,
    Totals,
)
from llm_metrics_proxy.recorder.store import exporters, identity, presence, watermarks
from llm_metrics_proxy.recorder.store.exporters import Position
from llm_metrics_proxy.recorder.store.slices import open_background

_FORMAT: Final = 1  # another one cannot be read: whoever changes what is kept, or the bounds, counts from the beginning
_MOST_OF_LABELS: Final = 100 * (MOST_VALUES + 1)  # of all names that were ever asked for
_TIMES, _RATES = len(TIME_BOUNDS) + 1, len(RATE_BOUNDS) + 1


class Saved(msgspec.Struct, frozen=True):
    """Rows up to `row_id` are in the totals, their costs up to `cost_id`; `history_id` was the newest at the start."""

    format: int
    row_id: int
    cost_id: int
    history_id: int
    labels: dict[str, tuple[str, ...]]
    groups: list[Group]
    kinds: list[Kind]
    by_label: list[LabelTotals] = []

    def totals(self, names: Sequence[str] = ()) -> Totals:
        """The saved totals, to go on with: adding to them changes the lists of this. `names` are of calls' labels."""
        return Totals(dict(self.labels), self.groups, self.kinds, ByLabel(names, self.by_label))


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Saved).decode


def as_json(totals: Totals, *, row_id: int, cost_id: int, history_id: int) -> str:
    """The text for the table."""
    labels = {name: labels.known for name, labels in totals.labels.items()}
    groups, kinds = list(totals.groups.values()), list(totals.kinds.values())
    by_label = totals.by_label.all
    return _encode(Saved(_FORMAT, row_id, cost_id, history_id, labels, groups, kinds, by_label)).decode()


def from_json(text: str) -> Saved | None:
    """The totals that `as_json` wrote; None of anything else."""
    try:
        saved = _decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return saved if saved.format == _FORMAT and all(_checks(saved)) else None


def _checks(saved: Saved) -> Iterator[bool]:
    yield 0 <= saved.cost_id <= saved.row_id
    yield saved.history_id >= 0
    yield all(len(saved.labels.get(name, ())) <= most for name, most in MOST.items())
    yield len(saved.groups) <= MOST_GROUPS + 1  # with that of the others
    yield len(saved.kinds) <= MOST_KINDS + 4
    for group in saved.groups:
        yield _is_sound(group.first_token, _TIMES)
        yield _is_sound(group.rate, _RATES)
        yield len(group.tokens) == len(TOKENS)
        yield min(group.cost, group.priceless, *group.tokens, *group.errors.values()) >= 0
    yield len(saved.by_label) <= _MOST_OF_LABELS
    yield all(min(one.calls, one.cost, one.input_tokens, one.output_tokens) >= 0 for one in saved.by_label)
    keys = {group.key for group in saved.groups}
    for kind in saved.kinds:
        yield _is_sound(kind.duration, _TIMES)
        yield kind.calls >= 0
        yield kind.key in keys


def _is_sound(histogram: Histogram, counts: int) -> bool:
    return len(histogram.counts) == counts and min(histogram.counts) >= 0 and histogram.total >= 0


NAME: Final = "prometheus"
HEARTBEAT_SECONDS: Final = 600.0  # rows are kept for those that are heard of
AT_ONCE: Final = 5_000  # rows: about 40 ms, in which nobody is answered

_NOT_SEEN: Final = -1
_CALLS = f"SELECT {CALL} FROM completion_requests WHERE id > ? AND id <= ? ORDER BY id"  # noqa: S608 - names of our own
_COSTS = f"SELECT {COST} FROM completion_requests WHERE id > ? AND id <= ? ORDER BY id"  # noqa: S608
_ROW = "SELECT CAST(event_id AS BLOB), CAST(timestamp AS BLOB) FROM completion_requests WHERE id = ?"
_EVER = "SELECT seq FROM sqlite_sequence WHERE name = 'completion_requests'"
_FIRST = "SELECT min(id) FROM completion_requests"


class Counting:
    """The totals of the database at `path`; for one thread."""

    def __init__(self, path: Path, names: Sequence[str] = ()) -> None:
        """Nothing is counted. `names` are those of calls' labels that are counted, too."""
        self._path = path
        self._names = tuple(names)
        self._saved_at = time.monotonic()
        self._begin(None, None)

    def _begin(self, mark: exporters.Mark | None, found: Saved | None) -> None:
        """Go on from what was saved, or from nothing."""
        self.totals = found.totals(self._names) if found else Totals({}, (), (), ByLabel(self._names))
        self.row_id, self.cost_id = (found.row_id, found.cost_id) if found else (0, 0)
        self.calls_are_whole = False  # whether all rows that were there when it began are in the totals
        self.costs_are_whole = False
        self.waiting = 0  # rows that are not in the totals
        self.share = 0.0  # of the rows
        self.is_saved = found is not None
        self._history_id = found.history_id if found else _NOT_SEEN
        self._mark = mark
        self._counted = 0  # rows since they were saved
        self._last_row: object = None
        self._priced = outbox.Priced(self._path)

    def count(self, connection: sqlite3.Connection, ends: float) -> bool:
        """Add rows until `ends` (monotonic), at least a piece, and whether there are no more.

        In a transaction of its own for each piece, but for the last: the caller reads on in that one.
        """
        while True:
            connection.execute("BEGIN")
            self._look(connection)
            newest = self._add_calls(connection)
            costs_left = self._add_costs(connection)
            self._note_progress(connection, newest, costs_left=costs_left)
            done = not costs_left and self.row_id >= newest
            if done or time.monotonic() >= ends:
                return done
            connection.execute("COMMIT")

    def save(self) -> None:
        """Write the totals and their cursors, if there is anything new, or to say that this is alive.

        Raises:
            DatabaseRefused, OSError, sqlite3.Error: nothing was saved.
        """
        if not self.row_id or (self.is_saved and time.monotonic() - self._saved_at < HEARTBEAT_SECONDS):
            return
        text = as_json(self.totals, row_id=self.row_id, cost_id=self.cost_id, history_id=self._history_id)
        with presence.sharing(self._path), closing(open_background(self._path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not self._look(connection):  # what is in memory was of another database
                connection.execute("ROLLBACK")
                return
            exporters.register(connection, NAME, exporters.find(connection, NAME), wants_changes=False)
            position = Position(min(self.row_id, self.cost_id), 0)
            exporters.advance(connection, NAME, position, sent=self._counted, refused=0)
            exporters.keep(connection, NAME, text)
            mark = exporters.mark(connection, NAME)
            connection.execute("COMMIT")
        self._mark, self._counted, self.is_saved = mark, 0, True
        self._saved_at = time.monotonic()

    def _look(self, connection: sqlite3.Connection) -> bool:
        """True if the totals in memory belong to this database; if not, begin anew with those that it has saved."""
        mark = exporters.mark(connection, NAME)
        if mark == self._mark and (not self.row_id or self._is_known(connection)):
            return True
        text = exporters.state(connection, NAME)
        self._begin(mark, from_json(text) if text else None)
        if self.row_id:
            self._last_row = connection.execute(_ROW, (self.row_id,)).fetchone()
        return False

    def _is_known(self, connection: sqlite3.Connection) -> bool:
        """True if the last row that was counted is there, or was and has been deleted since."""
        row = connection.execute(_ROW, (self.row_id,)).fetchone()
        if row is not None:
            return bool(row == self._last_row)
        ever = connection.execute(_EVER).fetchone()
        return ever is not None and isinstance(ever[0], int) and ever[0] >= self.row_id

    def _add_calls(self, connection: sqlite3.Connection) -> int:
        """Add a piece, and return the id of the newest row."""
        newest = watermarks.newest(connection)
        if self._history_id == _NOT_SEEN:
            self._history_id = newest
        last = outbox.last_of_next(connection, self.row_id, AT_ONCE)
        if last > self.row_id:
            rows = fetched(connection, _CALLS, (self.row_id, last))
            self._last_row = connection.execute(_ROW, (last,)).fetchone()
            self.totals.add_calls(rows)
            self.row_id = last
            self._counted += len(rows)
            self.is_saved = False
        return newest

    def _add_costs(self, connection: sqlite3.Connection) -> bool:
        """Add the costs of a piece, and whether there are more that could be added."""
        limit = self._priced.up_to(connection, self.row_id)
        last = outbox.last_of_next(connection, self.cost_id, AT_ONCE)
        last = limit if last == self.cost_id else min(last, limit)  # the rows in between may have been deleted
        if last > self.cost_id:
            self.totals.add_costs(fetched(connection, _COSTS, (self.cost_id, last)))
            self.cost_id = last
            self.is_saved = False
        return last < limit

    def _note_progress(self, connection: sqlite3.Connection, newest: int, *, costs_left: bool) -> None:
        (first,) = connection.execute(_FIRST).fetchone()
        before = (first or 1) - 1
        self.waiting = max(newest - max(self.row_id, before), 0)  # at most: ids may have gaps
        rows = newest - before
        self.share = (rows - self.waiting) / rows if self.waiting else 1.0
        if self.row_id >= newest:
            self.calls_are_whole = True
        if self.calls_are_whole and not costs_left and self.cost_id >= min(self._history_id, self.row_id):
            self.costs_are_whole = True


def refusal(path: Path, error: Exception) -> str:
    """The sentence about what `save` raises."""
    return str(identity.refusal(path, error)) if isinstance(error, sqlite3.Error) else str(error)
