"""Versions of SQLite with defects that matter to a database that several processes write."""

import sqlite3
from typing import Final, NamedTuple

type Version = tuple[int, int, int]


class Defect(NamedTuple):
    """A defect: in which versions it is, and what it does."""

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


def defects_of(version: Version) -> list[str]:
    """What is known to be wrong with a version of SQLite."""
    return [defect.what for defect in DEFECTS if defect.since <= version < defect.fixed]


def defects() -> list[str]:
    """What is known to be wrong with the SQLite of this Python."""
    return defects_of(sqlite3.sqlite_version_info)
