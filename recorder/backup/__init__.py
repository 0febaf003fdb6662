"""Verified copies of the database: `metrics.db.YYYYMMDD_HHMMSS_mmm.backup` (UTC), each with its `.sha256`.

Copying the file would be wrong: its newest rows stand in the WAL, and reading it drops this process's locks. SQLite's
backup API copies one moment, while others read and write. A name that ends in `.backup` is always a whole, verified
and fsynced copy; what is not yet one is called `.tmp`.

`copy_pages` is that API: one moment of the source, all or nothing in the target, never for ever. The copy is made in
steps, so that somebody can watch it. By themselves steps would start again at every write from elsewhere; a read
transaction on the source, held through all of them, keeps the one moment that is copied. What the target's readers see
changes at once, when the last step commits; a copy that ends before leaves the target as it was.

places.py says where backups stand, backups.py lists and verifies them, retention.py deletes old ones.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.recorder.backup import places
from llm_metrics_proxy.recorder.errors import BackupFailed
from llm_metrics_proxy.recorder.progress import doing
from llm_metrics_proxy.recorder.store import database, sqlite
from llm_metrics_proxy.recorder.store.database import connect
from llm_metrics_proxy.recorder.store.files import open_regular, sync_folder

type Contents = tuple[list[object], list[object], dict[str, int]]

_BUSY_SECONDS = database.READER_SECONDS
_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
_CURE = "free some space, or set metrics_backup_dir to a folder that can be written"

type Progress = Callable[[int, int], None]  # bytes copied, bytes in all
_STEP_PAGES = 2048
_RETRY_SECONDS = 0.02


def create(path: Path, *, backup_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """Back up the database at `path` and return the backup's path.

    `backup_dir`, if given, is the only place tried. Else `backups/` beside the database, then
    `~/.llm_metrics_proxy/backups/`. May run while the caller holds the write lock: it copies the last committed state.

    Raises:
        BackupFailed: no place could be used, the database could not be read, or the copy is not what it is.
    """
    path = path.resolve()  # its place, its name and its WAL are those of the real file
    failures = []
    for place in places.places(path, backup_dir):
        try:
            places.make(place, given=backup_dir is not None)
            places.sweep(place, path.name)
            places.check_room(place, sqlite.size_with_wal(path))
            return _copy_into(place, path, progress)
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
        places.make(folder, given=True)
    except OSError as error:
        raise BackupFailed(what=f"No backups can be made in {folder} ({error.strerror})", cure=_CURE) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BackupFailed(what=f"There is no permission to write in {folder}", cure=_CURE)


def _copy_into(place: Path, path: Path, progress: Progress | None) -> Path:
    final, unfinished = places.reserve(place, path.name)
    doing(f"copying it to {final.name}")
    try:
        with closing(_source(path)) as source:
            expected = _contents(source)  # of the same moment as the copy
            _copy(source, unfinished, progress)
        doing("verifying the copy")
        with ThreadPoolExecutor(1) as aside:  # each reads all of it, and neither needs the interpreter
            digest = aside.submit(places.sha256_of, unfinished)
            _verify(unfinished, expected)
        _sync(unfinished)
        places.write_digest(digest.result(), final, path)
        unfinished.rename(final)
        sync_folder(place)
    except BaseException:  # raised again: nothing unfinished may stay that could pass for a backup
        for one in (unfinished, *sqlite.side_files(unfinished)):
            one.unlink(missing_ok=True)
        if not final.exists():
            places.digest_path(final).unlink(missing_ok=True)
        raise
    return final


def _source(path: Path) -> sqlite3.Connection:
    """The database in a read transaction; what goes wrong here is no fault of the place."""
    try:
        source = connect(path, timeout=_BUSY_SECONDS)
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    try:
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        source.close()
        raise _unreadable(path, error) from error
    return source


def _unreadable(path: Path, error: sqlite3.Error) -> BackupFailed:
    what = f"{path} could not be read for a backup ({error})"
    return BackupFailed(what=what, cure="end the process that locks it, or put a backup back if it is damaged")


def _copy(source: sqlite3.Connection, target: Path, progress: Progress | None = None) -> None:
    with closing(connect(target, timeout=_BUSY_SECONDS)) as copy:
        try:
            copy_pages(source, copy, patience=0, progress=progress)
        except TimeoutError as error:
            what = f"{target.name} could not be copied, because another process holds the lock"
            raise BackupFailed(what=what, cure="end that process, or try again when it is done") from error
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


def _sync(backup: Path) -> None:
    descriptor = open_regular(backup, os.O_RDWR)  # not yet anybody's database
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_pages(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    *,
    patience: float,
    progress: Progress | None = None,
    when_locked: Callable[[], None] | None = None,
) -> None:
    """Make `target` what `source` is, joining the read transaction that `source` may be in.

    `when_locked` is called once, when nobody else can write into the target any more and it is still what it was, and
    `progress` after each step. What they raise ends the copy.

    Raises:
        TimeoutError: others held the target's lock for `patience` seconds.
        sqlite3.Error: of either side. In each case the target is what it was.
    """
    (page_size,) = source.execute("PRAGMA page_size").fetchone()
    ends = time.monotonic() + patience
    waiting = [when_locked] if when_locked else []

    def watch(status: int, remaining: int, total: int) -> None:
        # Connection.backup() itself would try again for ever.
        if status in sqlite.LOCKED:
            if time.monotonic() >= ends:
                raise TimeoutError
            return
        while waiting:
            waiting.pop()()
        if progress is not None:
            progress((total - remaining) * page_size, total * page_size)

    joined = source.in_transaction
    if not joined:
        source.execute("BEGIN")
    try:
        source.execute("SELECT 1 FROM sqlite_master").fetchone()  # a transaction has no moment before its first read
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        # At least two steps: the last one commits, and the first has the lock.
        step = max(1, min(_STEP_PAGES, pages - 1))
        source.backup(target, pages=step, progress=watch, sleep=_RETRY_SECONDS)
    finally:
        if not joined and source.in_transaction:
            source.execute("ROLLBACK")
