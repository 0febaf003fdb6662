"""Databases whose rows all have one model, so that a mix of two is seen, for tests of restores."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.recorder.store.database import open_writer
from tests.support.database import ask

ROWS = 3_000  # enough for several steps of a copy
INSERT = """
    INSERT INTO completion_requests
        (timestamp, success, status_code, response_time_ms, is_streaming, model, origin, event_id)
    VALUES ('2026-03-01T12:00:00.000Z', 1, 200, 1, 0, ?, hex(randomblob(400)), ?)
"""


def fill(path: Path, model: str, count: int = ROWS) -> None:
    """Make all rows `model`, in one transaction."""
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM completion_requests")
        connection.executemany(INSERT, [(model, f"{model}-{number}") for number in range(count)])
        connection.execute("COMMIT")


def models(path: Path) -> dict[object, object]:
    return dict(ask(path, "SELECT model, count(*) FROM completion_requests GROUP BY model"))


def violations(path: Path) -> list[str]:
    """What shows that the database at `path` is a mix: empty if it is wholly one of those that `fill` made."""
    try:
        found = models(path)
        answers = [answer for (answer,) in ask(path, "PRAGMA integrity_check")]
    except sqlite3.Error as error:
        return [str(error)]
    problems = [str(answer) for answer in answers if answer != "ok"]
    if len(found) != 1 or set(found.values()) != {ROWS}:
        problems.append(f"rows of {found}")
    return problems


def beside(path: Path) -> set[str]:
    """What stands beside the database that a restore might have left."""
    return {one.name for one in path.parent.iterdir()} - {path.name, f"{path.name}-wal", f"{path.name}-shm", "saved"}


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)
