"""A recorder's account of itself: the fate of every event, losses, and traffic that nobody understood.

received = written + completed + duplicates + unrecognised + tunnelled + limits + the dropped_* counters + what still
waits.
Events that were dropped also make a gap: how many, and from when to when, by cause. `Counters` has both in memory until
they are written with a batch; `Account` writes them, in the caller's transaction, into tables that stand in the same
file, so that another process can ask how the recording goes. Texts in those tables come from clients; whoever prints
them makes them harmless.
"""

import os
import socket
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.events import MOST_TUNNELLED, OTHER_HOSTS, Tunnelled, Unrecognised
from llm_metrics_proxy.recorder.store import database, sqlite, timestamps

SALVAGE: Final = "salvage"
START: Final = "start"  # a recorder's first batch; the detail is its version
MOST_UNRECOGNISED: Final = 1_000  # rows: a scanner behind the proxy must not fill the file

# All counters in one statement: each costs the proxy's thread a moment of the GIL.
_COUNTERS_BEGIN = "INSERT INTO recorder_counters (process, name, value, updated_at) VALUES "
_COUNTERS_END = """
    ON CONFLICT(process, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
"""
_EVENT = "INSERT INTO recorder_events (at, process, kind, count, from_at, to_at, detail) VALUES (?, ?, ?, ?, ?, ?, ?)"
_REPLAYED = "SELECT id, count FROM recorder_events WHERE kind = 'replay' AND detail = ?"
_REPLAYED_MORE = "UPDATE recorder_events SET at = ?, count = ? WHERE id = ?"
_UNRECOGNISED = """
    INSERT INTO unrecognised (host, path, count, first_at, last_at)
    SELECT :host, :path, 1, :at, :at
    WHERE (SELECT count(*) FROM unrecognised) < :most
        OR EXISTS (SELECT 1 FROM unrecognised WHERE host = :host AND path = :path)
    ON CONFLICT(host, path) DO UPDATE
    SET count = count + 1, first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)
"""
_IS_LEFT_OUT = """
    SELECT (SELECT count(*) FROM unrecognised) >= :most
        AND NOT EXISTS (SELECT 1 FROM unrecognised WHERE host = :host AND path = :path)
"""
_TUNNELLED = """
    INSERT INTO tunnelled_hosts (day, host, connections, first_at, last_at)
    SELECT :day,
        CASE
            WHEN (SELECT count(*) FROM tunnelled_hosts WHERE day = :day) < :most THEN :host
            WHEN EXISTS (SELECT 1 FROM tunnelled_hosts WHERE day = :day AND host = :host) THEN :host
            ELSE :others
        END,
        :connections, :first_at, :at
    WHERE true
    ON CONFLICT(day, host) DO UPDATE
    SET connections = connections + excluded.connections,
        first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)
"""
_COUNTERS = (
    "SELECT process, name, value, updated_at FROM recorder_counters WHERE updated_at >= ? ORDER BY process, name"
)
_TOTALS = "SELECT name, sum(value) FROM recorder_counters GROUP BY name ORDER BY name"
_EVENTS = """
    SELECT id, at, process, kind, count, from_at, to_at, detail FROM recorder_events
    WHERE kind <> 'start' ORDER BY id DESC LIMIT ?
"""
_MOST_SEEN = """
    SELECT host, path, count, first_at, last_at FROM unrecognised ORDER BY count DESC, host, path LIMIT ?
"""
_PASSED = """
    SELECT host, sum(connections), min(first_at), max(last_at) FROM tunnelled_hosts
    WHERE day >= ? GROUP BY host ORDER BY sum(connections) DESC, host
"""
_SEEN = "SELECT count(*), coalesce(sum(count), 0) FROM unrecognised"

_LAST = "SELECT detail FROM recorder_events WHERE kind = ? ORDER BY id DESC LIMIT 1"
_CONTINUE = "UPDATE recorder_events SET count = ?, from_at = ?, to_at = ? WHERE id = ?"


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """Events that were lost to one cause, and the span of their timestamps."""

    cause: str
    count: int
    from_at: str
    to_at: str

    def joined(self, other: "Gap") -> "Gap":
        """Both as one, for the same cause."""
        count = self.count + other.count
        return Gap(self.cause, count, min(self.from_at, other.from_at), max(self.to_at, other.to_at))


class Tally(msgspec.Struct, frozen=True, tag="counters"):
    """All counters of a process, as it knew them last."""

    process: str
    values: dict[str, int]


