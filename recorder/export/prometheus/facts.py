"""State of the recorders, the database and the exporters: read from the database, and from the files around it."""

import shutil
import sqlite3
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.export.prometheus.counting import NAME
from llm_metrics_proxy.recorder.store import account, exporters, presence, spill_folder
from llm_metrics_proxy.recorder.writing import rejected, spill

_DROPPED: Final = "dropped_"
_SPILL_DAMAGED: Final = "dropped_spill_damaged"  # of events that were kept aside, so they do not wait in memory
_NEWEST = "SELECT max(timestamp) FROM completion_requests"
MOST_WINDOWS: Final = 500
_QUOTA = f"""
    SELECT provider, ifnull(key_id, ''), ifnull(model, ''), kind, ifnull(quota_window, ''), quota_limit, remaining,
        resets_at
    FROM quota_headroom LIMIT {MOST_WINDOWS}
"""  # noqa: S608 - a number of ours
_COUNTERS = "SELECT name, value FROM recorder_counters WHERE process = ?"


class Window(msgspec.Struct, frozen=True):
    """The rest of a window of a limit; '' is unknown, or of all models."""

    provider: str
    key_id: str
    model: str
    kind: str
    window: str
    limit: float | None
    remaining: float | None
    resets_at: str | None


class Written(msgspec.Struct, frozen=True):
    """Facts from the database."""

    counters: dict[str, int]
    in_memory: int | None  # events of the recorders that live, as of their last transaction
    newest_at: float | None  # seconds since 1970
    exporters: tuple[exporters.Lag, ...]
    quota: tuple[Window, ...]


class Surrounding(msgspec.Struct, frozen=True):
    """Facts from the file system; sizes in bytes. None where it did not answer."""

    recorders: int | None
    database_bytes: int | None
    wal_bytes: int | None
    spill_files: int | None
    spill_bytes: int | None
    rejected_bytes: int | None
    free_bytes: int | None


def written(connection: sqlite3.Connection, living: set[str] | None) -> Written:
    """Read it, in the caller's transaction; `living` are the recorders' names."""
    (newest_at,) = connection.execute(_NEWEST).fetchone()
    in_memory = None if living is None else sum(max(_in_memory(connection, process), 0) for process in living)
    return Written(
        counters=account.total_counters(connection),
        in_memory=in_memory,
        newest_at=seconds(newest_at),
        exporters=tuple(lag for lag in exporters.lags(connection) if lag.name != NAME),
        quota=tuple(Window(*said) for said in connection.execute(_QUOTA)),
    )


def surrounding(path: Path, living: set[str] | None) -> Surrounding:
    """Look around the database at `path`, whether or not it is there."""
    folder = spill_folder.folder_of(path)
    files = [*spill.files(folder), *spill.held_files(folder)] if _may_be_listed(folder) else None
    sizes = None if files is None else [_size(file) for file in files]
    free_bytes = None
    with suppress(OSError):
        free_bytes = shutil.disk_usage(path.parent).free
    return Surrounding(
        recorders=None if living is None else len(living),
        database_bytes=_size(path),
        wal_bytes=_size(path.with_name(f"{path.name}-wal")),
        spill_files=None if files is None else len(files),
        spill_bytes=None if sizes is None or None in sizes else sum(size or 0 for size in sizes),
        rejected_bytes=_size(folder / rejected.FILE_NAME),
        free_bytes=free_bytes,
    )


def living(path: Path) -> set[str] | None:
    """The recorders that run now; None if that cannot be known."""
    if not _may_be_listed(spill_folder.folder_of(path)):
        return None
    with suppress(OSError, DatabaseRefused):
        return presence.living(path)
    return None


def _in_memory(connection: sqlite3.Connection, process: str) -> int:
    """Events of one recorder that had come and not gone anywhere when it last wrote its counters.

    What it replayed is in `written` and the like without having come again, and what it keeps aside waits elsewhere.
    """
    values = dict(connection.execute(_COUNTERS, (process,)))
    came = values.get("received", 0) + values.get("replayed", 0)
    became = ("written", "completed", "duplicates", "unrecognised", "tunnelled", "limits", "rejected", "spilled")
    dropped = sum(n for name, n in values.items() if name.startswith(_DROPPED) and name != _SPILL_DAMAGED)
    return int(came - sum(values.get(name, 0) for name in became) - dropped)


def seconds(timestamp: object) -> float | None:
    """A timestamp of the database since 1970; None if it is none."""
    try:
        moment = datetime.fromisoformat(str(timestamp))
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _may_be_listed(folder: Path) -> bool:
    """True if the folder can be listed; one that is not there is empty."""
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _size(file: Path) -> int | None:
    """A file that is not there has no bytes."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError:
        return None
