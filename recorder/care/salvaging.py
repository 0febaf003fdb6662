"""What a damaged database can still give: read row by row after a restore, and added to what the backup held.

A page that cannot be read costs the rows on it, and those below it. Where the schema is damaged, without which SQLite
finds no table, a copy of the file gets another first page: it names our table alone, which begins on the same page as
in the backup.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.migrations import APPLICATION_ID
from llm_metrics_proxy.recorder.backup import backups
from llm_metrics_proxy.recorder.care import importing
from llm_metrics_proxy.recorder.care.importing import Imported

_PAGE_SIZE: Final = 4096
_PAGES_AT = slice(28, 32)  # in the first page: how many pages there are
_SMALLEST_ROW: Final = 40  # bytes
_PIECE: Final = 512  # rows that are read at once, halved where that fails
_LAST: Final = (
    "SELECT max(id) FROM completion_requests",
    "SELECT seq FROM sqlite_sequence WHERE name = 'completion_requests'",
)
_ROOTS: Final = "SELECT name, rootpage FROM sqlite_master WHERE name IN ('completion_requests', 'sqlite_sequence')"
_COLUMNS: Final = "SELECT name, pk FROM pragma_table_xinfo(?)"
_TABLE: Final = "INSERT INTO sqlite_master VALUES ('table', ?, ?, ?, ?)"
_ROWS: Final = "SELECT * FROM completion_requests NOT INDEXED WHERE id BETWEEN ? AND ? ORDER BY id"


def read_back(target: Path, damaged: Path, backup: Path, *, backup_dir: Path | None = None) -> Imported | None:
    """Add the calls that can be read in the file `damaged` to the database at `target`; None if none can be.

    `backup` is one of the same database.

    Raises:
        RecorderError: `target` cannot be used.
    """
    if not damaged.is_file() or not damaged.stat().st_size:
        return None
    for opened in (_as_it_is(damaged), _with_schema_of(backup, damaged)):
        with opened as reader:
            if reader is not None:
                last = _last_id(reader, damaged.stat().st_size // _SMALLEST_ROW)
                return importing.import_rows(reader, _readable(reader, last), damaged, target, backup_dir=backup_dir)
    return None


@contextmanager
def _as_it_is(file: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection to the file with its WAL, if SQLite finds our tables there."""
    try:
        with closing(importing.open_source(file)) as connection:
            yield connection if _has_calls(connection) else None
    except sqlite3.Error:
        yield None


@contextmanager
def _with_schema_of(backup: Path, file: Path) -> Iterator[sqlite3.Connection | None]:
    copy = file.with_name(f"{file.name}.readable")
    try:
        page = bytearray(_first_page(backup, copy))
        copy.unlink()
        shutil.copyfile(file, copy)
        page[_PAGES_AT] = (copy.stat().st_size // _PAGE_SIZE).to_bytes(4)
        with copy.open("r+b") as stream:
            stream.write(page)
        with _as_it_is(copy) as connection:
            yield connection
    finally:
        copy.unlink(missing_ok=True)


def _first_page(backup: Path, draft: Path) -> bytes:
    """The first page of a database that has only the tables that are read here, at the places where `backup` has them.

    Types are left out: they say how values are stored, not how they are read.
    """
    with closing(backups.connect(backup)) as source, closing(sqlite3.connect(draft, isolation_level=None)) as target:
        target.execute(f"PRAGMA page_size={_PAGE_SIZE}")
        target.execute(f"PRAGMA application_id={APPLICATION_ID}")
        target.execute("PRAGMA writable_schema=ON")
        for name, root in source.execute(_ROOTS).fetchall():
            columns = ", ".join(
                f'"{column}" INTEGER PRIMARY KEY' if is_key else f'"{column}"'
                for column, is_key in source.execute(_COLUMNS, (name,))
            )
            target.execute(_TABLE, (name, name, root, f"CREATE TABLE {name} ({columns})"))
    return draft.read_bytes()[:_PAGE_SIZE]


def _has_calls(connection: sqlite3.Connection) -> bool:
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        connection.execute("SELECT event_id FROM completion_requests LIMIT 0")
    except sqlite3.Error:
        return False
    return bool(application_id == APPLICATION_ID)


def _last_id(connection: sqlite3.Connection, otherwise: int) -> int:
    found = []
    for question in _LAST:
        with suppress(sqlite3.Error, TypeError):
            found += [int(number) for (number,) in connection.execute(question) if number is not None]
    return max(found, default=otherwise)


def _readable(connection: sqlite3.Connection, last: int) -> Iterator[list[sqlite3.Row]]:
    for begin in range(1, last + 1, _PIECE):
        ranges = [(begin, min(begin + _PIECE - 1, last))]
        while ranges:
            first, end = ranges.pop()
            try:
                if rows := connection.execute(_ROWS, (first, end)).fetchall():
                    yield rows
            except sqlite3.DatabaseError:
                if first < end:
                    middle = (first + end) // 2
                    ranges += [(middle + 1, end), (first, middle)]
