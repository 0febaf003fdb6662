"""Import of the calls of another database: the original llm-metrics-proxy's, or one of ours of any version.

The source is only ever read, also while its program runs. Rows go in slice by slice, while recorders write. A second
run finds the events that are there already, so whatever ended the first one, it can be run again. Only calls are
imported: counters and gaps are about the recorders of the other file. The original wrote naive local times. An
`event_id` that a row lacks is made from the row itself and from where it stood, so that the same row is the same event
however often it is read.
"""

import hashlib
import json
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import astuple, replace

from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import ImportFailed
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.store import database, identity
from llm_metrics_proxy.recorder.store.account import GrowingEvent
from llm_metrics_proxy.recorder.store.slices import Slices

FLAGS = ("success", "is_streaming")
_TIMES_OF_TOKENS = ("time_to_first_token_ms", "time_to_last_token_ms")
_WHOLE = tuple(f.name for f in msgspec.structs.fields(CompletionRequest) if f.type in (int, int | None))
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_STATUS_CODES = range(100, 1_000)


class BadRow(Exception):  # noqa: N818 - never shown, only its text
    """Why no event can be made of the row."""


def event_of(row: Mapping[str, object], *, source: str, zone: ZoneInfo | None) -> tuple[CompletionRequest, bool]:
    """The event, and whether times of tokens that cannot be true were left out of it.

    `source` identifies the database that the row, with its `id`, stands in; `zone` is that of naive times, None for
    the zone of this machine.

    Raises:
        BadRow: a value cannot be converted.
    """
    values = {name: value for name, value in row.items() if name != "id" and value is not None}
    event_id = values.pop("event_id", None) or _event_id(values, source, row["id"])
    known = {name: values[name] for name in CompletionRequest.__struct_fields__ if name in values}
    known |= {"event_id": event_id, "timestamp": _moment(values.get("timestamp"), zone)}
    for name in FLAGS:
        if known.get(name) in (0, 1):
            known[name] = bool(known[name])
    for name in _WHOLE:
        number = known.get(name)
        if isinstance(number, float) and abs(number) < 2**53:
            known[name] = round(number)
    untrue = _are_untrue(known)
    for name in _TIMES_OF_TOKENS if untrue else ():
        known.pop(name, None)
    try:
        event = msgspec.convert(known, CompletionRequest)
    except msgspec.ValidationError as error:
        raise BadRow(str(error)) from error
    if event.status_code not in _STATUS_CODES:
        message = f"status_code is {event.status_code}"
        raise BadRow(message)
    return event, untrue


def _event_id(values: Mapping[str, object], source: str, row_id: object) -> str:
    """As `new_event_id`, but of the content. Columns that are NULL, or unknown to an older version, change nothing."""
    content = json.dumps([source, row_id, values], sort_keys=True, default=repr)
    digest = hashlib.sha256(content.encode(errors="backslashreplace")).digest()
    bits = int.from_bytes(digest)
    # The time as it is written, so that a run with another time zone finds the rows of the one before.
    try:
        unix_ms = int(datetime.fromisoformat(str(values.get("timestamp"))).replace(tzinfo=UTC).timestamp() * 1_000)
    except ValueError:
        unix_ms = 0
    variant_and_bits = 0b10 << 62 | bits & (1 << 62) - 1
    return f"{unix_ms & (1 << 48) - 1:012x}7{bits >> 62 & 0xFFF:03x}{variant_and_bits:016x}"


def _moment(value: object, zone: ZoneInfo | None) -> str:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        message = f"timestamp is {str(value)[:40]!r}"
        raise BadRow(message)
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None and zone is not None:
            moment = moment.replace(tzinfo=zone)
        # The earlier of the two moments where the clock was set back.
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    except (ValueError, OverflowError) as error:
        message = f"timestamp is {value[:40]!r}"
        raise BadRow(message) from error


def _are_untrue(values: Mapping[str, object]) -> bool:
    """True if there are times of tokens though nothing was streamed, or times in an order that cannot be."""
    times = [values[name] for name in _TIMES_OF_TOKENS if name in values]
    if not values.get("is_streaming"):
        return bool(times)
    ordered = [one for one in (*times, values.get("response_time_ms")) if isinstance(one, int)]
    return ordered != sorted(ordered)


MOST_NAMED: Final = 100  # of the rows that were skipped

_READ_AHEAD = 500  # rows
_ROWS = "SELECT * FROM completion_requests WHERE id > ? ORDER BY id LIMIT ?"
_AT_MOST = "SELECT coalesce(max(id) - min(id) + 1, 0) FROM completion_requests"  # a count would read all of it
# A row of version 1 has no event_id; where it came from the same file, as after a salvage, it has the same id.
_SAME_ROW = f"""
    SELECT {", ".join(CompletionRequest.__struct_fields__)} FROM completion_requests WHERE id = ? AND event_id IS NULL
"""  # noqa: S608 - names of our own fields
# It tells apart databases, and stays the same in copies, at other paths and after migrations.
_SOURCE = "SELECT coalesce(min(applied_at), '') FROM schema_version"


class Skipped(msgspec.Struct, frozen=True):
    """A row that no event could be made of."""

    id: int
    reason: str


class Imported(msgspec.Struct, frozen=True):
    """read = inserted + already_there + skipped. `times_left_out`: rows whose times of tokens could not be true."""

    read: int
    inserted: int
    already_there: int
    skipped: int
    times_left_out: int
    bad_rows: tuple[Skipped, ...]  # the first `MOST_NAMED` of those skipped
    longest_hold_ms: float


