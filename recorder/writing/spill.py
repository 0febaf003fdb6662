"""Events that the database refuses, kept in files of this process until it takes them.

A file is lines of `crc32 json`, in the order in which the events came. `write` returns when the lines are on the disk,
and leaves no half of them if it cannot. The lock on a file says that its process still writes it; replay.py reads the
files that nobody locks: those of this process once it has let go of them, and those of processes that were killed.
"""

import errno
import fcntl
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.events import CompletionRequest, Unrecognised
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.store.account import Gap, Tally
from llm_metrics_proxy.recorder.store.files import sync_folder

type Record = CompletionRequest | Unrecognised | Gap | Tally

FILE_BYTES: Final = 64 << 20  # of one file
TOTAL_BYTES: Final = 1 << 30  # of all files in the folder

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(CompletionRequest | Unrecognised | Gap | Tally)
_BEFORE_PAYLOAD = 9  # eight digits and a space


class Spill:
    """Writes one process's files; for one thread."""

    def __init__(self, database: Path, process: str) -> None:
        """Nothing is written yet."""
        self._database = database
        self._process = process
        self._number = 0
        self._path = database
        self._descriptor: int | None = None
        self._size = 0

    def write(self, lines: bytes) -> None:
        """Keep the lines; they are durable when this returns.

        Raises:
            OSError, DatabaseRefused: none of them is kept: the disk refuses, or the folder is full (ENOSPC).
        """
        if waiting_bytes(spill_folder.folder_of(self._database)) + len(lines) > TOTAL_BYTES:
            raise OSError(errno.ENOSPC, "the spill folder is full")
        if self._size + len(lines) > FILE_BYTES:
            self.let_go()
        descriptor = self._descriptor if self._descriptor is not None else self._open()
        try:
            write_all(descriptor, lines)
            os.fsync(descriptor)
            if os.fstat(descriptor).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "the spill file was removed")
        except OSError:
            # After an error of fsync nobody knows what is on the disk, so this file is not written any more.
            with suppress(OSError):
                os.ftruncate(descriptor, self._size)
            self.let_go()
            raise
        self._size += len(lines)

    def let_go(self) -> None:
        """Close the present file, so that it can be replayed; the next record goes into a new one."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            if self._size == 0:
                self._path.unlink(missing_ok=True)
            os.close(descriptor)
        self._size = 0

    def _open(self) -> int:
        folder = spill_folder.make(self._database)
        self._number += 1
        self._path = folder / f"{self._process}-{self._number}.jsonl"
        self._descriptor = spill_folder.create(self._path)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        sync_folder(folder)
        return self._descriptor


def files(folder: Path) -> list[Path]:
    """The files with events in the folder, oldest first as far as their names tell."""
    return sorted(folder.glob("*-*-*-[0-9]*.jsonl"), key=lambda file: (len(file.name), file.name))


def waiting_bytes(folder: Path) -> int:
    """The size of all these files."""
    total = 0
    for file in files(folder):
        with suppress(FileNotFoundError):  # another process has just replayed it
            total += file.stat().st_size
    return total


def line_of(record: Record) -> bytes:
    """The record as a line.

    Raises:
        UnicodeEncodeError, OverflowError, TypeError: it holds what JSON cannot.
    """
    payload = _encode(record)
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def record_of(line: bytes) -> Record | None:
    """The record in a line; None if it is not whole."""
    payload = line[_BEFORE_PAYLOAD:-1]
    if line != b"%08x %s\n" % (zlib.crc32(payload), payload):
        return None
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError:
        return None


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: the system may take a part of it at a time."""
    while data:
        data = data[os.write(descriptor, data) :]
