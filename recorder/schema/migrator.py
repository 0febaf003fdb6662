"""Bring the schema up to date: all of it or nothing, once, however many processes start at the same moment.

sqlite-utils' `Migrations.apply` alone is not safe then: it looks for pending steps before it has a lock. Here one
`BEGIN IMMEDIATE` holds everything: look again, back up through a second connection, apply, validate, stamp, commit.
Views are made anew in the same transaction (views.py), also where they are all that differs; that needs no backup.
A process that is killed on the way leaves the old state, and SQLite frees its lock for the next one. After the commit
a fresh connection looks once more; if it does not see what it should, the backup goes back into the file.

What a migration would do, and whether it can, is asked before the lock is taken, so that nobody waits for a refusal.
"""

import errno
import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from sqlite_utils import Database

from llm_metrics_proxy.migrations import APPLICATION_ID, CURRENT_SCHEMA_VERSION, NAMES, REGISTRY
from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.backup import copy_pages, places
from llm_metrics_proxy.recorder.errors import BackupFailed, DatabaseRefused, MigrationFailed, RecorderError
from llm_metrics_proxy.recorder.progress import at, doing
from llm_metrics_proxy.recorder.reporting import say
from llm_metrics_proxy.recorder.schema import users_objects, views
from llm_metrics_proxy.recorder.store import database, identity, sqlite, timestamps
from llm_metrics_proxy.recorder.store.account import account_of_this_process
from llm_metrics_proxy.recorder.store.files import check_regular
from llm_metrics_proxy.recorder.store.identity import changes, claimed_version, hindrances, refusal, version_of

_BACKED_UP = "Backed up %(path)s as %(backup)s before its migration."
_MIGRATED = "Migrated %(path)s from schema version %(before)d to %(after)d."
_VIEWS_MADE = "Made the views of %(path)s anew, as this release has them."
_VIEW_KEPT = (
    "The view %(old)s of %(path)s, which somebody else made, is now %(new)s, since this program makes one of that name."
)
_RENAMED = "%(old)s, which somebody added to %(path)s, is now %(new)s, since this program has one of that name."
_NO_PLACE = "%(path)s has no view %(view)s, since a table or an index has that name; give that another name."
_WAITING = "Waiting for another process that has locked %(path)s, perhaps to migrate it."

_QUIET_WAIT_MS = 1_000  # for the lock, before a line says that there is a wait
_COUNT = "SELECT count(*) FROM completion_requests"
_STAMP = "INSERT INTO schema_version (version, applied_at) VALUES (?, ?) ON CONFLICT(version) DO NOTHING"

CHECKED_BYTES: Final = 256 << 20  # larger files are not read through at each start: it would take seconds
SPACE_FACTOR: Final = 2.5  # of the database's size: a step that writes a table anew fills the WAL with all of it


def bring_up_to_date(connection: sqlite3.Connection, path: Path, *, backup_dir: Path | None = None) -> Path | None:
    """Migrate the database at `path`, which `connection` has open outside of a transaction, to the present version.

    A database that holds something is backed up first, and the backup's path is returned. The wait for another
    process's lock is the connection's.

    Raises:
        DatabaseRefused: not ours, newer, changed by others, damaged, or locked for too long.
        BackupFailed: no verified backup; nothing was changed.
        MigrationFailed: a step failed, or did not make the schema it should have; the database is what it was.
    """
    version = version_of(connection, path)
    outdated = version < CURRENT_SCHEMA_VERSION
    if not outdated and not views.differences(connection, version):
        return None
    if 0 < version < CURRENT_SCHEMA_VERSION:
        check_room(path, backup_dir)
    _lock(connection, path)
    saved = None
    renamed: dict[str, str] = {}
    try:
        version = version_of(connection, path)  # again: another process may have migrated while we waited
        if outdated and version == CURRENT_SCHEMA_VERSION:
            say(logging.INFO, "migrated_by_another", "Another process has migrated %(path)s.", path=path)
        if 0 < version < CURRENT_SCHEMA_VERSION:
            saved = backup.create(path, backup_dir=backup_dir, progress=at)
            say(logging.INFO, "backed_up", _BACKED_UP, path=path, backup=saved)
        made = _change(connection, path, version, saved, renamed)
        connection.execute("COMMIT")
    except RecorderError:
        raise
    except Exception as error:  # whatever a step raises
        raise _failure(path, str(error), saved) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if saved is not None:
        _look_again(path, saved)
        say(logging.INFO, "migrated", _MIGRATED, path=path, before=version, after=CURRENT_SCHEMA_VERSION)
    for old, new in renamed.items():
        say(logging.WARNING, "renamed", _RENAMED, path=path, old=old, new=new)
    _say_of_views(connection, path, made)
    return saved


