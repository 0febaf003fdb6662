"""Status of the recording, read by another process: `collect` reads it, `as_text` and `as_json` show it.

Reads nothing that grows with the number of calls: indexes give the ends of the table, and rows are counted only while
that is quick. All figures are of one moment. Texts in the database were chosen by clients, so control characters are
printed as escapes.
"""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy import __version__
from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.backup import backups
from llm_metrics_proxy.recorder.care import passed
from llm_metrics_proxy.recorder.errors import BackupFailed, DatabaseRefused
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.schema import table_backup
from llm_metrics_proxy.recorder.store import account, exporters, identity, presence, spill_folder, timestamps
from llm_metrics_proxy.recorder.store.database import reader
from llm_metrics_proxy.recorder.store.exporters import Lag
from llm_metrics_proxy.recorder.store.sqlite import defects
from llm_metrics_proxy.recorder.writing import rejected, salvage, spill


class Surroundings(msgspec.Struct, frozen=True):
    """The names are keys of the JSON document of `llm-metrics status`."""

    living: tuple[str, ...]  # recorders that run now
    spill_files: int
    spill_bytes: int  # events that wait for the database
    held_files: int  # of these files, those with calls that something in the database keeps out
    newer_spill_files: int  # those that a newer release wrote, and only that can read
    damage: tuple[str, ...]  # what recorders found wrong with the database, which they do not write for that reason
    rejected_bytes: int  # events that no row could be made of
    salvaged: tuple[str, ...]  # copies of a database that was replaced while it was written
    backups: int  # in the default places
    last_backup: str | None  # when the newest of these was made


def around(path: Path) -> Surroundings:
    """Look around the database at `path`."""
    folder = spill_folder.folder_of(path)
    made = []
    with suppress(BackupFailed):  # TESTING, or no permission: then nothing is known
        made = backups.found(path)
    return Surroundings(
        living=tuple(sorted(presence.living(path))),
        spill_files=len(spill.files(folder)) + len(held := spill.held_files(folder)),
        spill_bytes=spill.waiting_bytes(folder),
        held_files=len(held),
        newer_spill_files=len(spill.newer_files(folder)),
        damage=tuple(f"{found.what}: {found.cure}" for found in spill_folder.damage(folder)),
        rejected_bytes=_size_of(folder / rejected.FILE_NAME),
        salvaged=tuple(sorted(file.name for file in path.parent.glob(f"{path.name}.*{salvage.SUFFIX}"))),
        backups=len(made),
        last_backup=made[0].made_at if made else None,
    )


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


RECENT: Final = timedelta(minutes=5)
MOST_COUNTED: Final = 200_000  # rows: with a cold disk, counting a million takes longer than a second
_EVENTS_SHOWN = 10
_ADDRESSES_SHOWN = 20
_LONGEST_TEXT = 80  # characters of a host or path
_DROPPED = "dropped_"

# Each is one search in an index. In one SELECT without subqueries they would read the whole table.
_ENDS = """
    SELECT (SELECT min(id) FROM completion_requests), (SELECT max(id) FROM completion_requests),
        (SELECT min(timestamp) FROM completion_requests), (SELECT max(timestamp) FROM completion_requests)
"""

_EXPORT_HEADER = ("to", "waiting", "the first since", "sent", "refused", "last reached", "error")
_EVENT_HEADER = ("at", "kind", "count", "from", "to", "detail", "process")
_ADDRESS_HEADER = ("count", "host", "path", "first", "last")
_PASSED_HEADER = ("connections", "host", "an LLM's?", "first", "last")

type Lines = Sequence[tuple[str | None, ...]]


class File(msgspec.Struct, frozen=True):
    """The database as a file; `wal_bytes` is None where there is no WAL."""

    path: str
    bytes: int
    wal_bytes: int | None
    schema_version: int
    sqlite_version: str
    sqlite_defects: tuple[str, ...]


class Rows(msgspec.Struct, frozen=True):
    """The number of recorded calls, and the period that they cover. Not `exact`: there are at most `count`."""

    count: int
    exact: bool
    first_at: str | None
    last_at: str | None


