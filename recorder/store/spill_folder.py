"""`metrics.db.spill/` beside the database: what its recorders keep outside of it.

    <process>.alive           locked (flock) for as long as that recorder lives
    <process>.reserve         1 MiB of disk, given up when there is no more, so that events can still be written here
    <process>-<n>.jsonl.v2    events that wait for the database, see spill.py; locked while they are being written
    <process>-<n>.jsonl.v2.held  calls that something in the database keeps out, see held.py
    <process>-<n>.damaged     such a file, kept because lines of it could not be read
    <process>.damage          what that recorder found wrong with the database, for as long as it does not write it
    <process>.check...        a copy of the WAL, for the moment in which SQLite looks whether it is whole
    rejected.jsonl            events that no row could be made of, and why
    maintenance.lock          held by the recorder that makes a backup, or deletes what is too old
    upkeep.lock               held by the recorder that has calls priced and added up
    salvage.lock              held by the recorder that saves a database which was moved or removed

The folder is there while a recorder runs, and afterwards for as long as there is something in it. Its own lock says
whether somebody has the database open, see presence.py.
"""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store.files import open_regular, write_all

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LONGEST_DAMAGE = 20_000  # bytes
_CURE = "remove what stands there, or set metrics_db to another path"

RESERVE: Final = ".reserve"
DAMAGE: Final = ".damage"
COPY: Final = ".check"
RESERVED_BYTES: Final = 1 << 20  # about a thousand events


def folder_of(database: Path) -> Path:
    """The folder of the database at `database`, whether or not it is there."""
    return database.with_name(f"{database.name}.spill")


def make(database: Path) -> Path:
    """Make the folder 0700, or what is there already, and return it.

    Raises:
        DatabaseRefused: it cannot be made, or is a symbolic link, no folder, or another user's.
    """
    folder = folder_of(database)
    status = None
    try:
        while status is None:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            with suppress(FileNotFoundError):  # removed by one that ended just now
                status = folder.lstat()
    except OSError as error:
        raise DatabaseRefused(what=f"{folder} cannot be used ({error.strerror})", cure=_CURE) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise DatabaseRefused(what=f"{folder} is a symbolic link or another user's folder", cure=_CURE)
    if stat.S_IMODE(status.st_mode) & _OTHERS:  # who can write there can forge calls
        with suppress(FileNotFoundError):  # removed by one that ended just now
            _make_private(folder)
    return folder


def _make_private(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def create(path: Path) -> int:
    """Create the file `path` in the folder 0600 and return a descriptor that appends.

    Raises:
        OSError: it is there already, or cannot be created.
    """
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND | os.O_WRONLY, 0o600)


class Damage(NamedTuple):
    """What a recorder found wrong with the database, and the cure, as of a RecorderError."""

    what: str
    cure: str


def note_damage(folder: Path, process: str, damage: Damage) -> None:
    """Leave word of what is wrong with the database.

    Raises:
        OSError: that could not be done.
    """
    descriptor = open_regular(folder / f"{process}{DAMAGE}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    try:
        write_all(descriptor, json.dumps(damage).encode())
    finally:
        os.close(descriptor)


def forget_damage(folder: Path, process: str = "*") -> None:
    """The database is good again, for one recorder or for all.

    Raises:
        OSError: that could not be done.
    """
    for file in folder.glob(f"{process}{DAMAGE}"):
        file.unlink(missing_ok=True)


def damage(folder: Path) -> list[Damage]:
    """What recorders found wrong with the database that they do not write for that reason."""
    found = set()
    for file in folder.glob(f"*{DAMAGE}"):
        with suppress(OSError, ValueError, TypeError):  # not one of ours
            descriptor = open_regular(file)
            try:
                found.add(Damage(*map(str, json.loads(os.read(descriptor, _LONGEST_DAMAGE)))))
            finally:
                os.close(descriptor)
    return sorted(found)


class Reserve:
    """One recorder's reserve, as a file in the spill folder."""

    def __init__(self, folder: Path, process: str) -> None:
        """Nothing is taken yet."""
        self._file = folder / f"{process}{RESERVE}"

    def take(self) -> None:
        """Take the space, unless it is held already or there is too little of it."""
        with suppress(OSError):  # there, or the disk is full
            descriptor = create(self._file)
            try:
                os.posix_fallocate(descriptor, 0, RESERVED_BYTES)
            except OSError:
                self._file.unlink()
            finally:
                os.close(descriptor)

    def give_up(self) -> bool:
        """Free the space; False if none was held."""
        try:
            self._file.unlink()
        except OSError:
            return False
        return True
