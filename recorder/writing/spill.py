"""Events that the database does not take: spill files keep them until it does, and at the very last nothing can.

A file is lines of `crc32 json`, in the order in which the events came. `SpillFiles.write` returns when the lines are
on the disk, and leaves no half of them if it cannot. The lock on a file says that its process still writes it;
replay.py reads the files that nobody locks: those of this process once it has let go of them, and those of processes
that were killed, also of older releases: the end of a file's name says which version of the format it has. Every event
that ends here is counted, and nothing that `Spill` does raises.
"""

import errno
import fcntl
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.errors import DatabaseRefused, RecorderError
from llm_metrics_proxy.recorder.events import CompletionRequest, Event, Limits, Tunnelled, Unrecognised
from llm_metrics_proxy.recorder.reporting import Reporter
from llm_metrics_proxy.recorder.store import spill_folder, timestamps
from llm_metrics_proxy.recorder.store.account import Counters, Gap, Tally
from llm_metrics_proxy.recorder.store.files import sync_folder, write_all
from llm_metrics_proxy.recorder.store.spill_folder import Reserve
from llm_metrics_proxy.recorder.writing import rejected
from llm_metrics_proxy.recorder.writing.rejected import Rejected

type Record = Event | Gap | Tally

VERSION: Final = 2  # of the files; release 0.1.0 had no version in their names, which is read as 1
FILE_BYTES: Final = 64 << 20  # of one file
TOTAL_BYTES: Final = 1 << 30  # of all files in the folder
HELD: Final = ".held"  # at the end of a file's name, see held.py

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(
    CompletionRequest | Unrecognised | Tunnelled | Limits | Gap | Tally
)
_BEFORE_PAYLOAD = 9  # eight digits and a space
# Names of version 1 end with `.jsonl`. Release 0.1.0 looks for just that, so it leaves later files alone.
_NAME = re.compile(r".+-[0-9]+\.jsonl(?:\.v(?P<version>[0-9]{1,9}))?(?:\.held)?")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NOT_JSON: Final = (UnicodeError, OverflowError, TypeError, ValueError)


class Spill:
    """One recorder's place for events in the spill folder; for one thread."""

    def __init__(
        self, database: Path, process: str, numbers: Iterator[int], counters: Counters, reporter: Reporter
    ) -> None:
        """Nothing is written yet, and no disk space reserved; `numbers` tell the process's files apart."""
        self._folder = folder = spill_folder.folder_of(database)
        self._process = process
        self._counters = counters
        self._reporter = reporter
        self._files = SpillFiles(database, process, numbers)
        self._reserve = Reserve(folder, process)

    def follow(self, database: Path) -> None:
        """The database has another path, since its folder was moved."""
        self._folder = spill_folder.folder_of(database)
        self._files.follow(database)
        self._reserve = Reserve(self._folder, self._process)

    def note_damage(self, error: RecorderError) -> None:
        """Tell `llm-metrics status` and `check` what is wrong with the database, until it takes events again."""
        with suppress(OSError):
            spill_folder.note_damage(self._folder, self._process, spill_folder.Damage(error.what, error.cure))

    def ready(self) -> None:
        """The database takes events: reserve space for the next time, and let go of the files for their replay."""
        self._files.let_go()
        self._reserve.take()
        with suppress(OSError):
            spill_folder.forget_damage(self._folder, self._process)

    def keep(self, events: Sequence[Event]) -> bool:
        """Keep the events in a spill file; False if it does not take them, and nothing has happened."""
        lines, bad = [], []
        for event in events:
            try:
                lines.append(line_of(event))
            except NOT_JSON as error:
                bad.append(Rejected(event, error))
        if lines and not self._write(b"".join(lines)):
            return False
        self._counters.add("spilled", len(lines))
        self.reject(bad)
        return True

    def keep_again(self, count: int, lines: bytes) -> bool:
        """Keep the lines of `count` events that the database had, as `keep`: they count once, so not as spilled."""
        if count and not self._write(lines):
            return False
        if count:
            self._counters.add("kept_again", count)
        return True

    def reject(self, events: Sequence[Rejected]) -> None:
        """Keep events that no row could be made of."""
        if not events:
            return
        try:
            rejected.keep(self._folder, events)
            self._counters.add("rejected", len(events))
        except OSError:
            for _ in events:  # their own timestamps may be what is wrong with them
                self._counters.dropped("rejected", timestamps.now())
        sentence = (
            "%(events)d events hold values that cannot be stored; what could be kept of them is in %(file)s: "
            "please report what it says."
        )
        file = self._folder / rejected.FILE_NAME
        self._reporter.warn("events_rejected", sentence, events=len(events), file=file)

    def close(self) -> None:
        """Keep the counters and gaps that the database does not have, and leave nothing that is not needed."""
        if self._counters.unsaved():
            values, gaps = self._counters.take()
            records: list[Record] = [*gaps, Tally(self._process, values)]
            self._write(b"".join(map(line_of, records)))
        self._files.let_go()
        self._reserve.give_up()

    def _write(self, lines: bytes) -> bool:
        try:
            try:
                self._files.write(lines)
            except OSError as error:
                if error.errno not in _NO_SPACE or not self._reserve.give_up():
                    raise
                self._files.write(lines)
        except (OSError, DatabaseRefused) as error:
            sentence = (
                "Neither the database nor %(folder)s takes events (%(error)s): make one of them writable. What waits "
                "stays in memory, and when that is full new events are dropped."
            )
            why = (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".")
            self._reporter.warn("spill_failed", sentence, folder=self._folder, error=why)
            return False
        return True


