"""Checks of a database and of the files beside it: findings, each with its cure.

It only reads, also while the proxy runs. Everything is read, so it takes about half a minute for each GB. Files beside
the database are found by name and `os.stat` alone: none of them is opened.
"""

import glob
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.figures import rollup_check
from llm_metrics_proxy.recorder.schema import table_backup, views
from llm_metrics_proxy.recorder.store import database, identity, spill_folder, sqlite
from llm_metrics_proxy.recorder.writing import rejected, spill

STALE_SECONDS: Final = 3600.0  # a backup that is being made is younger

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LOOK_AND_REMOVE = "look at its content, then remove it"


class Finding(msgspec.Struct, frozen=True):
    """A problem and its cure; neither ends with a full stop."""

    what: str
    cure: str


def beside(path: Path) -> Iterator[Finding]:
    """The findings about the files of the database at `path`, which need not be there itself.

    Raises:
        OSError: a folder cannot be read.
    """
    for damage in spill_folder.damage(spill_folder.folder_of(path)):
        yield Finding(f"recorders keep events aside, since {damage.what}", damage.cure)
    yield from _orphaned_wal(path)
    yield from _open_to_others(path)
    yield from _spilled(path)
    name = glob.escape(path.name)
    for found in sorted(path.parent.glob(f"{name}*.salvaged*")):
        yield Finding(f"{found.name} holds rows of a database that was removed", "read them in with llm-metrics import")
    for found in sorted(path.parent.glob("corrupt-*/")):
        yield Finding(f"{found.name} holds files that were moved away since they were damaged", _LOOK_AND_REMOVE)
    for folder in _backup_folders(path):
        for found in sorted(folder.glob(f"{name}.*.backup.tmp")):
            if time.time() - found.stat().st_mtime > STALE_SECONDS:
                yield Finding(f"{found} is a backup that was never finished", "remove it")


def _orphaned_wal(path: Path) -> Iterator[Finding]:
    wal = _beside(path, "-wal")
    gone = not path.exists() or path.stat().st_size == 0
    if gone and wal.exists() and wal.stat().st_size > 0:
        yield Finding(f"{path} is gone while {wal.name} still holds rows of it", "put the database or a backup back")


def _open_to_others(path: Path) -> Iterator[Finding]:
    name, aside = glob.escape(path.name), spill_folder.folder_of(path)
    places = [folder for folder in _backup_folders(path) if folder.is_dir()]
    backups = [file for folder in places for file in sorted(folder.glob(f"{name}.*.backup"))]
    salvaged = sorted(path.parent.glob(f"{name}*.salvaged*"))
    kept_aside = [
        *spill.files(aside),
        *spill.newer_files(aside),
        *sorted(aside.glob("*.damaged")),
        aside / rejected.FILE_NAME,
    ]
    for file in (path, _beside(path, "-wal"), _beside(path, "-shm"), *backups, *salvaged, *kept_aside):
        if (mode := _mode(file)) & _OTHERS:
            yield Finding(f"{file} has mode {mode:04o}, so that other users have access", f"chmod 600 {file}")
    for folder in (*places, aside):
        if (mode := _mode(folder)) & _OTHERS:
            yield Finding(f"{folder} has mode {mode:04o}, so that other users have access", f"chmod 700 {folder}")
    if (mode := _mode(path.parent)) & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
        what = f"{path.parent} has mode {mode:04o}, so that every user can put other files in the place of ours"
        yield Finding(what, f"chmod o-w {path.parent}, or put the database into a folder of its own")


def _backup_folders(path: Path) -> tuple[Path, Path]:
    return path.parent / "backups", Path("~/.llm_metrics_proxy/backups").expanduser()


