"""The bytes of a database's files as they are on the disk: SQLite's page cache, and its index of the WAL, hide them.

They are read through the descriptors that SQLite has of them. To open the files here, and to close them again, would
drop the locks that SQLite holds. The layouts are those of https://www.sqlite.org/fileformat2.html and
https://www.sqlite.org/walformat.html.
"""

import os
import sqlite3
import struct
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.store import database, spill_folder
from llm_metrics_proxy.recorder.store.database import Files, Inode
from llm_metrics_proxy.recorder.store.files import write_all

HEADER_BYTES: Final = 100  # of the database
MAGIC: Final = b"SQLite format 3\0"

_WAL_HEADER = 32
_FRAME_HEADER = 24
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_INDEX = struct.Struct("=III BBH II 2I 8s 8s")  # of the machine's own byte order, and twice at the beginning
_PAGE_NUMBER = struct.Struct(">I")  # at the beginning of a frame
_BACKFILLED_AT = 96
_ATTEMPTED_AT = 128
_INDEX_BYTES = 136
_PIECE = 1 << 20
_LONGEST_WAL = 16 << 20  # bytes that are read through: with a reader that keeps its snapshot it may be much longer
_DESCRIPTORS = Path("/dev/fd")
_TRIES = 2


class Index(NamedTuple):
    """The part of `-shm` that says how far the WAL is written, and how far it is moved into the database."""

    changes: int
    page_size: int
    frames: int
    pages: int  # of the database, with all in the WAL
    checksum: tuple[int, int]  # of the last frame
    salts: bytes
    backfilled: int  # frames
    attempted: int  # frames, while somebody moves them or was killed at it

    @property
    def is_settled(self) -> bool:
        """True if nobody is moving frames, or was killed at it."""
        return self.attempted == self.backfilled

    @property
    def waiting(self) -> int:
        """Frames that only the WAL has."""
        return self.frames - self.backfilled


class RawFiles:
    """The open files of one database, by their inodes."""

    def __init__(self, files: Files) -> None:
        """Where the system does not list descriptors, nothing can be read here."""
        self._inodes = files
        self._descriptors: dict[Inode, int] = {}

    def header(self) -> bytes | None:
        """The first bytes of the database file."""
        return self._read(self._inodes.database, HEADER_BYTES, 0)

    def index(self) -> Index | None:
        """The present state of the WAL; None if it cannot be read, or is just being written."""
        data = self._read(self._inodes.shm, _INDEX_BYTES, 0)
        return None if data is None else _index_of(data)

    def wal_fits(self, index: Index) -> bool:
        """True if header and last frame of the WAL are those that the index tells of."""
        header = self._read(self._inodes.wal, _WAL_HEADER, 0)
        size = index.page_size + _FRAME_HEADER
        last = self._read(self._inodes.wal, _FRAME_HEADER, _WAL_HEADER + (index.frames - 1) * size)
        if header is None or last is None:
            return True  # nothing can be said
        if len(header) < _WAL_HEADER or len(last) < _FRAME_HEADER:
            return False
        magic, _, page_size = struct.unpack_from(">III", header)
        is_ours = magic in _WAL_MAGIC and page_size == index.page_size and header[16:24] == index.salts
        return is_ours and last[8:16] == index.salts and struct.unpack(">2I", last[16:24]) == index.checksum

    def frames(self, index: Index) -> dict[int, int]:
        """The pages that the WAL has, and where in it the content of the newest frame of each begins."""
        size = index.page_size + _FRAME_HEADER
        found = {}
        for at in range(_WAL_HEADER, _WAL_HEADER + index.frames * size, size):
            if (header := self._read(self._inodes.wal, _PAGE_NUMBER.size, at)) and len(header) == _PAGE_NUMBER.size:
                found[_PAGE_NUMBER.unpack(header)[0]] = at + _FRAME_HEADER
        return found

    def in_wal(self, at: int, index: Index) -> bytes | None:
        """The content of a frame."""
        return self._read(self._inodes.wal, index.page_size, at)

    def page(self, number: int, index: Index) -> bytes | None:
        """A page of the database file, counted from 1."""
        return self._read(self._inodes.database, index.page_size, (number - 1) * index.page_size)

    def wal_is_whole(self, index: Index, copy: Path) -> bool:
        """Have SQLite itself check every frame of the WAL, in a copy of it; some 5 ms for 4 MB, and no lock.

        Raises:
            OSError, sqlite3.Error: the copy cannot be made.
        """
        size = _WAL_HEADER + index.frames * (index.page_size + _FRAME_HEADER)
        if self._read(self._inodes.wal, 1, 0) is None or size > _LONGEST_WAL:
            return True  # nothing can be said
        wal, shm = Path(f"{copy}-wal"), Path(f"{copy}-shm")
        for left in (copy, wal, shm):
            left.unlink(missing_ok=True)
        try:
            _write(copy, [bytes(index.page_size)])  # beside an empty file SQLite would delete the WAL
            _write(wal, (self._read(self._inodes.wal, min(_PIECE, size - at), at) for at in range(0, size, _PIECE)))
            with closing(database.connect(copy, timeout=0)) as connection:
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # noqa: FBT003 - positional only
                with suppress(sqlite3.DatabaseError):  # the file is none; the WAL has been read by then
                    connection.execute("SELECT 1 FROM sqlite_master")
                found = _index_of(shm.read_bytes()[:_INDEX_BYTES])
            return found is not None and found.frames >= index.frames
        finally:
            for left in (copy, wal, shm):
                left.unlink(missing_ok=True)

    def _read(self, inode: Inode | None, size: int, at: int) -> bytes | None:
        """Bytes of a file, fewer at its end; None if nobody in this process has it open."""
        for _ in range(_TRIES):
            descriptor = self._descriptors.get(inode) if inode else None
            # SQLite may close one of several at any moment, and its number be another file's: so before and after.
            if descriptor is not None and _inode_of(descriptor) == inode:
                with suppress(OSError):
                    data = os.pread(descriptor, size, at)
                    if _inode_of(descriptor) == inode:
                        return data
            self._find()
        return None

    def _find(self) -> None:
        self._descriptors = {}
        with suppress(OSError):
            for entry in _DESCRIPTORS.iterdir():
                with suppress(ValueError):
                    if (inode := _inode_of(int(entry.name))) in self._inodes and inode is not None:
                        self._descriptors[inode] = int(entry.name)


def _inode_of(descriptor: int) -> Inode | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _index_of(data: bytes) -> Index | None:
    if len(data) < _INDEX_BYTES or data[: _INDEX.size] != data[_INDEX.size : 2 * _INDEX.size]:
        return None
    _, _, changes, is_init, _, page_size, frames, pages, one, two, salts, _ = _INDEX.unpack_from(data)
    if not is_init:
        return None
    backfilled, attempted = (struct.unpack_from("=I", data, at)[0] for at in (_BACKFILLED_AT, _ATTEMPTED_AT))
    return Index(changes, page_size, frames, pages, (one, two), salts, backfilled, attempted)


def _write(path: Path, pieces: Iterable[bytes | None]) -> None:
    descriptor = spill_folder.create(path)
    try:
        for piece in pieces:
            write_all(descriptor, piece or b"")
    finally:
        os.close(descriptor)