class SpillFiles:
    """Writes one process's files; for one thread."""

    def __init__(self, database: Path, process: str, numbers: Iterator[int], *, ending: str = "") -> None:
        """Nothing is written yet. `numbers` tell the process's files apart; their names end with `ending`."""
        self._database = database
        self._process = process
        self._numbers = numbers
        self._ending = ending
        self._path = database
        self._descriptor: int | None = None
        self._size = 0

    def follow(self, database: Path) -> None:
        """The database has another path, since its folder was moved."""
        self._database = database
        if self._descriptor is not None:
            self._path = spill_folder.folder_of(database) / self._path.name

    def write(self, lines: bytes) -> None:
        """Keep the lines; they are durable when this returns.

        Raises:
            OSError, DatabaseRefused: none of them is kept: the disk refuses, or the folder is full (ENOSPC).
        """
        if total_bytes(spill_folder.folder_of(self._database)) + len(lines) > TOTAL_BYTES:
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
        self._path = folder / f"{self._process}-{next(self._numbers)}.jsonl.v{VERSION}{self._ending}"
        self._descriptor = spill_folder.create(self._path)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        sync_folder(folder)
        return self._descriptor


def files(folder: Path) -> list[Path]:
    """The files with events in the folder that this release can replay, oldest first as far as their names tell."""
    readable = [file for file, version in _found(folder).items() if version <= VERSION and file.suffix != HELD]
    return sorted(readable, key=lambda file: (len(file.name), file.name))


def held_files(folder: Path) -> list[Path]:
    """The files with calls that the database keeps out, see held.py."""
    return sorted(file for file, version in _found(folder).items() if version <= VERSION and file.suffix == HELD)


def newer_files(folder: Path) -> list[Path]:
    """The files with events that a newer release wrote: only that can read them, so they stay as they are."""
    return sorted(file for file, version in _found(folder).items() if version > VERSION)


def waiting_bytes(folder: Path) -> int:
    """The size of all files that wait for the database, those with calls that it keeps out too."""
    return bytes_of(files(folder)) + bytes_of(held_files(folder))


def bytes_of(found: Iterable[Path]) -> int:
    """The size of these files; one that is gone was replayed just now."""
    return sum(map(_size_of, found))


def total_bytes(folder: Path) -> int:
    """The size of all files with events in the folder."""
    return bytes_of(_found(folder))


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _found(folder: Path) -> dict[Path, int]:
    """All files with events, and the version of each."""
    names = ((file, _NAME.fullmatch(file.name)) for file in folder.glob("*-*-*-[0-9]*.jsonl*"))
    return {file: int(name["version"] or 1) for file, name in names if name}


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
