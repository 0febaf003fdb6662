"""Isolation and the files and events that the storage tests share."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from migrations import APPLICATION_ID, NAMES, REGISTRY
from recorder.events import CompletionRequest, new_event_id
from recorder.worker import Recorder

type MakeEvent = Callable[..., CompletionRequest]


@pytest.fixture(autouse=True)
def _isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default locations are forbidden, and the home folder is the test's own."""
    monkeypatch.setenv("TESTING", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LLM_METRICS_DB", raising=False)


@pytest.fixture
def make_event() -> MakeEvent:
    """A valid event; keywords replace its fields."""

    def make(**fields: Any) -> CompletionRequest:  # noqa: ANN401 - some tests pass values of wrong types on purpose
        defaults: dict[str, Any] = {
            "timestamp": "2026-03-01T12:00:00.000Z",
            "success": True,
            "status_code": 200,
            "response_time_ms": 900,
            "model": "gpt-5",
            "origin": "billing",
            "is_streaming": False,
            "event_id": new_event_id(1_772_366_400_000),
        }
        return CompletionRequest(**defaults | fields)

    return make


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    """Where the test's database goes; nothing is there yet."""
    return tmp_path / "metrics.db"


@pytest.fixture
def current_db(db_path: Path) -> Path:
    """An empty database of the present version."""
    Recorder(db_path).open()
    return db_path


@pytest.fixture
def version_1(db_path: Path, tmp_path: Path) -> Path:
    """A database of version 1 with two rows, as the release of that version left it; backups may go to `saved`."""
    with closing(sqlite3.connect(db_path, isolation_level=None)) as connection:
        REGISTRY.apply(Database(connection, execute_plugins=False), stop_before=NAMES[1])
        connection.execute("INSERT INTO schema_version VALUES (1, '2026-01-01T00:00:00.000Z')")
        connection.execute("PRAGMA user_version=1")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.executemany(
            "INSERT INTO completion_requests (timestamp, success, status_code, response_time_ms, model, is_streaming) "
            "VALUES (?, 1, 200, 700, 'gpt-4', 0)",
            [("2026-01-01T00:00:00.000Z",), ("2026-01-02T00:00:00.000Z",)],
        )
    (tmp_path / "saved").mkdir()
    return db_path


@pytest.fixture
def recorder(db_path: Path) -> Iterator[Recorder]:
    """A recorder that runs on `db_path`."""
    running = Recorder(db_path)
    running.open()
    running.start()
    yield running
    running.close()
