"""Putting a backup back: at every moment, also of a kill, the database is the old one or the new one, never a mix.

Everything that can fail is done first, on a copy, which is brought up to date and gets the row that says what
happened. The copy then goes through the backup API into the live file, as one transaction, while recorders and readers
go on; renaming a file into place would leave them with the old inode, and the new one with the old WAL. Only where
nothing can be written into, because nothing is there or what is there is damaged, the copy gets the database's name,
and then no recorder may have it open.

The copy stands in a folder `<database>.restoring-<random>/` (0700) beside the database, on the same file system, which
is locked (flock) while its process lives. What a killed one left is removed by the next restore.
"""

import fcntl
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from llm_metrics_proxy.migrations import APPLICATION_ID
from llm_metrics_proxy.recorder import backup as backup_file
from llm_metrics_proxy.recorder.backup import Progress, backups, copy_pages, places, retention
from llm_metrics_proxy.recorder.errors import DatabaseRefused, RecorderError, RestoreFailed
from llm_metrics_proxy.recorder.schema import migrator
from llm_metrics_proxy.recorder.store import database, identity, presence, spill_folder, sqlite
from llm_metrics_proxy.recorder.store.account import account_of_this_process
from llm_metrics_proxy.recorder.store.files import open_regular, sync_folder

type State = Literal["missing", "empty", "usable", "damaged"]

_PAGE_SIZE = 4096
_ANOTHER = "choose another of `llm-metrics backups`"

_MIGRATED = "UPDATE recorder_events SET detail = ? WHERE detail LIKE ?"
_OF_A_TRIGGER = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR)
_ROOM = 2  # copies: this one, and the WAL of the live file


class Restored(msgspec.Struct, frozen=True):
    """The result of a restore; `schema_version` is the backup's own, from which it was brought up to date.

    `safety` is the backup of what the database held before, `set_aside` the folder with its files if it was damaged.
    Each is None where there was no such thing.
    """

    path: Path
    backup: Path
    schema_version: int
    safety: Path | None
    set_aside: Path | None


def restore(
    path: Path,
    backup: Path,
    *,
    backup_dir: Path | None,
    abort_seconds: float = 30.0,
    progress: Progress | None = None,
) -> Restored:
    """Make the database at `path` what `backup` holds, in the present schema.

    What the database holds is backed up before, as `backup.backup.create` does it, into `backup_dir` if that is
    given. That happens when nobody else can write any more, so that every call is in one of the two. Another process's
    lock is waited for `abort_seconds`. Beside the database there must be room for two more copies of the backup.

    Raises:
        RestoreFailed: the backup cannot be put back, or the lock did not become free.
        BackupFailed: what is there could not be backed up.
        DatabaseRefused: what stands at `path` is not ours to write into, or a recorder has the damaged file open.
        MigrationFailed: the backup's older schema could not be brought up to date.
            In each case the database is what it was.
    """
    path = _checked_path(path)
    _check_backup(path, backup)
    version = backups.verify(backup)
    _check_page_size(path, backup)
    state = _state(path)
    safety: list[Path] = []
    set_aside = None

    def save() -> None:
        if state == "usable":
            safety.append(backup_file.create(path, backup_dir=backup_dir))

    with _staged(path, backup) as stage:
        if state in ("usable", "empty"):
            _write_into(path, stage, abort_seconds, save, progress)
        elif state == "damaged" or _has_stale_side_files(path):
            with presence.exclusively(path, abort_seconds):
                set_aside = _replace(path, stage)
        else:
            _place(path, stage)
    _check_result(path, safety)
    with suppress(OSError):  # a recorder that runs does so itself
        spill_folder.forget_damage(spill_folder.folder_of(path))
    with suppress(RecorderError):  # the restore is done
        retention.apply(path, backup_dir, spared=[backup])
    return Restored(path, backup, version, safety[0] if safety else None, set_aside)


