"""Verified copies of the database: `metrics.db.YYYYMMDD_HHMMSS_mmm.backup` (UTC), each with its `.sha256`.

Copying the file would be wrong: its newest rows stand in the WAL, and reading it drops this process's locks. SQLite's
backup API copies one moment, while others read and write. A name that ends in `.backup` is always a whole, verified
and fsynced copy; what is not yet one is called `.tmp`.
"""

import hashlib
import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from recorder.database import connect, is_testing
from recorder.errors import BackupFailed

type Contents = tuple[list[object], list[object], dict[str, int]]

_BUSY_SECONDS = 5.0
_ONE_MILLISECOND = 0.001
_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
_CURE = "free some space, or set metrics_backup_dir to a folder that can be written"


def create(path: Path, *, backup_dir: Path | None = None) -> Path:
    """Back up the database at `path` and return the backup's path.

    `backup_dir`, if given, is the only place tried. Else `backups/` beside the database, then
    `~/.llm_metrics_proxy/backups/`. May run while the caller holds the write lock: it copies the last committed state.

    Raises:
        BackupFailed: no place could be used, or the copy is not what the database is.
    """
    failures = []
    for place in _places(path, backup_dir):
        try:
            _make_folder(place, given=backup_dir is not None)
            return _copy_into(place, path)
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            failures.append(f"{place}: {reason}")
    raise BackupFailed(what=f"No backup of {path} could be made ({'; '.join(failures)})", cure=_CURE)


def check_folder(folder: Path) -> None:
    """Make `folder`, which was given as the place for backups, unless it is there, and see that it can be written.

    Raises:
        BackupFailed: it cannot be used.
    """
    try:
        _make_folder(folder, given=True)
    except OSError as error:
        raise BackupFailed(what=f"No backups can be made in {folder} ({error.strerror})", cure=_CURE) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BackupFailed(what=f"There is no permission to write in {folder}", cure=_CURE)


def _places(path: Path, backup_dir: Path | None) -> list[Path]:
    if backup_dir is not None:
        return [backup_dir]
    if is_testing():
        what = "TESTING is set, which forbids the default places for backups"
        raise BackupFailed(what=what, cure="set metrics_backup_dir to a folder")
    return [path.parent / "backups", Path("~/.llm_metrics_proxy/backups").expanduser()]


def _make_folder(place: Path, *, given: bool) -> None:
    # A given folder is made only inside one that exists: a volume that is not mounted must not be papered over.
    place.mkdir(mode=0o700, parents=not given, exist_ok=True)
    if not given and (place.is_symlink() or place.stat().st_uid != os.geteuid()):
        raise PermissionError(0, "a symbolic link or another user's folder")


def _copy_into(place: Path, path: Path) -> Path:
    final = _reserve(place, path.name)
    unfinished = final.with_name(f"{final.name}.tmp")
    digest_file = final.with_name(f"{final.name}.sha256")
    try:
        with closing(connect(path, timeout=_BUSY_SECONDS)) as source:
            source.execute("BEGIN")  # what is counted and what is copied are the same moment
            expected = _contents(source)
            _copy(source, unfinished)
        _verify(unfinished, expected)
        _write_digest(unfinished, digest_file, final.name)
        unfinished.rename(final)
        _sync_folder(place)
    except BaseException:  # raised again: nothing unfinished may stay that could pass for a backup
        unfinished.unlink(missing_ok=True)
        digest_file.unlink(missing_ok=True)
        raise
    return final


def _reserve(place: Path, name: str) -> Path:
    """Take a name of this millisecond that nobody has, in any process, by creating its `.tmp` exclusively."""
    while True:
        moment = datetime.now(UTC)
        final = place / f"{name}.{moment:%Y%m%d_%H%M%S}_{moment.microsecond // 1000:03d}.backup"
        unfinished = final.with_name(f"{final.name}.tmp")
        try:
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600))
        except FileExistsError:
            time.sleep(_ONE_MILLISECOND)
            continue
        if not os.path.lexists(final):  # whoever had the .tmp before us in this millisecond may be done by now
            return final
        unfinished.unlink()
        time.sleep(_ONE_MILLISECOND)


def _copy(source: sqlite3.Connection, target: Path) -> None:
    def stop_when_locked(status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            # Connection.backup() would try again for ever.
            what = f"{target.name} could not be copied, because another process holds the lock"
            raise BackupFailed(what=what, cure="end that process, or try again when it is done")

    with closing(connect(target, timeout=_BUSY_SECONDS)) as copy:
        # In one step: with fewer pages at a time every write from elsewhere restarts the copy from its beginning.
        source.backup(copy, pages=-1, progress=stop_when_locked)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, that opens without -wal and -shm


def _verify(copy: Path, expected: Contents) -> None:
    with closing(connect(copy, timeout=_BUSY_SECONDS, mode="ro")) as connection:
        (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        contents = _contents(connection)
    whole = answer == "ok" and copy.stat().st_size == pages * page_size
    if not whole or contents != expected:
        what = f"{copy.name} is not what the database is, which may be damaged itself"
        raise BackupFailed(what=what, cure="check the database with PRAGMA integrity_check, or put a backup back")


def _contents(connection: sqlite3.Connection) -> Contents:
    versions: list[object] = []
    for pragma in ("PRAGMA user_version", "PRAGMA application_id"):
        versions += connection.execute(pragma).fetchone()
    names = [name for (name,) in connection.execute(_TABLES).fetchall()]
    counts = {}
    for name in names:
        quoted = name.replace('"', '""')
        (counts[name],) = connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()  # noqa: S608 - quoted
    return connection.execute(_OBJECTS).fetchall(), versions, counts


def _write_digest(backup: Path, digest_file: Path, name: str) -> None:
    with backup.open("rb") as stream:  # never the live file, see database.py
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    descriptor = os.open(digest_file, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"{digest}  {name}\n")  # as `sha256sum --check` reads it
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
