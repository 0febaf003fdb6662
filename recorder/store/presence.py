"""Signs of life of recorders, and of who has the database open: locks (flock) that end with their process.

A recorder that has the database open shares the lock of the spill folder. Whoever has to move the file itself away
takes it alone, so that no commit can go into a file that is on its way out.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.store.files import open_regular
from llm_metrics_proxy.recorder.store.spill_folder import COPY, DAMAGE, RESERVE

_ALIVE = ".alive"
_DRAFT = ".new"
_RETRY_SECONDS = 0.02  # flock gives no signal without blocking for ever
_SHARE_SECONDS = 0.5  # a recorder that ends has the lock alone for a moment, to remove the folder


class Presence:
    """One recorder's signs of life; for one thread."""

    def __init__(self, database: Path, process: str) -> None:
        """Nothing is made yet; no two recorders ever have the same `process`."""
        self._database = database
        self._folder = spill_folder.folder_of(database)
        self._mark = self._folder / f"{process}{_ALIVE}"
        self._alive: int | None = None
        self._sharing: int | None = None

    def follow(self, database: Path) -> None:
        """The database has another path, since its folder was moved."""
        self._database = database
        self._folder = spill_folder.folder_of(database)
        self._mark = self._folder / self._mark.name

    def appear(self) -> None:
        """Be counted as living from now on.

        Raises:
            DatabaseRefused, OSError: the folder cannot be used.
        """
        draft = self._mark.with_suffix(_DRAFT)
        while self._alive is None:
            spill_folder.make(self._database)
            with suppress(FileNotFoundError):  # the folder was removed by one that ended just now
                self._alive = spill_folder.create(draft)
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        draft.rename(self._mark)  # not before it is locked, or others take it for a dead one's
        _sweep(self._folder, living(self._database))

    def appear_again(self) -> None:
        """As `appear`, in a folder that was removed and made anew.

        Raises:
            DatabaseRefused, OSError: the folder cannot be used.
        """
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None
        self.appear()

    def share(self) -> None:
        """Tell that the database is about to be opened.

        Raises:
            DatabaseRefused: somebody is replacing it, or the folder cannot be used.
        """
        self.unshare()
        ends = time.monotonic() + _SHARE_SECONDS
        while (descriptor := _lock(self._database, fcntl.LOCK_SH)) is None:
            if time.monotonic() >= ends:
                raise DatabaseRefused(what=f"{self._database} is being replaced", cure="wait until that is done")
            time.sleep(_RETRY_SECONDS)
        self._sharing = descriptor

    def unshare(self) -> None:
        """The database is closed."""
        descriptor, self._sharing = self._sharing, None
        if descriptor is not None:
            os.close(descriptor)

    def vanish(self) -> None:
        """Leave nothing behind; the folder stays if there is anything in it."""
        self.unshare()
        if self._alive is not None:
            self._mark.unlink(missing_ok=True)
            os.close(self._alive)
            self._alive = None
        if (descriptor := _lock(self._database, fcntl.LOCK_EX)) is not None:
            _leave(self._database, descriptor)


@contextmanager
def sharing(database: Path) -> Iterator[None]:
    """Have the database open without being a recorder: nobody moves the file away while this lasts.

    Raises:
        DatabaseRefused: somebody is replacing it, or the folder cannot be used.
    """
    guard = Presence(database, "")
    guard.share()
    try:
        yield
    finally:
        guard.unshare()


def check(database: Path) -> None:
    """See that the spill folder can be used, and leave none behind that is empty.

    Raises:
        DatabaseRefused: it cannot.
    """
    if (descriptor := _lock(database, fcntl.LOCK_EX)) is not None:  # or a recorder uses it just now
        _leave(database, descriptor)


def living(database: Path) -> set[str]:
    """The names of the recorders that live; marks of those that were killed are removed."""
    found = set()
    for mark in spill_folder.folder_of(database).glob(f"*{_ALIVE}"):
        with suppress(OSError):
            descriptor = open_regular(mark)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                mark.unlink()
            except BlockingIOError:
                found.add(mark.name.removesuffix(_ALIVE))
            finally:
                os.close(descriptor)
    return found


@contextmanager
def alone(database: Path, work: str) -> Iterator[bool]:
    """Be the only one of the database's recorders at some `work` while this lasts; gives False if another is at it.

    Raises:
        OSError, DatabaseRefused: the spill folder cannot be used.
    """
    while True:
        file = spill_folder.make(database) / f"{work}.lock"
        try:
            descriptor = open_regular(file, os.O_CREAT | os.O_RDWR)
            break
        except FileNotFoundError:
            continue  # the folder was removed by one that ended just now
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        # It is removed after use, so that the folder can be: the lock on a file without a name is nobody's.
        yield os.fstat(descriptor).st_nlink > 0
        with suppress(OSError):
            file.unlink()
            file.parent.rmdir()  # unless a recorder lives, or events wait
    finally:
        os.close(descriptor)


@contextmanager
def exclusively(database: Path, seconds: float) -> Iterator[None]:
    """Nobody has the database open while this lasts; recorders spill their events meanwhile.

    Raises:
        DatabaseRefused: a recorder still had it open after `seconds`, or the spill folder cannot be used.
    """
    ends = time.monotonic() + seconds
    while (descriptor := _lock(database, fcntl.LOCK_EX)) is None:
        if time.monotonic() >= ends:
            names = ", ".join(sorted(living(database))) or "a recorder"
            raise DatabaseRefused(what=f"{database} is open in {names}", cure="stop that proxy, and try again")
        time.sleep(_RETRY_SECONDS)
    try:
        yield
    finally:
        _leave(database, descriptor)


def _lock(database: Path, how: int) -> int | None:
    """A descriptor of the folder with the lock on it; None if others have it."""
    while True:
        folder = spill_folder.make(database)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # removed by one that ended just now
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(descriptor)
            what = f"{folder} cannot be locked ({error.strerror})"
            raise DatabaseRefused(what=what, cure="put the database on a local disk") from error
        os.close(descriptor)  # the folder was removed and perhaps made anew: that lock is nobody's


def _sweep(folder: Path, alive: set[str]) -> None:
    """Remove what recorders that were killed have left, but for their events."""
    for end in (RESERVE, DAMAGE, COPY, f"{COPY}-wal", f"{COPY}-shm"):
        for file in folder.glob(f"*{end}"):
            if file.name.removesuffix(end) not in alive:
                file.unlink(missing_ok=True)


def _leave(database: Path, descriptor: int) -> None:
    """Give the exclusive lock back, and remove the folder if there is nothing in it."""
    with suppress(OSError):
        spill_folder.folder_of(database).rmdir()
    os.close(descriptor)
