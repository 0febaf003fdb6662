"""What a migration would do, and whether it can: asked before the lock is taken, so that nobody waits for a refusal."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION, NAMES
from llm_metrics_proxy.recorder.backup import places
from llm_metrics_proxy.recorder.errors import BackupFailed, DatabaseRefused, MigrationFailed
from llm_metrics_proxy.recorder.schema import views
from llm_metrics_proxy.recorder.store import database, identity

SPACE_FACTOR: Final = 2.5  # of the database's size: a step that writes a table anew fills the WAL with all of it

_PATIENCE_SECONDS = 5.0
_COUNT = "SELECT count(*) FROM completion_requests"


class Plan(msgspec.Struct, frozen=True):
    """From which version to which, by which steps; a backup is made of what holds something.

    `views`: how the views differ from those of this release; all are made anew then.
    """

    path: str
    exists: bool
    from_version: int
    to_version: int
    steps: tuple[str, ...]
    views: tuple[str, ...]
    rows: int
    backup: bool
    bytes_needed: int


def migrate_plan(path: Path) -> Plan:
    """What a start would do to the database at `path`; writes nothing, and creates nothing.

    Raises:
        DatabaseRefused: what stands there cannot be migrated.
    """
    version, rows, size = 0, 0, 0
    other_views: tuple[str, ...] = ()
    exists = path.is_file() and path.stat().st_size > 0
    if exists:
        try:
            with closing(database.connect(path, timeout=_PATIENCE_SECONDS, mode="ro")) as connection:
                connection.execute("PRAGMA trusted_schema=OFF")
                version = identity.version_of(connection, path)
                if version > 0:
                    other_views = tuple(views.differences(connection, version))
                    (rows,) = connection.execute(_COUNT).fetchone()
        except sqlite3.Error as error:
            raise identity.refusal(path, error) from error
        size = _size(path)
    elif path.exists() and not path.is_file():
        raise DatabaseRefused(what=f"{path} is not a file", cure="give the path of a database")
    return Plan(
        path=str(path),
        exists=exists,
        from_version=version,
        to_version=CURRENT_SCHEMA_VERSION,
        steps=NAMES[version:],
        views=other_views,
        rows=rows,
        backup=0 < version < CURRENT_SCHEMA_VERSION,
        bytes_needed=int(size * SPACE_FACTOR) if version < CURRENT_SCHEMA_VERSION else 0,
    )


def check_room(path: Path, backup_dir: Path | None) -> None:
    """See that the migration of the database at `path`, and the backup before it, have a place and enough space.

    Raises:
        BackupFailed: there is no folder for backups that can be written.
        MigrationFailed: there is too little space on a disk.
    """
    size = _size(path)
    needed = {path.parent.stat().st_dev: (path.parent, int(size * SPACE_FACTOR))}
    saved = _place(path, backup_dir)
    device = saved.stat().st_dev
    folder, so_far = needed.get(device, (saved, 0))
    needed[device] = (folder, so_far + size)
    for folder, n in needed.values():
        try:
            places.check_room(folder, n)
        except OSError as error:
            what = f"{folder} has too little space to migrate {path} ({error.strerror})"
            raise MigrationFailed(what=what, cure="free some; nothing was changed") from error


def _place(path: Path, backup_dir: Path | None) -> Path:
    failures = []
    for place in places.places(path, backup_dir):
        try:
            places.make(place, given=backup_dir is not None)
        except OSError as error:
            failures.append(f"{place}: {error.strerror}")
        else:
            if os.access(place, os.W_OK | os.X_OK):
                return place
            failures.append(f"{place}: {os.strerror(errno.EACCES)}")
    what = f"No backup of {path} could be made ({'; '.join(failures)})"
    raise BackupFailed(
        what=what, cure="set metrics_backup_dir, or the command's option, to a folder that can be written"
    )


def _size(path: Path) -> int:
    """Of the file and its WAL, in bytes."""
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
