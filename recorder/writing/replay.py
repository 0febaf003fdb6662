"""Bring spilled events back to the database: files of this process that it has let go of, and those of the dead.

A file is read in pieces. In the transaction that writes a piece the database also notes how many lines of the file it
has (`recorder_events`, kind "replay"), so that nothing counts twice when a process is killed between that commit and
the removal of the file. Damaged lines are counted as dropped, and their file is kept as `.damaged`.
"""

import fcntl
import logging
import os
import time
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from llm_metrics_proxy.recorder.reporting import Reporter, say
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.account import Counters
from llm_metrics_proxy.recorder.store.files import open_regular, sync_folder
from llm_metrics_proxy.recorder.writing import spill
from llm_metrics_proxy.recorder.writing.spill import Record

PIECE_LINES = 200
_LOOK_SECONDS = 30.0  # between two looks for what others left behind
_LONGEST_LINE = 1 << 20
_NEWER = (
    "A newer release wrote %(files)d spill files in %(folder)s, the first is %(first)s: they are left alone. "
    "Start that release to have their events written."
)


class Piece(NamedTuple):
    """Consecutive lines of a file; None stands for a damaged one."""

    file: str
    first: int  # of its lines, counted from 0
    records: list[Record | None]

    @property
    def end(self) -> int:
        """Of its lines, the first that comes after them."""
        return self.first + len(self.records)

    @property
    def process(self) -> str:
        """The recorder that wrote them."""
        return self.file.rpartition("-")[0]


class Replay:
    """Takes one file after the other; for one thread."""

    def __init__(self, folder: Path, counters: Counters, reporter: Reporter) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._counters = counters
        self._reporter = reporter
        self._look_at = 0.0
        self._reader: BufferedReader | None = None
        self._path = folder
        self._lines = 0
        self._damaged = False
        self._newer: set[str] = set()  # names of files of a newer release that the log has named
        self._piece: Piece | None = None

    @property
    def busy(self) -> bool:
        """True if there is more to replay at once."""
        return self._reader is not None

    def follow(self, folder: Path) -> None:
        """The folder has another path, since the database's was moved."""
        self._folder = folder
        if self._reader is not None:
            self._path = folder / self._path.name

    def look_now(self) -> None:
        """There may be a new file."""
        self._look_at = 0.0

    def piece(self) -> Piece | None:
        """The next lines, the same ones until `done`; None if there are none.

        Raises:
            OSError: a file cannot be read.
        """
        if self._piece is None and (self._reader is not None or self._begin()):
            self._piece = self._read()
        return self._piece

    def done(self) -> None:
        """The database has the piece."""
        piece, self._piece = self._piece, None
        if piece is None:
            return
        self._lines += len(piece.records)
        for _ in range(piece.records.count(None)):
            self._counters.dropped("spill_damaged", timestamps.now())
        if len(piece.records) < PIECE_LINES:
            self._finish()

    def stop(self) -> None:
        """Leave the file that is being read to others."""
        self._piece = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _begin(self) -> bool:
        """Open a file that nobody holds."""
        if time.monotonic() < self._look_at:
            return False
        self._say_of_newer()
        for path in spill.files(self._folder):
            try:
                reader = os.fdopen(open_regular(path), "rb")
            except FileNotFoundError:
                continue
            except OSError as error:  # of another user, for example: it must not keep the other files from being read
                sentence = "%(path)s cannot be read (%(error)s): make it readable, its events are written then."
                about, why = path.name, error.strerror
                self._reporter.warn("spill_file_unreadable", sentence, about=about, path=path, error=why)
                continue
            try:
                fcntl.flock(reader, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(reader.fileno()).st_nlink:  # or another process has just replayed it
                    self._reader, self._path, self._lines, self._damaged = reader, path, 0, False
                    return True
            except BlockingIOError:
                pass
            reader.close()
        self._look_at = time.monotonic() + _LOOK_SECONDS
        return False

    def _say_of_newer(self) -> None:
        """Say once of each file of a newer release that it waits for that."""
        newer = {file.name for file in spill.newer_files(self._folder)} - self._newer
        if newer:
            self._newer |= newer
            say(logging.WARNING, "spill_files_newer", _NEWER, files=len(newer), folder=self._folder, first=min(newer))

    def _read(self) -> Piece:
        records: list[Record | None] = []
        while (
            self._reader is not None and len(records) < PIECE_LINES and (line := self._reader.readline(_LONGEST_LINE))
        ):
            record = spill.record_of(line)
            records.append(record)
            # A last line without its end was never acknowledged: its process was killed in the middle.
            self._damaged |= record is None and line.endswith(b"\n")
        return Piece(self._path.name, self._lines, records)

    def _finish(self) -> None:
        if self._damaged:
            self._path.rename(self._path.with_name(f"{self._path.name.rpartition('.jsonl')[0]}.damaged"))
        else:
            self._path.unlink(missing_ok=True)
        sync_folder(self._folder)
        self.stop()