def import_calls(
    source: Path,
    target: Path,
    *,
    backup_dir: Path | None = None,
    zone: ZoneInfo | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Read the calls of `source` into the database at `target`, which is created or migrated if need be.

    Naive times are of `zone`, None for that of this machine. `progress` is told how many rows were read, and of how
    many. A row of `recorder_events` says what was inserted.

    Raises:
        ImportFailed: `source` cannot be read; what was inserted before stays.
        RecorderError: `source` is foreign, newer or changed by others, or `target` cannot be used.
    """
    try:
        with closing(open_source(source)) as reader:
            _check(reader, source)
            if target.exists() and target.samefile(source):
                raise ImportFailed(what=f"{source} is the database itself", cure="give the path of another database")
            return import_rows(
                reader, _batches(reader), source, target, backup_dir=backup_dir, zone=zone, progress=progress
            )
    except sqlite3.Error as error:
        raise ImportFailed(what=f"{source} cannot be read ({error})", cure="give the path of a database") from error


def import_rows(  # noqa: PLR0913 - as import_calls
    reader: sqlite3.Connection,
    batches: Iterator[list[sqlite3.Row]],
    source: Path,
    target: Path,
    *,
    backup_dir: Path | None = None,
    zone: ZoneInfo | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """As `import_calls`, of the rows that `batches` reads through `reader`, in the order of their ids."""
    name, at_most = "", 0
    with suppress(sqlite3.DatabaseError):  # of a damaged one
        (name,) = reader.execute(_SOURCE).fetchone()
        (at_most,) = reader.execute(_AT_MOST).fetchone()
    reader.row_factory = sqlite3.Row
    path = schema.prepare(target, backup_dir=backup_dir, lock_seconds=database.START_SECONDS)
    with closing(database.open_writer(path)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        run = _Import(writer, Slices(writer, path), GrowingEvent(writer, "import", str(source)))
        return run.run(batches, str(name), zone, lambda done: (progress or _say_nothing)(done, max(at_most, done)))


def _say_nothing(_done: int, _of: int) -> None:
    pass


def _batches(reader: sqlite3.Connection) -> Iterator[list[sqlite3.Row]]:
    """The rows in the order of their ids, each batch read to its end, so that no snapshot is held for long."""
    last = -(2**63)
    while rows := reader.execute(_ROWS, (last, _READ_AHEAD)).fetchall():
        last = rows[-1]["id"]
        yield rows


def open_source(source: Path) -> sqlite3.Connection:
    """A connection that reads `source`; texts that are no UTF-8 come as bytes.

    Raises:
        DatabaseRefused: nothing stands there.
    """
    database.check_is_there(source, cure="give the path of the old database")
    connection = database.connect(source.resolve(), timeout=database.START_SECONDS, mode="ro")
    connection.text_factory = _text
    return connection


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw  # of one row: the others can be read


def _check(connection: sqlite3.Connection, source: Path) -> None:
    if not identity.is_original(connection) and identity.version_of(connection, source) == 0:
        raise ImportFailed(what=f"{source} holds no calls", cure="give the path of the old database")


class _Import:
    def __init__(self, writer: sqlite3.Connection, slices: Slices, account: GrowingEvent) -> None:
        self._writer = writer
        self._dao = CompletionRequestsDAO(writer)
        self._slices = slices
        self._account = account
        self._read = 0
        self._times_left_out = 0
        self._skipped = 0
        self._bad_rows: list[Skipped] = []

    def run(
        self,
        batches: Iterator[list[sqlite3.Row]],
        source: str,
        zone: ZoneInfo | None,
        progress: Callable[[int], None],
    ) -> Imported:
        for rows in batches:
            self._read += len(rows)
            self._insert(deque(self._events(rows, source, zone)))
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            progress(self._read)
        return Imported(
            read=self._read,
            inserted=self._account.count,
            already_there=self._read - self._account.count - self._skipped,
            skipped=self._skipped,
            times_left_out=self._times_left_out,
            bad_rows=tuple(self._bad_rows),
            longest_hold_ms=round(self._slices.longest_ms, 1),
        )

    def _events(self, rows: list[sqlite3.Row], source: str, zone: ZoneInfo | None) -> Iterator[CompletionRequest]:
        for row in rows:
            try:
                event, untrue = event_of(dict(zip(row.keys(), row, strict=True)), source=source, zone=zone)
            except BadRow as error:
                self._skipped += 1
                if len(self._bad_rows) < MOST_NAMED:
                    self._bad_rows.append(Skipped(row["id"], str(error)))
            else:
                self._times_left_out += untrue
                if not self._is_there(row["id"], event):
                    yield event

    def _is_there(self, row_id: int, event: CompletionRequest) -> bool:
        """True if the target has this very row without an event_id."""
        found = self._writer.execute(_SAME_ROW, (row_id,)).fetchone()
        return found == astuple(replace(event, event_id=None)) if found else False

    def _insert(self, waiting: deque[CompletionRequest]) -> None:
        while waiting:
            inserted = []
            with self._slices.hold() as has_time:
                while waiting and has_time():
                    event = waiting.popleft()
                    if self._dao.insert_completion_request(event):
                        inserted.append(event.timestamp)
                self._account.add(inserted)