def _mode(path: Path) -> int:
    """The mode of what stands there; 0 if nothing does."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else 0


def _spilled(path: Path) -> Iterator[Finding]:
    folder = spill_folder.folder_of(path)
    if waiting := spill.files(folder):
        size = spill.bytes_of(waiting)
        what = f"{len(waiting)} files with events ({size:,} bytes) wait in {folder} for the database"
        yield Finding(what, "start the proxy, or wait if it runs: it writes them as soon as the database takes them")
    if held := spill.held_files(folder):
        what = f"{len(held)} files with calls ({spill.bytes_of(held):,} bytes) in {folder} are kept out of the database"
        yield Finding(what, "drop the trigger, index or CHECK on completion_requests that the proxy's log names")
    if newer := spill.newer_files(folder):
        size = spill.bytes_of(newer)
        what = (
            f"a newer release wrote {len(newer)} spill files in {folder} ({size:,} bytes), the first is {newer[0].name}"
        )
        yield Finding(what, "start that release to have their events written; this one leaves them alone")
    for damaged in sorted(folder.glob("*.damaged")):
        yield Finding(f"{damaged} has lines that cannot be read; the others are in the database", _LOOK_AND_REMOVE)
    refused = folder / rejected.FILE_NAME
    if refused.exists():
        yield Finding(f"{refused} holds events that no row could be made of, and why", _LOOK_AND_REMOVE)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


_RESTORE = "put a backup back with llm-metrics restore"
_RECOUNT = "if rows were changed or deleted by hand, run llm-metrics rollup --recount"
_REPAIR = "stop the proxy and run llm-metrics migrate --repair"
# What a recorder got, and what it says became of that. Lines of other processes' spill files that cannot be read are
# counted as dropped by the one that tried, which never got them.
_TOO_MANY = """
    SELECT process, came, became FROM (
        SELECT process,
            sum(CASE WHEN name IN ('received', 'replayed') THEN value ELSE 0 END) AS came,
            sum(CASE WHEN name IN ('written', 'duplicates', 'unrecognised', 'spilled', 'rejected')
                OR (name GLOB 'dropped_*' AND name <> 'dropped_spill_damaged') THEN value ELSE 0 END) AS became
        FROM recorder_counters GROUP BY process)
    WHERE became > came ORDER BY process
"""


def check(path: Path, *, progress: Callable[[str], None] | None = None) -> tuple[Finding, ...]:
    """Everything that was found about the database at `path`; `progress` is told what is looked at.

    Raises:
        DatabaseRefused: it could not be checked: there is none, it is foreign, newer or locked, or cannot be read.
    """
    say = progress or (lambda _what: None)
    try:
        path = path.resolve()
        say("the files beside it")
        found = list(beside(path))
        if found and (not path.is_file() or path.stat().st_size == 0):
            return tuple(found)
        database.check_is_there(path)
        found += _in_database(path, say)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    except OSError as error:
        raise DatabaseRefused(what=f"{path} cannot be read ({error.strerror})", cure="give another path") from error
    return tuple(found)


def _in_database(path: Path, say: Callable[[str], None]) -> Iterator[Finding]:
    try:
        with closing(database.connect(path, timeout=database.READER_SECONDS, mode="ro")) as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            connection.execute("BEGIN")  # all of it is of one moment
            say("its schema")
            version = identity.claimed_version(connection, path)
            changes = [] if version == 0 else _changes(connection, version)
            yield from changes
            if version < CURRENT_SCHEMA_VERSION:
                what = f"it has schema version {version}, and this program writes {CURRENT_SCHEMA_VERSION}"
                yield Finding(what, "run llm-metrics migrate, or start the proxy")
            say("its pages and rows")
            if changes or version < CURRENT_SCHEMA_VERSION:
                answers = [answer for (answer,) in connection.execute("PRAGMA quick_check") if answer != "ok"]
                yield from (Finding(f"damaged: {answer}", _RESTORE) for answer in answers)
                return  # the questions about rows need the columns of this version
            for problem in CompletionRequestsDAO(connection).validate_data_integrity():
                yield Finding(problem, f"look at the rows with sqlite-utils; if pages are damaged, {_RESTORE}")
            yield from _views(connection)
            yield from _own_tables(connection)
            say("its roll-up")
            yield from (Finding(what, _RECOUNT) for what in rollup_check.differences(connection))
    except sqlite3.Error as error:
        if not sqlite.is_damage(error):
            raise
        yield Finding(f"it is damaged ({error})", _RESTORE)


def _changes(connection: sqlite3.Connection, version: int) -> list[Finding]:
    return [
        Finding(f"another program changed it: {change}", _REPAIR) for change in identity.changes(connection, version)
    ]


def _views(connection: sqlite3.Connection) -> Iterator[Finding]:
    if found := views.differences(connection, CURRENT_SCHEMA_VERSION):
        what = f"{len(found)} views are not those of this release, the first: {found[0]}"
        yield Finding(what, "run llm-metrics migrate, or start the proxy")
    for name in views.without_place(connection):
        yield Finding(f"there is no view {name}, since a table or an index has that name", "give that another name")


def _own_tables(connection: sqlite3.Connection) -> Iterator[Finding]:
    for copy in table_backup.found(connection):
        yield Finding(f"table {copy.name} is a copy of {copy.table} that was left", "look at it, then drop it")
    for process, came, became in connection.execute(_TOO_MANY):
        what = (
            f"the counters of {process} do not add up: {came} events came, and {became} were written, kept or dropped"
        )
        yield Finding(what, "do not trust the counters of that process; the rows themselves are not touched by this")