def _checked_path(path: Path) -> Path:
    if path.is_symlink() and not path.exists():
        raise RestoreFailed(what=f"{path} is a symbolic link to nothing", cure="remove it, or give another path")
    path = path.resolve()
    if not path.parent.is_dir():
        raise RestoreFailed(what=f"There is no folder {path.parent}", cure="create it, or give another path")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise RestoreFailed(what=f"{path} is not a regular file", cure="give the path of the database")
    return path


def _check_backup(path: Path, backup: Path) -> None:
    """Without opening it: the live file must never be, see database.py."""
    live = [file for file in (path, *sqlite.side_files(path)) if file.exists()]
    if backup.exists() and any(backup.samefile(file) for file in live):
        raise RestoreFailed(what=f"{backup} is the live database itself", cure=_ANOTHER)


def _check_page_size(path: Path, backup: Path) -> None:
    with closing(backups.connect(backup)) as connection:
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    expected = _PAGE_SIZE
    with suppress(sqlite3.Error, UnicodeDecodeError):  # a damaged one gets a new file
        if path.exists() and path.stat().st_size > 0:
            # Not read-only: such a connection leaves -wal and -shm behind.
            with closing(database.connect(path, timeout=database.READER_SECONDS)) as connection:
                connection.execute("SELECT 1 FROM sqlite_master").fetchone()
                (expected,) = connection.execute("PRAGMA page_size").fetchone()
    if page_size != expected:
        what = f"{backup} has pages of {page_size} bytes, and the database has pages of {expected}"
        raise RestoreFailed(what=what, cure=_ANOTHER)


def _state(path: Path) -> State:
    """Tell what stands at the path.

    Raises:
        DatabaseRefused: the database of another program, or one that is locked or cannot be read.
    """
    if not path.exists():
        return "missing"
    if path.stat().st_size == 0:
        return "damaged" if _has_stale_side_files(path) else "empty"
    # One such answer proves nothing, a dying disk gives it too: a fresh connection asks again.
    return "damaged" if _is_damaged(path) and _is_damaged(path) else "usable"


