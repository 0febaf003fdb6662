"""Faults from outside of the recorder: locks, full disks, and hands that move files."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.trials.torture.case import Blocked, Broken

SUFFIXES: Final = ("", "-wal", "-shm")
_PATIENCE = 30.0


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """As another process that writes for a long time."""
    with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Not a byte is left on the disk of `folder` while this lasts; only ever for a small disk of one's own."""
    ballast = folder / "ballast"
    limit = 256 << 20
    if shutil.disk_usage(folder).total > limit:
        raise Broken(f"{folder} is no small disk")
    descriptor = os.open(ballast, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        for size in (1 << 16, 1 << 12, 1 << 9, 1):
            try:
                while True:
                    os.write(descriptor, b"b" * size)
            except OSError:
                continue
        yield
    finally:
        os.close(descriptor)
        ballast.unlink()


def database_of_ours(path: Path) -> Path:
    """A new, empty database of the present version at `path`."""
    Recorder(path, backup_dir=path.parent).open()
    return path


def _unlink(*suffixes: str) -> Callable[[Path], None]:
    def happen(path: Path) -> None:
        for suffix in suffixes:
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    return happen


def _rename(path: Path) -> None:
    path.rename(path.with_name("away.db"))


def _replace_by_ours(path: Path) -> None:
    database_of_ours(path.with_name("other.db")).replace(path)


def _replace_by_text(path: Path) -> None:
    other = path.with_name("other.txt")
    other.write_text("This is no database.\n" * 300)
    other.replace(path)


def _replace_by_nothing(path: Path) -> None:
    other = path.with_name("other.empty")
    other.touch()
    other.replace(path)


def _copy_over(path: Path) -> None:
    other = database_of_ours(path.with_name("other.db"))
    path.write_bytes(other.read_bytes())  # the same inode, as cp does


MOVES: Final[dict[str, Callable[[Path], None]]] = {
    "all three unlinked": _unlink(*SUFFIXES),
    "only the database unlinked": _unlink(""),
    "only -wal unlinked": _unlink("-wal"),
    "only -shm unlinked": _unlink("-shm"),
    "renamed away": _rename,
    "replaced by another of ours": _replace_by_ours,
    "replaced by a text file": _replace_by_text,
    "replaced by an empty file": _replace_by_nothing,
}
copy_over: Final = _copy_over


def program(name: str) -> str:
    """Return the path of a program of the system.

    Raises:
        Blocked: nowhere.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise Blocked(f"there is no {name} on this machine")
    return found
