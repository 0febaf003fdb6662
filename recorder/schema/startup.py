"""The start's sequence: look at the path, open it, check what is in it, migrate it, switch it to WAL.

Runs in the caller's thread before any traffic, so that a database that cannot be used ends the start.
"""

import sqlite3
from pathlib import Path

from llm_metrics_proxy.recorder.backup import backup
from llm_metrics_proxy.recorder.schema import location, migrator
from llm_metrics_proxy.recorder.store import database, identity

_CHECKED_BYTES = 256 << 20  # larger files are not read through at each start: it would take seconds


def prepare(path: Path, *, backup_dir: Path | None, lock_seconds: float, checked_bytes: int = _CHECKED_BYTES) -> Path:
    """Make `path` a database of the present version, and return it with symbolic links resolved.

    Waits up to `lock_seconds` for the locks of other processes. Files of up to `checked_bytes` are read through.

    Raises:
        RecorderError: one sentence that says why not, and what to do.
    """
    if backup_dir is not None:
        backup.check_folder(backup_dir)
    path = location.prepare(path)
    try:
        connection = database.open_for_start(path, timeout=lock_seconds)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    try:
        identity.version_of(connection, path)
        if path.stat().st_size <= checked_bytes:
            identity.check_pages(connection, path)
        migrator.bring_up_to_date(connection, path, backup_dir=backup_dir)
        database.use_wal(connection, path, patience=lock_seconds)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise identity.refusal(path, error) from error
    finally:
        connection.close()
    return path