class Counters:
    """Named counters and gaps. Every method is short, thread-safe and never waits for anything slow."""

    def __init__(self) -> None:
        """All zero, which is not written: a counter exists once something happened."""
        self._lock = threading.Lock()
        self._values: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._gaps: dict[str, Gap] = {}

    def add(self, name: str, n: int = 1) -> None:
        """Add `n` to the counter `name`."""
        with self._lock:
            self._values[name] = self._values.get(name, 0) + n

    def dropped(self, cause: str, at: str) -> None:
        """Count one event with timestamp `at` as lost to `cause`."""
        with self._lock:
            name = f"dropped_{cause}"
            self._values[name] = self._values.get(name, 0) + 1
            self._join(Gap(cause, 1, at, at))

    def values(self) -> dict[str, int]:
        """A copy of all counters."""
        with self._lock:
            return dict(self._values)

    def unsaved(self) -> bool:
        """True if there is anything that the database does not have yet."""
        with self._lock:
            return bool(self._gaps) or self._values != self._saved

    def take(self) -> tuple[dict[str, int], list[Gap]]:
        """All counters, and the gaps, which leave: `saved` or `give_back` follows."""
        with self._lock:
            gaps = list(self._gaps.values())
            self._gaps.clear()
            return dict(self._values), gaps

    def saved(self, values: dict[str, int]) -> None:
        """The database has these values."""
        with self._lock:
            self._saved = values

    def give_back(self, gaps: list[Gap]) -> None:
        """These gaps could not be written after all."""
        with self._lock:
            for gap in gaps:
                self._join(gap)

    def _join(self, gap: Gap) -> None:
        known = self._gaps.get(gap.cause)
        self._gaps[gap.cause] = known.joined(gap) if known else gap


class ProcessCounters(msgspec.Struct, frozen=True):
    """The counters of one recorder, and when it last wrote them."""

    process: str
    updated_at: str
    counters: dict[str, int]


class RecorderEvent(msgspec.Struct, frozen=True):
    """A row of `recorder_events`: a gap, for example, with how many events were lost to `detail`, from when to when."""

    id: int
    at: str
    process: str
    kind: str
    count: int | None
    from_at: str | None
    to_at: str | None
    detail: str | None


class UnrecognisedAddress(msgspec.Struct, frozen=True):
    """A row of `unrecognised`."""

    host: str
    path: str
    count: int
    first_at: str
    last_at: str


class UnrecognisedTraffic(msgspec.Struct, frozen=True):
    """The numbers of addresses and requests in `unrecognised`, and the addresses with most requests."""

    addresses: int
    requests: int
    top: tuple[UnrecognisedAddress, ...]


class TunnelledHost(msgspec.Struct, frozen=True):
    """Connections to a host that passed unread, of all the days that were asked for."""

    host: str
    connections: int
    first_at: str
    last_at: str


class Account:
    """Writes the recorder's own tables for one process."""

    def __init__(self, connection: sqlite3.Connection, process: str) -> None:
        """`process` tells apart the recorders that share a file, also those that are long gone."""
        self._connection = connection
        self._process = process

    def write_counters(self, values: Mapping[str, int]) -> None:
        """Set this process's counters to `values`."""
        if not values:
            return
        now = timestamps.now()
        rows = [(self._process, name, value, now) for name, value in values.items()]
        statement = _COUNTERS_BEGIN + ", ".join(["(?, ?, ?, ?)"] * len(rows)) + _COUNTERS_END
        sqlite.check_written(
            self._connection.execute(statement, list(chain.from_iterable(rows))), "recorder_counters", len(rows)
        )

    def write_gaps(self, gaps: Iterable[Gap]) -> None:
        """Add one row for each gap."""
        for gap in gaps:
            self.note_event("gap", gap.cause, gap.count, gap.from_at, gap.to_at)

    def note_event(
        self,
        kind: str,
        detail: str | None,
        count: int | None = None,
        from_at: str | None = None,
        to_at: str | None = None,
    ) -> int | None:
        """Add one row about something that happened, and return its id."""
        row = (timestamps.now(), self._process, kind, count, from_at, to_at, detail)
        return sqlite.check_written(self._connection.execute(_EVENT, row), "recorder_events", 1).lastrowid

    def replayed_lines(self, file: str) -> int:
        """The number of lines of this spill file that the database has."""
        found = self._connection.execute(_REPLAYED, (file,)).fetchone()
        return found[1] if found else 0

    def note_replay(self, file: str, lines: int) -> None:
        """The database now has so many lines of this spill file, counted from its beginning."""
        if found := self._connection.execute(_REPLAYED, (file,)).fetchone():
            changed = self._connection.execute(_REPLAYED_MORE, (timestamps.now(), lines, found[0]))
            sqlite.check_written(changed, "recorder_events", 1)
        else:
            self.note_event("replay", file, lines)

    def note_unrecognised(self, event: Unrecognised) -> bool:
        """Count the event's host and path; a new pair is left out once there are `MOST_UNRECOGNISED`.

        Returns False if a trigger keeps it out.
        """
        parameters = {"host": event.host, "path": event.path, "at": event.at, "most": MOST_UNRECOGNISED}
        if self._connection.execute(_UNRECOGNISED, parameters).rowcount == 1:
            return True
        return bool(self._connection.execute(_IS_LEFT_OUT, parameters).fetchone()[0])

    def note_tunnelled(self, event: Tunnelled) -> bool:
        """Count the event's host; a new one is one of the others once there are `MOST_TUNNELLED` of the day.

        Returns False if a trigger keeps it out.
        """
        parameters = {
            "day": event.first_at[:10],
            "host": event.host,
            "others": OTHER_HOSTS,
            "most": MOST_TUNNELLED,
            "connections": event.connections,
            "first_at": event.first_at,
            "at": event.at,
        }
        return self._connection.execute(_TUNNELLED, parameters).rowcount == 1


