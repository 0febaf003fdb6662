"""What stands at the database's path, asked of the file system alone, and the empty file where there is none."""

import os
import stat
from pathlib import Path

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import database

_ANOTHER_PATH = "set metrics_db to another path"
_MODE_OR_PATH = "change its owner or mode, or set metrics_db to another path"
_PRIVATE = 0o600


def prepare(path: Path) -> Path:
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
