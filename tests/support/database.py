"""The database as another process sees it: what tests ask it, and what they do to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


def ask(path: Path, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query; nothing is committed."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, parameters).fetchall()


def execute(path: Path, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement, which is committed, and return its rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement, parameters).fetchall()


def rows(path: Path) -> int:
    """Return how many calls are recorded."""
    return int(ask(path, "SELECT count(*) FROM completion_requests")[0][0])


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the write lock, as a process that writes for a long time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