class Status(msgspec.Struct, frozen=True):
    """All of it. The names are the keys of the JSON document, which others' programs read: add, never rename."""

    at: str
    version: str  # of this program
    database: File
    surroundings: Surroundings
    table_backups: tuple[str, ...]
    rows: Rows
    counters: dict[str, int]
    dropped: dict[str, int]
    exporters: tuple[Lag, ...]
    recent_since: str
    recent_processes: tuple[account.ProcessCounters, ...]
    events: tuple[account.RecorderEvent, ...]
    unrecognised: account.UnrecognisedTraffic
    passed_unread: passed.PassedUnread


def collect(path: Path) -> Status:
    """Read the status of the database at `path`.

    Raises:
        DatabaseRefused: there is none, or it cannot be read.
    """
    now = datetime.now(UTC)
    try:
        path = path.resolve()  # the WAL stands beside the real file
        bytes_, wal_bytes = _size(path), _size(path.with_name(f"{path.name}-wal"))  # before SQLite makes an empty one
        with reader(path, look=identity.version_of) as connection:
            connection.execute("BEGIN")
            counters = account.total_counters(connection)
            since = timestamps.bound(now - RECENT)
            return Status(
                at=timestamps.bound(now),
                version=__version__,
                database=File(
                    str(path),
                    bytes_ or 0,
                    wal_bytes,
                    CURRENT_SCHEMA_VERSION,
                    sqlite3.sqlite_version,
                    tuple(defects()),
                ),
                surroundings=around(path),
                table_backups=tuple(copy.name for copy in table_backup.found(connection)),
                rows=_rows(connection),
                counters=counters,
                dropped={n.removeprefix(_DROPPED): v for n, v in counters.items() if n.startswith(_DROPPED)},
                exporters=exporters.lags(connection),
                recent_since=since,
                recent_processes=account.counters_since(connection, since),
                events=account.last_events(connection, _EVENTS_SHOWN),
                unrecognised=account.unrecognised_traffic(connection, _ADDRESSES_SHOWN),
                passed_unread=passed.collect(connection, now),
            )
    except DatabaseRefused as error:
        for found in spill_folder.damage(spill_folder.folder_of(path)):  # a recorder knows how it came to that
            raise DatabaseRefused(what=found.what, cure=found.cure) from error
        raise
    except OSError as error:
        raise DatabaseRefused(what=f"{path} cannot be read ({error.strerror})", cure="give another path") from error


def as_json(status: Status) -> str:
    """One JSON document, in ASCII, so that no text in it can steer a terminal."""
    return json.dumps(msgspec.to_builtins(status), indent=2).replace("\x7f", "\\u007f")


def as_text(status: Status) -> str:
    """Short aligned text for a person."""
    recent = [
        (one.process, one.updated_at, ", ".join(f"{name} {_number(n)}" for name, n in one.counters.items()))
        for one in status.recent_processes
    ]
    events = [
        (one.at, one.kind, _number(one.count), one.from_at, one.to_at, one.detail, one.process) for one in status.events
    ]
    seen = status.unrecognised
    addresses = [
        (_number(one.count), _short(one.host), _short(one.path), one.first_at, one.last_at) for one in seen.top
    ]
    gaps = "LLM-like traffic that no parser understood"
    if addresses:
        gaps += f" ({seen.requests:,} requests, {seen.addresses:,} addresses"
        gaps += ")" if len(addresses) == seen.addresses else f", of which the {len(addresses)} most frequent)"
    exports = [
        (
            one.name,
            _number(one.waiting),
            one.waiting_since,
            _number(one.sent),
            _number(one.refused),
            one.reached_at if one.active else f"{one.reached_at or 'never'}: nothing is kept for it",
            _short(one.error) if one.error else None,
        )
        for one in status.exporters
    ]
    counters = [(name, _number(n)) for name, n in status.counters.items() if not name.startswith(_DROPPED)]
    dropped = [(cause, _number(n)) for cause, n in status.dropped.items()]
    sections = [
        "\n".join(_aligned(_facts(status))),
        _section("Counters, all processes", counters),
        _section("Dropped, by cause", dropped),
        *([_section("Exports", exports, _EXPORT_HEADER)] if exports else []),
        _section(f"Processes that wrote in the last {RECENT.seconds // 60} minutes", recent),
        _section(f"Events of the recorder, at most {_EVENTS_SHOWN}, newest first", events, _EVENT_HEADER),
        _section(gaps, addresses, _ADDRESS_HEADER),
        _passed_unread(status.passed_unread),
    ]
    return "\n\n".join(sections)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _rows(connection: sqlite3.Connection) -> Rows:
    first_id, last_id, first_at, last_at = connection.execute(_ENDS).fetchone()
    if first_id is None:
        return Rows(0, exact=True, first_at=None, last_at=None)
    most = last_id - first_id + 1  # pruning and repeated events leave holes
    if most > MOST_COUNTED:
        return Rows(most, exact=False, first_at=first_at, last_at=last_at)
    (count,) = connection.execute("SELECT count(*) FROM completion_requests").fetchone()
    return Rows(count, exact=True, first_at=first_at, last_at=last_at)


