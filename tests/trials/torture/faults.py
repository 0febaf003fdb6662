"""Faults from outside of the recorder: locks, full disks, and hands that move files."""

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.trials.torture.case import Blocked, Broken

SUFFIXES: Final = ("", "-wal", "-shm")
_PATIENCE = 30.0
_PAGE = 4096


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


def _write_text(path: Path) -> None:
    path.write_text("This is no database.\n" * 30)


def _copy_foreign_over(path: Path) -> None:
    other = path.with_name("foreign.db")
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.execute("INSERT INTO notes SELECT hex(randomblob(400)) FROM pragma_function_list")
    path.write_bytes(other.read_bytes())


def _copy_older_over(path: Path) -> None:
    """A backup, made a second ago by another program."""
    copy = path.with_name("older.db")
    with closing(sqlite3.connect(path, timeout=_PATIENCE)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
    time.sleep(1)
    path.write_bytes(copy.read_bytes())


def _write_at(file: Path, at: int, data: bytes) -> None:
    with file.open("r+b") as stream:  # the process of the trial has no connection whose locks this could drop
        stream.seek(at)
        stream.write(data)


def _overwrite_page(path: Path) -> None:
    pages = path.stat().st_size // _PAGE
    _write_at(path, random.randrange(pages) * _PAGE, random.randbytes(_PAGE))


def _overwrite_few_bytes(path: Path) -> None:
    _write_at(path, random.randrange(path.stat().st_size - 64), random.randbytes(64))


def _halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _overwrite_wal(path: Path) -> None:
    wal = path.with_name(f"{path.name}-wal")
    size = wal.stat().st_size
    for _ in range(20):
        _write_at(wal, random.randrange(max(size - 200, 1)), random.randbytes(200))


DAMAGES: Final[dict[str, Callable[[Path], None]]] = {
    "emptied": lambda path: os.truncate(path, 0),
    "first 4096 bytes random": lambda path: _write_at(path, 0, random.randbytes(_PAGE)),
    "first 100 bytes zeroed": lambda path: _write_at(path, 0, bytes(100)),
    "another of ours copied over": _copy_over,
    "an older copy of itself copied over": _copy_older_over,
    "another program's database copied over": _copy_foreign_over,
    "a text copied over": _write_text,
    "one page random": _overwrite_page,
    "64 bytes random": _overwrite_few_bytes,
    "cut to half": _halve,
}
WAL_DAMAGES: Final[dict[str, Callable[[Path], None]]] = {
    "-wal emptied": lambda path: os.truncate(f"{path}-wal", 0),
    "-wal overwritten in 20 places": _overwrite_wal,
    "header of -wal zeroed": lambda path: _write_at(path.with_name(f"{path.name}-wal"), 0, bytes(32)),
    "-shm emptied": lambda path: os.truncate(f"{path}-shm", 0),
}


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


def _away(folder: Path) -> Path:
    return folder.rename(folder.with_name("away"))


def _and_back(folder: Path) -> None:
    away = _away(folder)
    time.sleep(1)
    away.rename(folder)


def _replace_folder_by_ours(folder: Path) -> None:
    _away(folder)
    folder.mkdir()
    database_of_ours(folder / "metrics.db")


def _replace_folder_by_file(folder: Path) -> None:
    _away(folder)
    folder.write_text("This is no folder.\n")


def _replace_folder_by_link(folder: Path) -> None:
    _away(folder)
    folder.with_name("elsewhere").mkdir()
    folder.symlink_to("elsewhere")


def _remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # it is made anew meanwhile, as rm -rf would find it


def _remove_folder_and_make_it_anew(folder: Path) -> None:
    _remove_folder(folder)
    folder.mkdir(exist_ok=True)


FOLDER_MOVES: Final[dict[str, Callable[[Path], object]]] = {
    "moved, and back": _and_back,
    "moved for good": _away,
    "replaced by one with another database": _replace_folder_by_ours,
    "replaced by a file": _replace_folder_by_file,
    "replaced by a link elsewhere": _replace_folder_by_link,
    "removed": _remove_folder,
    "removed and made anew": _remove_folder_and_make_it_anew,
}


def program(name: str) -> str:
    """Return the path of a program of the system.

    Raises:
        Blocked: nowhere.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise Blocked(f"there is no {name} on this machine")
    return found
