"""The start's sequence: look at the path, open it, check what is in it, migrate it, switch it to WAL.

Runs in the caller's thread before any traffic, so that a database that cannot be used ends the start. What stands at
the path is asked of the file system alone; where nothing does, an empty file is made.

migrator.py brings the schema up to date, views.py the views; repair.py mends what other programs changed, and
table_backup.py copies single tables for that.
"""

import os
import sqlite3
import stat
from pathlib import Path

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.schema import migrator
from llm_metrics_proxy.recorder.store import database, identity

_ANOTHER_PATH = "set metrics_db to another path"
_MODE_OR_PATH = "change its owner or mode, or set metrics_db to another path"
_PRIVATE = 0o600


def prepare(
    path: Path, *, backup_dir: Path | None, lock_seconds: float, checked_bytes: int = migrator.CHECKED_BYTES
) -> Path:
    """Make `path` a database of the present version, and return it with symbolic links resolved.

    Waits up to `lock_seconds` for the locks of other processes. Files of up to `checked_bytes` are read through.

    Raises:
        RecorderError: one sentence that says why not, and what to do.
    """
    if backup_dir is not None:
        backup.check_folder(backup_dir)
    path = checked(path)
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


def checked(path: Path) -> Path:
    """Check `path`, create the file 0600 if there is none, and return the path with symbolic links resolved.

    An empty file counts as new (`sqlite-utils typo.db ...` leaves one behind) and becomes 0600 too; the mode of a
    database that holds something is its owner's choice.

    Raises:
        DatabaseRefused: nothing there can be, or become, our database.
    """
    try:
        # SQLite would create the target of a dangling link, and leave -wal and -shm where nobody looks for them.
        dangling = path.is_symlink() and not path.exists()
        if not dangling:
            path = path.resolve()
            _check_folder(path)
            _create_if_missing(path)
            _check_file(path)
    except ValueError as error:  # a NUL in the path
        raise DatabaseRefused(what=f"{str(path)!r} cannot be a path", cure=_ANOTHER_PATH) from error
    except PermissionError as error:
        raise DatabaseRefused(what=f"There is no permission for {path}", cure=_MODE_OR_PATH) from error
    except OSError as error:
        raise DatabaseRefused(what=f"{path} cannot be used ({error.strerror})", cure=_ANOTHER_PATH) from error
    if dangling:
        raise DatabaseRefused(what=f"{path} is a symbolic link to nothing", cure=f"remove it, or {_ANOTHER_PATH}")
    return path


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise DatabaseRefused(what=f"There is no folder {folder}", cure=f"create it, or {_ANOTHER_PATH}")
    if not os.access(folder, os.W_OK | os.X_OK):
        # Also for a file that exists: SQLite makes -wal and -shm beside it.
        raise DatabaseRefused(what=f"There is no permission to write in {folder}", cure=_MODE_OR_PATH)


def _create_if_missing(path: Path) -> None:
    # First the WAL, then the file: when another process creates the database, its WAL comes after the file.
    wal = path.with_name(f"{path.name}-wal")
    orphaned = wal.exists() and wal.stat().st_size > 0
    if path.exists() and path.stat().st_size > 0:
        return
    if orphaned:
        # SQLite would delete it, and the rows in it with it.
        what = f"{path} is gone while {wal.name} still holds rows of it"
        raise DatabaseRefused(what=what, cure=f"put the database back, or move {wal.name} away")
    database.create(path)


def _check_file(path: Path) -> None:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise DatabaseRefused(
            what=f"{path} is a folder", cure=f"set metrics_db to a file, such as {path / 'metrics.db'}"
        )
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseRefused(what=f"{path} is not a regular file", cure=_ANOTHER_PATH)
    if not os.access(path, os.R_OK | os.W_OK):
        raise DatabaseRefused(what=f"There is no permission to read and write {path}", cure=_MODE_OR_PATH)
    if status.st_size == 0 and stat.S_IMODE(status.st_mode) != _PRIVATE:
        path.chmod(_PRIVATE)