def _say_of_views(connection: sqlite3.Connection, path: Path, made: views.Made) -> None:
    for old, new in made.kept.items():
        say(logging.WARNING, "view_kept", _VIEW_KEPT, path=path, old=old, new=new)
    if made.replaced:
        say(logging.INFO, "views_made", _VIEWS_MADE, path=path)
    for view in views.without_place(connection):
        say(logging.WARNING, "view_without_place", _NO_PLACE, path=path, view=view)


def _lock(connection: sqlite3.Connection, path: Path) -> None:
    (patience_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    began = time.monotonic()
    try:
        if _locked_within(connection, min(patience_ms, _QUIET_WAIT_MS)):
            return
        if patience_ms > _QUIET_WAIT_MS:
            say(logging.INFO, "waiting_for_lock", _WAITING, path=path)
            if _locked_within(connection, patience_ms - _QUIET_WAIT_MS):
                return
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    finally:
        connection.execute(f"PRAGMA busy_timeout={patience_ms}")
    waited = time.monotonic() - began
    what = f"{path} is locked by another process, perhaps one that is migrating it; waited {waited:.1f} s"
    raise DatabaseRefused(what=what, cure="start again when that process is done, or end it")


def _locked_within(connection: sqlite3.Connection, wait_ms: int) -> bool:
    connection.execute(f"PRAGMA busy_timeout={wait_ms}")
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if not sqlite.is_lock(error):
            raise
        return False
    return True


def _change(
    connection: sqlite3.Connection, path: Path, version: int, saved: Path | None, renamed: dict[str, str]
) -> views.Made:
    if version == CURRENT_SCHEMA_VERSION and not views.differences(connection, version):
        return views.Made()
    with views.made_anew(connection, version) as made:
        if version < CURRENT_SCHEMA_VERSION:
            violations = _dangling(connection)
            with users_objects.given_way(connection, version) as given_way:
                _migrate(connection, path, version, saved)
            renamed |= given_way
            if _dangling(connection) > violations:
                raise _failure(path, "a foreign key points to nothing", saved)
    return made


def _dangling(connection: sqlite3.Connection) -> int:
    """The number of rows, also in tables of users, whose foreign keys point to nothing; 0 where SQLite cannot tell.

    It cannot where a key of a user's fits no table; none of our tables has one.
    """
    try:
        return len(connection.execute("PRAGMA foreign_key_check").fetchall())
    except sqlite3.OperationalError as error:
        if sqlite.code_of(error) != sqlite3.SQLITE_ERROR:
            raise
        return 0


def _migrate(connection: sqlite3.Connection, path: Path, version: int, saved: Path | None) -> None:
    rows = connection.execute(_COUNT).fetchone()[0] if version > 0 else 0
    known = {one.what for one in identity.differences(connection, version)} if version > 0 else set()
    doing("changing its schema")
    _apply(connection, version)
    doing("checking the result")
    moment = timestamps.now()
    connection.executemany(_STAMP, [(number, moment) for number in range(1, CURRENT_SCHEMA_VERSION + 1)])
    connection.execute(f"PRAGMA user_version={CURRENT_SCHEMA_VERSION}")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    if saved is not None:
        account_of_this_process(connection).note_event("migrate", str(saved), rows)
    if problems := [problem for problem in _problems(connection, rows) if problem not in known]:
        raise _failure(path, problems[0], saved)


def _apply(connection: sqlite3.Connection, version: int) -> None:
    db = Database(connection, execute_plugins=False)
    REGISTRY.ensure_migrations_table(db)
    applied = {step.name for step in REGISTRY.applied(db)}
    # A version 1 that was made from the published SQL has its tables, but no list of applied steps.
    db.table(REGISTRY.migrations_table).insert_all(
        {"migration_set": REGISTRY.name, "name": name, "applied_at": timestamps.now()}
        for name in NAMES[:version]
        if name not in applied
    )
    REGISTRY.apply(db)


def _problems(connection: sqlite3.Connection, rows: int) -> list[str]:
    problems = changes(connection, CURRENT_SCHEMA_VERSION)
    (rows_now,) = connection.execute(_COUNT).fetchone()
    if rows_now != rows:
        problems.append(f"{rows} rows became {rows_now}")
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        problems.append("its pages are not consistent")
    return problems


def _look_again(path: Path, saved: Path) -> None:
    """See through a fresh connection what was committed; if that is not the new version, put the backup back."""
    try:
        with closing(database.connect(path, timeout=database.START_SECONDS)) as fresh:
            fresh.execute("BEGIN")
            version = claimed_version(fresh, path)
            problems = hindrances(fresh, version) if version == CURRENT_SCHEMA_VERSION else ["its version is not there"]
            if (
                path.stat().st_size <= CHECKED_BYTES
            ):  # the pages of larger ones have been read through before the commit
                problems += [answer for (answer,) in fresh.execute("PRAGMA quick_check(1)") if answer != "ok"]
    except sqlite3.Error as error:
        if not sqlite.is_damage(error):
            raise refusal(path, error) from error  # nothing was seen: what was committed stays
        problems = [str(error)]
    if problems:
        _put_back(path, saved)
        what = f"{path} was not what it should be after its migration ({problems[0]}), so {saved} was put back into it"
        raise MigrationFailed(what=what, cure="go on with the release before")


def _put_back(path: Path, saved: Path) -> None:
    with (
        closing(database.connect(saved, timeout=database.START_SECONDS, mode="ro")) as source,
        closing(database.connect(path, timeout=database.START_SECONDS)) as target,
    ):
        try:
            copy_pages(source, target, patience=database.START_SECONDS)
        except (TimeoutError, sqlite3.Error) as error:
            what = f"{path} is not what it should be after its migration, and {saved} could not be put back into it"
            raise MigrationFailed(what=what, cure="end all that uses it, and run llm-metrics restore") from error


def _failure(path: Path, why: str, saved: Path | None) -> MigrationFailed:
    what = f"{path} could not be brought to schema version {CURRENT_SCHEMA_VERSION} ({why})"
    kept = f"; the backup {saved} stays" if saved else ""
    return MigrationFailed(what=what, cure=f"nothing was changed, so go on with the release before{kept}")


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
    """Plan what a start would do to the database at `path`; writes nothing, and creates nothing.

    Raises:
        DatabaseRefused: what stands there cannot be migrated.
    """
    version, rows, size = 0, 0, 0
    other_views: tuple[str, ...] = ()
    exists = path.is_file() and path.stat().st_size > 0
    if exists:
        try:
            with closing(database.connect(path, timeout=database.READER_SECONDS, mode="ro")) as connection:
                version = identity.version_of(connection, path)
                if version > 0:
                    other_views = tuple(views.differences(connection, version))
                    (rows,) = connection.execute(_COUNT).fetchone()
        except sqlite3.Error as error:
            raise identity.refusal(path, error) from error
        size = sqlite.size_with_wal(path)
    else:
        try:
            check_regular(path, follow=True)
        except OSError as error:
            what = f"{path} cannot be used ({error.strerror})"
            raise DatabaseRefused(what=what, cure="give the path of a database") from error
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
    size = sqlite.size_with_wal(path)
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
