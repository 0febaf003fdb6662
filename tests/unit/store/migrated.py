"""Files of released versions, the version of a file, and starters as processes, for tests of migrations."""

import sqlite3
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

from llm_metrics_proxy.migrations import APPLICATION_ID, NAMES
from tests.support.database import ask

VERSION_1_COLUMNS = """
id INTEGER, timestamp TEXT, success BOOLEAN, status_code INTEGER, response_time_ms INTEGER, model TEXT, origin TEXT,
is_streaming BOOLEAN, max_tokens INTEGER, temperature REAL, top_p REAL, message_count INTEGER, prompt_tokens INTEGER,
completion_tokens INTEGER, total_tokens INTEGER, finish_reason TEXT, time_to_first_token_ms INTEGER,
time_to_last_token_ms INTEGER, tokens_per_second REAL, error_type TEXT, error_message TEXT
"""
RELEASED = Path(__file__).parents[2] / "databases"


def words(text: str) -> list[str]:
    return [column.strip() for column in text.split(",")]


def columns(path: Path, table: str = "completion_requests") -> list[str]:
    return [f"{row[1]} {row[2]}" for row in ask(path, f"PRAGMA table_info({table})")]


def assert_version(path: Path, version: int) -> None:
    """All records of the version agree."""
    assert ask(path, "PRAGMA user_version") == [(version,)]
    assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert ask(path, "SELECT version FROM schema_version ORDER BY 1") == [(n,) for n in range(1, version + 1)]
    assert ask(path, "SELECT name FROM _sqlite_migrations ORDER BY id") == [(name,) for name in NAMES[:version]]


def finish(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def released(name: str, path: Path) -> Path:
    """The database of a release, as tests/databases/ keeps it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((RELEASED / f"{name}.sql").read_text())
    return path