def total_counters(connection: sqlite3.Connection) -> dict[str, int]:
    """Each counter, summed over all recorders that ever wrote into the file."""
    return dict(connection.execute(_TOTALS))


def counters_since(connection: sqlite3.Connection, moment: str) -> tuple[ProcessCounters, ...]:
    """The counters of each recorder that wrote at `moment` or later; an idle one writes nothing."""
    found: dict[str, ProcessCounters] = {}
    for process, name, value, updated_at in connection.execute(_COUNTERS, (moment,)):
        found.setdefault(process, ProcessCounters(process, updated_at, {})).counters[name] = value
    return tuple(found.values())


def last_events(connection: sqlite3.Connection, limit: int) -> tuple[RecorderEvent, ...]:
    """The newest events, newest first."""
    return tuple(RecorderEvent(*row) for row in connection.execute(_EVENTS, (limit,)))


def unrecognised_traffic(connection: sqlite3.Connection, limit: int) -> UnrecognisedTraffic:
    """Traffic that no parser understood, with the `limit` addresses that were asked most often."""
    addresses, requests = connection.execute(_SEEN).fetchone()
    top = tuple(UnrecognisedAddress(*row) for row in connection.execute(_MOST_SEEN, (limit,)))
    return UnrecognisedTraffic(addresses, requests, top)


def tunnelled_hosts(connection: sqlite3.Connection, since: str) -> tuple[TunnelledHost, ...]:
    """Hosts whose TLS was not opened since a day, those with most connections first."""
    return tuple(TunnelledHost(*row) for row in connection.execute(_PASSED, (since[:10],)))


class GrowingEvent:
    """A row of `recorder_events` for one piece of work: the number of its rows and their time grow as it goes on."""

    def __init__(self, connection: sqlite3.Connection, kind: str, detail: str | None = None) -> None:
        """No row is made before there is something to say."""
        self.count = 0
        self.from_at: str | None = None
        self.to_at: str | None = None
        self._connection = connection
        self._kind = kind
        self._detail = detail
        self._id: int | None = None

    def add(self, moments: list[str]) -> None:
        """Count one row for each of the timestamps `moments`; in the caller's transaction, which must not fail."""
        if not moments:
            return
        self.count += len(moments)
        self.from_at = min([*moments, self.from_at] if self.from_at else moments)
        self.to_at = max([*moments, self.to_at] if self.to_at else moments)
        if self._id is None:
            account = account_of_this_process(self._connection)
            self._id = account.note_event(self._kind, self._detail, self.count, self.from_at, self.to_at)
        else:
            self._connection.execute(_CONTINUE, (self.count, self.from_at, self.to_at, self._id))


def account_of_this_process(connection: sqlite3.Connection) -> Account:
    """The account of a command, or of a thread beside the recorder's."""
    return Account(connection, f"{socket.gethostname()}-{os.getpid()}")


def last(path: Path, kind: str) -> str | None:
    """The detail of the newest row of `kind`.

    Raises:
        DatabaseRefused: there is no database of the present version at `path`.
    """
    with closing(database.open_reader(path)) as connection:
        found = connection.execute(_LAST, (kind,)).fetchone()
    return found[0] if found else None