def _facts(status: Status) -> Lines:
    file, rows, near = status.database, status.rows, status.surroundings
    wal = "none" if file.wal_bytes is None else f"{file.wal_bytes:,} bytes"
    count = f"{rows.count:,}"
    lines = [
        ("llm-metrics", status.version),
        ("database", file.path),
        ("size", f"{file.bytes:,} bytes, WAL {wal}"),
        ("schema version", str(file.schema_version)),
        ("SQLite", file.sqlite_version),
        *(("SQLite defect", defect) for defect in file.sqlite_defects),
        ("rows", count if rows.exact else f"at most {count} (the range of ids; counting would take long)"),
        ("first row", rows.first_at or "none"),
        ("last row", rows.last_at or "none"),
        ("recorders", ", ".join(near.living) or "none runs"),
        ("kept aside", f"{near.spill_bytes:,} bytes in {near.spill_files:,} files" if near.spill_files else "none"),
        ("last backup", near.last_backup or "none in the default places"),
    ]
    if near.held_files:
        why = "hold calls that a trigger, index or CHECK on completion_requests keeps out: drop it"
        lines.append(("held back", f"{near.held_files:,} of these files {why}"))
    lines += [("damaged", sentence) for sentence in near.damage]
    if near.newer_spill_files:
        lines.append(
            ("newer release", f"wrote {near.newer_spill_files:,} spill files: start it to have their events written")
        )
    if near.rejected_bytes:
        lines.append(("rejected", f"{near.rejected_bytes:,} bytes of events that no row could be made of"))
    lines += [("salvaged", name) for name in near.salvaged]
    lines += [("table backup", name) for name in status.table_backups]
    return lines


def _section(title: str, lines: Lines, header: tuple[str, ...] = ()) -> str:
    if not lines:
        return f"{title}: none"
    return "\n  ".join([title, *_aligned([header, *lines] if header else lines)])


def _passed_unread(found: passed.PassedUnread) -> str:
    title = f"Hosts that passed unread in the last {found.days} days"
    if found.hosts:
        title += f" ({found.connections:,} connections, {found.hosts:,} hosts"
        title += ")" if len(found.top) == found.hosts else f", of which these {len(found.top)} look most like an LLM's)"
    lines = [
        (
            _number(one.connections),
            _short(one.host),
            "perhaps" if one.looks_like_llm else None,
            one.first_at,
            one.last_at,
        )
        for one in found.top
    ]
    section = _section(title, lines, _PASSED_HEADER)
    cure = passed.advice(found)
    return section if cure is None else f"{section}\n  {printable(cure)}"


def _aligned(lines: Lines) -> list[str]:
    """The cells in columns as wide as their longest text, safe to print."""
    cells = [[printable(cell or "-") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _number(n: int | None) -> str | None:
    return None if n is None else f"{n:,}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."
