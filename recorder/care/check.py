"""Checks of a database and of the files beside it: findings, each with its cure.

It only reads, also while the proxy runs. To read everything takes about half a minute for each GB, so a check may be
given a time, and says what it had none for. Files beside the database are found by name and `os.stat` alone: none of
them is opened.
"""

import glob
import math
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.dao import impossible, phrase, repeated
from llm_metrics_proxy.recorder.errors import DatabaseRefused, RecorderError
from llm_metrics_proxy.recorder.figures import rollup_check
from llm_metrics_proxy.recorder.progress import at, doing
from llm_metrics_proxy.recorder.schema import table_backup, views
from llm_metrics_proxy.recorder.store import database, identity, spill_folder, sqlite
from llm_metrics_proxy.recorder.writing import rejected, spill

SECONDS: Final = 25.0  # of a check that nobody asked to be full
STALE_SECONDS: Final = 3600.0  # a backup that is being made is younger

_FOR_ROWS = 0.6  # of the time
_SLICE = 100_000  # calls, between two looks at the clock
_SLICE_BELOW = "SELECT id FROM completion_requests WHERE id <= ? ORDER BY id DESC LIMIT 1 OFFSET ?"
# Both in one would read the whole table.
_IDS = "SELECT (SELECT min(id) FROM completion_requests), (SELECT max(id) FROM completion_requests)"
_MANY = 2_000_000  # calls: to sort the events of more takes many seconds

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
            sum(CASE WHEN name IN (
                    'written', 'completed', 'duplicates', 'unrecognised', 'tunnelled', 'limits', 'spilled', 'rejected'
                )
                OR (name GLOB 'dropped_*' AND name <> 'dropped_spill_damaged') THEN value ELSE 0 END) AS became
        FROM recorder_counters GROUP BY process)
    WHERE became > came ORDER BY process
"""


class Checked(NamedTuple):
    """The findings, and the parts that there was no time for."""

    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...] = ()


def check(path: Path) -> tuple[Finding, ...]:
    """Everything that is found about the database at `path`, however long that takes.

    Raises:
        DatabaseRefused: it could not be checked: there is none, it is foreign, newer or locked, or cannot be read.
    """
    return look(path, None).findings


def look(path: Path, seconds: float | None) -> Checked:
    """Check the database at `path` for no longer than `seconds`, the newest calls first; None is as long as it takes.

    Raises:
        DatabaseRefused: as `check`.
    """
    unchecked: list[str] = []
    try:
        path = path.resolve()
        doing("the files beside it")
        found = list(beside(path))
        if found and (not path.is_file() or path.stat().st_size == 0):
            return Checked(tuple(found))
        database.check_is_there(path)
        found += _in_database(path, _Time(seconds), unchecked)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    except OSError as error:
        raise DatabaseRefused(what=f"{path} cannot be read ({error.strerror})", cure="give another path") from error
    return Checked(tuple(found), tuple(unchecked))


class _Time:
    """The time that a check has; its parts may use it up to a share."""

    def __init__(self, seconds: float | None) -> None:
        self.is_limited = seconds is not None
        self._began, self._seconds = time.monotonic(), math.inf if seconds is None else seconds

    def left(self, share: float = 1.0) -> float:
        return self._began + self._seconds * share - time.monotonic()


class _Pages:
    """The check of all pages, in a thread of its own: SQLite needs no interpreter for it, and cannot be stopped."""

    def __init__(self, path: Path, *, with_indexes: bool) -> None:
        self._path, self._check = path, "integrity_check" if with_indexes else "quick_check"
        self._answers: list[str] = []
        self._error: sqlite3.Error | RecorderError | None = None
        self._thread = threading.Thread(target=self._run, name="llm-metrics-pages", daemon=True)
        self._thread.start()

    def findings(self, seconds: float) -> list[Finding] | None:
        """What was found; None if that is not known after `seconds`."""
        self._thread.join(None if seconds == math.inf else max(seconds, 0.0))
        if self._thread.is_alive():
            return None
        if self._error is not None:
            raise self._error
        return [Finding(f"damaged: {answer}", _RESTORE) for answer in self._answers if answer != "ok"]

    def _run(self) -> None:
        try:
            with closing(database.connect(self._path, timeout=database.READER_SECONDS, mode="ro")) as connection:
                connection.text_factory = _text
                self._answers = [answer for (answer,) in connection.execute(f"PRAGMA {self._check}")]
        except (sqlite3.Error, RecorderError) as error:
            self._error = error


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _in_database(path: Path, limit: _Time, unchecked: list[str]) -> Iterator[Finding]:
    try:
        with closing(database.connect(path, timeout=database.READER_SECONDS, mode="ro")) as connection:
            connection.text_factory = _text
            connection.execute("BEGIN")  # all of it is of one moment
            doing("its schema")
            version = identity.claimed_version(connection, path)
            changes = [] if version == 0 else _changes(connection, version)
            yield from changes
            if version < CURRENT_SCHEMA_VERSION:
                what = f"it has schema version {version}, and this program writes {CURRENT_SCHEMA_VERSION}"
                yield Finding(what, "run llm-metrics migrate, or start the proxy")
            pages = _Pages(path, with_indexes=not limit.is_limited)
            if not changes and version == CURRENT_SCHEMA_VERSION:  # which has the columns that are asked about
                yield from _views(connection)
                yield from _own_tables(connection)
                yield from _rows(connection, limit, unchecked)
                yield from _roll_up(connection, limit, unchecked)
            doing("its pages")
            if (damage := pages.findings(limit.left())) is None:
                unchecked.append("its pages, but for those of the calls and the roll-up that were read")
            yield from damage or ()
    except sqlite3.Error as error:
        if not sqlite.is_damage(error):
            raise
        yield Finding(f"it is damaged ({error})", _RESTORE)


def _rows(connection: sqlite3.Connection, limit: _Time, unchecked: list[str]) -> Iterator[Finding]:
    """Look at calls from the newest to the oldest, then for events that are there twice."""
    cure = f"look at the rows with sqlite-utils; if pages are damaged, {_RESTORE}"
    lowest, newest = connection.execute(_IDS).fetchone()
    found: dict[str, tuple[int, int]] = {}
    doing("its calls")
    upto = newest
    while upto is not None and limit.left(_FOR_ROWS) > 0:
        (above,) = connection.execute(_SLICE_BELOW, (upto, _SLICE)).fetchone() or (lowest - 1,)
        for name, (count, first_id) in impossible(connection, above, upto).items():
            found[name] = (found.get(name, (0, 0))[0] + count, first_id)
        upto = above if above >= lowest else None
        at(newest - above, newest - lowest + 1)
    yield from (Finding(phrase(name, *one), cure) for name, one in found.items())
    if upto is not None:
        unchecked.append(f"the values of calls with an id up to {upto:,}")
    if limit.is_limited and connection.execute(_SLICE_BELOW, (newest, _MANY)).fetchone():
        unchecked.append("events that are there twice in spite of the index that forbids it")
        return
    doing("events that are there twice")
    yield from (Finding(problem, cure) for problem in repeated(connection))


def _roll_up(connection: sqlite3.Connection, limit: _Time, unchecked: list[str]) -> Iterator[Finding]:
    doing("its roll-up")
    for period, difference in rollup_check.compared(connection):
        if limit.left() <= 0:
            unchecked.append(f"the roll-up of {period} and before")
            return
        if difference:
            yield Finding(f"the roll-up of {period} differs from its {difference}", _RECOUNT)


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
