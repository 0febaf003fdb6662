"""How the recorder, the database and the exporters do: what the database says, and what stands around it."""

import shutil
import sqlite3
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from recorder import ledger, presence, rejected, spill, spill_folder
from recorder.errors import DatabaseRefused
from recorder.export import cursors
from recorder.export.prometheus.counting import NAME

_DROPPED: Final = "dropped_"
_SPILL_DAMAGED: Final = "dropped_spill_damaged"  # of events that were kept aside, so they do not wait in memory
_NEWEST = "SELECT max(timestamp) FROM completion_requests"
_COUNTERS = "SELECT name, value FROM recorder_counters WHERE process = ?"


class Written(msgspec.Struct, frozen=True):
    """What the database says."""

    counters: dict[str, int]
    in_memory: int  # events of the recorders that live, as of their last transaction
    newest_at: float | None  # seconds since 1970
    exporters: tuple[cursors.Lag, ...]


class Surrounding(msgspec.Struct, frozen=True):
    """What the file system says; sizes in bytes."""

    recorders: int
    database_bytes: int
    wal_bytes: int
    spill_files: int
    spill_bytes: int
    rejected_bytes: int
    free_bytes: int | None


def written(connection: sqlite3.Connection, living: set[str]) -> Written:
    """Read it, in the caller's transaction; `living` are the recorders' names."""
    (newest_at,) = connection.execute(_NEWEST).fetchone()
    return Written(
        counters=ledger.total_counters(connection),
        in_memory=sum(max(_in_memory(connection, process), 0) for process in living),
        newest_at=seconds(newest_at),
        exporters=tuple(lag for lag in cursors.lags(connection) if lag.name != NAME),
    )


def surrounding(path: Path, living: set[str]) -> Surrounding:
    """Look around the database at `path`, whether or not it is there."""
    folder = spill_folder.folder_of(path)
    files = spill.files(folder)
    free_bytes = None
    with suppress(OSError):
        free_bytes = shutil.disk_usage(path.parent).free
    return Surrounding(
        recorders=len(living),
        database_bytes=_size(path),
        wal_bytes=_size(path.with_name(f"{path.name}-wal")),
        spill_files=len(files),
        spill_bytes=sum(map(_size, files)),
        rejected_bytes=_size(folder / rejected.FILE_NAME),
        free_bytes=free_bytes,
    )


def living(path: Path) -> set[str]:
    """The recorders that run now; none if nobody may know."""
    with suppress(OSError, DatabaseRefused):
        return presence.living(path)
    return set()


def _in_memory(connection: sqlite3.Connection, process: str) -> int:
    """Events of one recorder that had come and not gone anywhere when it last wrote its counters.

    What it replayed is in `written` and the like without having come again, and what it keeps aside waits elsewhere.
    """
    values = dict(connection.execute(_COUNTERS, (process,)))
    came = values.get("received", 0) + values.get("replayed", 0)
    became = ("written", "duplicates", "unrecognised", "rejected", "spilled")
    dropped = sum(n for name, n in values.items() if name.startswith(_DROPPED) and name != _SPILL_DAMAGED)
    return int(came - sum(values.get(name, 0) for name in became) - dropped)


def seconds(timestamp: object) -> float | None:
    """A timestamp of the database since 1970; None if it is none."""
    try:
        moment = datetime.fromisoformat(str(timestamp))
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
