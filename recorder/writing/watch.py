"""Did something other than SQLite write into the database's files? Asked before each transaction, and at idle.

SQLite changes the database file only when it moves frames of the WAL into it, and leaves word of that in the WAL's
index. A file that changed without such word was written by another program: found before the next commit, wherever in
the file it was. If another process moved frames since the last look, such a change cannot be told from theirs; then
only the header and the size are looked at. A changed WAL is read through, here when nothing was committed since the
last look, and always before its frames are moved.

The last commits are in the WAL alone until they are moved. So that damage to it costs little, that is done every few
seconds, and never before a look.
"""

import os
import random
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.store.database import Files
from llm_metrics_proxy.recorder.writing.raw_files import HEADER_BYTES, MAGIC, Index, RawFiles

CHECKPOINT_SECONDS: Final = 3.0
_CHECKPOINT_FRAMES = 1_000
_SAMPLE = 16  # pages
_RANDOM = random.Random()  # noqa: S311 - nothing secret
_TRIES = 3  # to see files and index at one moment, while others commit

type Stamp = tuple[int, int]  # size, and the time of the last write in nanoseconds


class _State(NamedTuple):
    database: Stamp
    wal: Stamp
    shm_bytes: int
    shared: Index | None  # as -shm has it


class Finding(NamedTuple):
    """The end of a sentence that begins with the path; `in_wal`: the database file itself is untouched."""

    what: str
    in_wal: bool = False
    in_index: bool = False


class Watch:
    """The watch over the files of one open connection; for the recorder's thread."""

    def __init__(self, path: Path, files: Files, process: str) -> None:
        """Take the files as they are now for good ones."""
        self._path = path
        self._process = process
        self._raw = RawFiles(files)
        self._seen = self._state()
        self._moved_at = 0.0  # what an earlier process left is moved at once
        self.header = self._raw.header()  # as SQLite left it last; None if others have written there meanwhile

    def follow(self, path: Path) -> None:
        """The files have another path now."""
        self._path = path

    def look(self) -> Finding | None:
        """Say what another program did to the files since the last look, if anything.

        Raises:
            OSError: they cannot be looked at.
        """
        before, now = self._seen, self._state()
        if now.shm_bytes < before.shm_bytes:
            # Who touches the part that was cut off is killed by SIGBUS. As zeros it is made anew by SQLite.
            os.truncate(f"{self._path}-shm", before.shm_bytes)
            return Finding("-shm was cut off by another program", in_index=True)
        found = self._in_database(before, now) or self._in_wal(before, now)
        if found is None and now.shared is not None:
            if now.database != before.database:
                self.header = self._raw.header()
            self._seen = now
        return found

    def committed(self) -> None:
        """Our own commit was the last thing that happened."""
        now = self._state()
        if now.shared is not None and now.database == self._seen.database:
            self._seen = now

    def is_due(self) -> bool:
        """True if frames should be moved into the database now."""
        index = self._seen.shared
        if index is None:  # it is not to be had on this system
            return time.monotonic() - self._moved_at >= CHECKPOINT_SECONDS
        if not index.waiting:
            return False
        return index.frames >= _CHECKPOINT_FRAMES or time.monotonic() - self._moved_at >= CHECKPOINT_SECONDS

    def move(self, connection: sqlite3.Connection) -> Finding | None:
        """Move what the WAL has into the database, unless it is not what SQLite wrote; after a look.

        Raises:
            sqlite3.Error, OSError: it could not be done.
        """
        before = self._seen
        index = before.shared
        if index is not None and index.waiting and not self._is_whole(index):
            return _WAL_WRITTEN
        expected = self._expected(index) if index is not None and index.waiting else {}
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._moved_at = time.monotonic()
        self._seen = now = self._state()
        self.header = self._raw.header()
        if index is None or now.shared != index._replace(backfilled=index.frames, attempted=index.frames):
            return None  # others have written meanwhile, or a reader needs the WAL
        # It takes a tenth of a second on a slow disk. What others write meanwhile cannot be told by the times.
        if now.wal != before.wal and not self._is_whole(index):
            return _WAL_WRITTEN
        if any(self._raw.page(number, index) != page for number, page in expected.items()):
            self.header = None
            return _WRITTEN
        return None

    def _expected(self, index: Index) -> dict[int, bytes | None]:
        """Pages of the database as they have to be after the move: all that the WAL has, and some of the others."""
        frames = self._raw.frames(index)
        pages = {number: self._raw.in_wal(at, index) for number, at in frames.items() if number <= index.pages}
        some = _RANDOM.choices(range(1, index.pages + 1), k=_SAMPLE)
        return pages | {number: self._raw.page(number, index) for number in some if number not in frames}

    def has_same_header(self) -> bool:
        """True if size and header of the database file are still those that SQLite left."""
        return self._seen.database[0] == _stamp(self._path)[0] and self._raw.header() == self.header

    def _in_database(self, before: _State, now: _State) -> Finding | None:
        size, header = now.database[0], self._raw.header()
        if size == 0:
            return Finding(" was emptied by another program")
        if header is not None and (len(header) < HEADER_BYTES or not header.startswith(MAGIC)):
            return _WRITTEN
        if now.database == before.database or now.shared is None or before.shared is None:
            return None
        one, two = before.shared, now.shared
        # Whoever opens the database with no index there makes it anew from the WAL, which sets `attempted`.
        nobody_moved = one.salts == two.salts and one.attempted == two.attempted and one.is_settled
        is_short = two.is_settled and not two.waiting and two.frames and size != two.pages * two.page_size
        if nobody_moved or is_short:
            return _CUT if size < before.database[0] else _WRITTEN
        return None

    def _in_wal(self, before: _State, now: _State) -> Finding | None:
        index = now.shared
        if index is None or not index.waiting:
            return None  # nothing in it is needed
        if not self._raw.wal_fits(index):
            return _WAL_WRITTEN
        nobody_committed = before.shared is not None and before.shared[:6] == index[:6]
        if nobody_committed and now.wal != before.wal and not self._is_whole(index):
            return _WAL_WRITTEN
        return None

    def _is_whole(self, index: Index) -> bool:
        folder = spill_folder.folder_of(self._path)
        with suppress(OSError, sqlite3.Error):  # no room for the copy: nothing can be said
            if not self._raw.wal_is_whole(index, folder / f"{self._process}{spill_folder.COPY}"):
                # Frames of a WAL that another process has begun anew meanwhile are not those of the index.
                now = self._raw.index()
                return now is None or now.salts != index.salts
        return True

    def _state(self) -> _State:
        """Files and index of one moment; without the index if others are too busy for that."""
        for _ in range(_TRIES):
            index = self._raw.index()
            state = _State(
                _stamp(self._path), _stamp(Path(f"{self._path}-wal")), _stamp(Path(f"{self._path}-shm"))[0], index
            )
            if index is None or self._raw.index() == index:
                return state
        return state._replace(shared=None)


_WRITTEN = Finding(" was overwritten by another program")
_CUT = Finding(" was cut off by another program")
_WAL_WRITTEN = Finding("-wal was overwritten by another program", in_wal=True)


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