def _is_damaged(path: Path) -> bool:
    try:
        with closing(database.connect(path, timeout=database.READER_SECONDS)) as connection:
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            if application_id != APPLICATION_ID:
                identity.claimed_version(connection, path)
            # Not the quick check: a safety backup that it lets through would fail its own, more thorough one.
            (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except UnicodeDecodeError:  # SQLite quotes what it finds there in its answer
        return True
    except sqlite3.Error as error:
        if sqlite.is_damage(error) or error.sqlite_errorcode == sqlite3.SQLITE_IOERR_SHORT_READ:
            return True
        raise identity.refusal(path, error) from error
    return bool(answer != "ok")


def _has_stale_side_files(path: Path) -> bool:
    return any(file.exists() and file.stat().st_size > 0 for file in sqlite.side_files(path))


def _write_into(
    path: Path, stage: Path, abort_seconds: float, save: Callable[[], None], progress: Progress | None
) -> None:
    try:
        with closing(database.connect(path, timeout=0)) as live:
            database.use_wal(live, path, patience=abort_seconds)
        with closing(database.open_writer(path)) as live, closing(database.connect(stage, timeout=0)) as source:
            copy_pages(source, live, patience=abort_seconds, progress=progress, when_locked=save)
            with suppress(sqlite3.Error):  # a reader needs the WAL; some later checkpoint does it
                live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except TimeoutError as error:
        raise _locked(path, abort_seconds) from error
    except sqlite3.Error as error:
        if sqlite.is_lock(error):
            raise _locked(path, abort_seconds) from error
        raise identity.refusal(path, error) from error


def _locked(path: Path, seconds: float) -> RestoreFailed:
    what = f"{path} was not restored, since another process held its lock for {seconds:g} seconds"
    return RestoreFailed(what=what, cure="end that process, or try again when it is done")


def _check_result(path: Path, safety: list[Path]) -> None:
    """Read what is there now; only a failing disk can make it differ from what was verified."""
    before = f"; what it held before is in {safety[0]}" if safety else ""
    try:
        with closing(database.connect(path, timeout=database.READER_SECONDS)) as connection:
            identity.check_pages(connection, path)
    except (sqlite3.Error, RecorderError) as error:
        what = f"{path} cannot be read after the restore ({error}){before}"
        raise RestoreFailed(what=what, cure="check the disk, and restore again") from error


@contextmanager
def _staged(path: Path, backup: Path) -> Iterator[Path]:
    """A database in WAL mode, durable and closed, with the contents of `backup`; it is gone afterwards.

    Raises:
        RestoreFailed: there is no room for it beside the database at `path`.
        MigrationFailed, BackupFailed: the backup's schema could not be brought up to date.
    """
    prefix = f"{path.name}.restoring-"
    _sweep(path.parent, prefix)
    try:
        places.check_room(path.parent, _ROOM * backup.stat().st_size)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
    except OSError as error:
        raise _unprepared(path, error) from error
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stage = folder / path.name
        try:
            _prepare(stage, backup)
        except sqlite3.Error as error:
            raise identity.refusal(stage, error) from error
        except OSError as error:
            raise _unprepared(path, error) from error
        yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _prepare(stage: Path, backup: Path) -> None:
    database.create(stage)
    with closing(backups.connect(backup)) as source, closing(database.connect(stage, timeout=0)) as copy:
        copy.execute("PRAGMA synchronous=OFF")  # one fsync at the end does
        copy_pages(source, copy, patience=0)
    with closing(database.open_for_start(stage, timeout=0)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        migrator.bring_up_to_date(connection, stage, backup_dir=stage.parent)
        _note(connection, stage, backup)
        connection.execute("PRAGMA journal_mode=WAL")
    descriptor = open_regular(stage, os.O_RDWR)  # not yet anybody's database
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _note(connection: sqlite3.Connection, stage: Path, backup: Path) -> None:
    """Note what was restored, unless triggers of users in the backup are against it."""
    try:
        # What the migration backed up goes with the stage; that state is what the backup holds.
        connection.execute(_MIGRATED, (backup.name, f"{stage.parent}%"))
        account_of_this_process(connection).note_event("restore", backup.name)
    except DatabaseRefused:
        pass
    except sqlite3.Error as error:
        if sqlite.code_of(error) not in _OF_A_TRIGGER:
            raise


def _unprepared(path: Path, error: OSError) -> RestoreFailed:
    what = f"The restore cannot be prepared in {path.parent} ({error.strerror})"
    return RestoreFailed(what=what, cure="free some space, or make the folder writable")


def _sweep(parent: Path, prefix: str) -> None:
    for folder in [one for one in parent.iterdir() if one.name.startswith(prefix)]:
        with suppress(OSError):  # it belongs to a restore that runs, is another user's, or just went away
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)


def _place(path: Path, stage: Path) -> None:
    """Put `stage` at `path`, where nothing stands.

    Raises:
        RestoreFailed: something stands there now; it is left alone.
    """
    try:
        os.link(stage, path)  # unlike a rename it never replaces anything
    except OSError as error:
        what = f"{path} could not be placed ({error.strerror})"
        raise RestoreFailed(what=what, cure="see what stands there, and try again") from error
    sync_folder(path.parent)


def _replace(path: Path, stage: Path) -> Path:
    """Put `stage` at `path`, and what stands there, if anything, into `corrupt-<time>/` beside it, which is returned.

    Nobody may have the database open. At no moment is the path empty, which a start would take for a new database: a
    kill on the way leaves the damaged file there, or the new one.

    Raises:
        RestoreFailed: it could not be done.
    """
    folder = path.with_name(f"corrupt-{datetime.now(UTC):%Y%m%d_%H%M%S_%f}")
    try:
        folder.mkdir(mode=0o700)
        for file in sqlite.side_files(path):  # first, since the new file must never stand beside the WAL of another
            with suppress(FileNotFoundError):
                file.rename(folder / file.name)
        with suppress(FileNotFoundError):
            os.link(path, folder / path.name)
        sync_folder(folder)
        sync_folder(path.parent)
        stage.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        what = f"{path} could not be replaced ({error.strerror}); look into {folder}"
        raise RestoreFailed(what=what, cure="move the files of the damaged database away, and try again") from error
    return folder
