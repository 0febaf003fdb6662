"""The copy of a backup that a restore works on: brought up to date, and with the row that says what happened.

It stands in a folder `<database>.restoring-<random>/` (0700) beside the database, on the same file system, which is
locked (flock) while its process lives. What a killed one left is removed by the next restore.
"""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from llm_metrics_proxy.recorder.backup import backups, places
from llm_metrics_proxy.recorder.backup.page_copy import copy_pages
from llm_metrics_proxy.recorder.errors import RestoreFailed
from llm_metrics_proxy.recorder.schema import migrator
from llm_metrics_proxy.recorder.store import database, identity
from llm_metrics_proxy.recorder.store.account import account_of_this_process

_MIGRATED = "UPDATE recorder_events SET detail = ? WHERE detail LIKE ?"
_ROOM = 2  # copies: this one, and the WAL of the live file


@contextmanager
def staged(path: Path, backup: Path) -> Iterator[Path]:
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
        # What the migration backed up goes with the stage; that state is what the backup holds.
        connection.execute(_MIGRATED, (backup.name, f"{stage.parent}%"))
        account_of_this_process(connection).note_event("restore", backup.name)
        connection.execute("PRAGMA journal_mode=WAL")
    descriptor = os.open(stage, os.O_RDWR)  # not yet anybody's database
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
