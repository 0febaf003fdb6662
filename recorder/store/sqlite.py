"""Facts about SQLite: the meaning of its codes, the files it makes beside a database, its versions with defects."""

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.errors import DatabaseRefused

SIDE_FILES: Final = ("-wal", "-shm", "-journal")  # what it adds to a database's name

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

type Version = tuple[int, int, int]


class Defect(NamedTuple):
    """A defect that matters to a database which several processes write: in which versions it is, and what it does."""

    since: Version
    fixed: Version
    what: str


DEFECTS: Final = (
    Defect(
        (3, 7, 0),
        (3, 51, 3),
        "two processes that write or checkpoint at the same moment may, very rarely, damage the WAL (fixed in 3.51.3)",
    ),
)


def code_of(error: BaseException) -> int | None:
    """SQLite's primary result code, such as SQLITE_IOERR for all errors of the disk; None for errors of others."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_damage(error: BaseException) -> bool:
    """The file is no database, or a damaged one. One such answer proves nothing: a dying disk gives it as well.

    A damaged virtual table, such as a user's full-text index, is no damage of the database.
    """
    return code_of(error) in _DAMAGED and not is_about_a_virtual_table(error)


def is_about_a_virtual_table(error: BaseException) -> bool:
    """A virtual table's own contents are damaged, or contradict the table that it stands for."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT_VTAB


def is_lock(error: BaseException) -> bool:
    """Another connection has the lock: the same may succeed later."""
    return code_of(error) in LOCKED


def check_written(cursor: sqlite3.Cursor, table: str, rows: int) -> sqlite3.Cursor:
    """See that SQLite wrote the rows, and return the cursor: a trigger can ignore them without an error.

    Raises:
        DatabaseRefused: a trigger did; the caller has to roll back.
    """
    if cursor.rowcount != rows:
        raise DatabaseRefused(what=f"A trigger of {table} ignores rows", cure="drop it")
    return cursor


def side_files(path: Path) -> list[Path]:
    """The files that may stand beside the database at `path`, and belong to it."""
    return [Path(f"{path}{end}") for end in SIDE_FILES]


def size_with_wal(path: Path) -> int:
    """The bytes of the database and its WAL: a copy takes so many at most, since all that is in the WAL may be new."""
    return sum(file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists())


def defects_of(version: Version) -> list[str]:
    """The defects of a version of SQLite."""
    return [defect.what for defect in DEFECTS if defect.since <= version < defect.fixed]


def defects() -> list[str]:
    """The defects of this Python's SQLite."""
    return defects_of(sqlite3.sqlite_version_info)
