"""What stands beside a database and should not stay there: found by name and `os.stat` alone, nothing is opened."""

import glob
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import rejected, spill

STALE_SECONDS: Final = 3600.0  # a backup that is being made is younger

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LOOK_AND_REMOVE = "look at what is in it, then remove it"


class Finding(msgspec.Struct, frozen=True):
    """What is the matter, and what to do about it; neither ends with a full stop."""

    what: str
    cure: str


def beside(path: Path) -> Iterator[Finding]:
    """The findings about the files of the database at `path`, which need not be there itself.

    Raises:
        OSError: a folder cannot be read.
    """
    yield from _orphaned_wal(path)
    yield from _open_to_others(path)
    yield from _spilled(path)
    name = glob.escape(path.name)
    for found in sorted(path.parent.glob(f"{name}*.salvaged*")):
        yield Finding(f"{found.name} holds rows of a database that was removed", "read them in with llm-metrics import")
    for found in sorted(path.parent.glob("corrupt-*/")):
        yield Finding(f"{found.name} holds a database that was moved away since it was damaged", _LOOK_AND_REMOVE)
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
    kept_aside = [*spill.files(aside), *sorted(aside.glob("*.damaged")), aside / rejected.FILE_NAME]
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
        size = sum(file.stat().st_size for file in waiting)
        what = f"{len(waiting)} files with events ({size:,} bytes) wait in {folder} for the database"
        yield Finding(what, "start the proxy, or wait if it runs: it writes them as soon as the database takes them")
    for damaged in sorted(folder.glob("*.damaged")):
        yield Finding(f"{damaged} has lines that cannot be read; the others are in the database", _LOOK_AND_REMOVE)
    refused = folder / rejected.FILE_NAME
    if refused.exists():
        yield Finding(f"{refused} holds events that no row could be made of, and why", _LOOK_AND_REMOVE)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")
