"""The live page while the database's file is replaced, restored, removed and made again: it shows what stands there."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id, timestamp_of
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.sqlite import side_files
from tests.support import live_page
from tests.support.live_page import Browser, Server
from tests.support.waiting import eventually

MODELS = "SELECT model, count(*) AS calls FROM completion_requests GROUP BY model"


def insert(path: Path, model: str, count: int = 3) -> None:
    with closing(open_writer(path)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests([_call(model) for _ in range(count)])


def _call(model: str) -> CompletionRequest:
    now = time.time_ns()
    return CompletionRequest(
        timestamp=timestamp_of(now),
        success=True,
        status_code=200,
        response_time_ms=100,
        model=model,
        origin="test",
        is_streaming=False,
        event_id=new_event_id(now // 1_000_000),
    )


def database(path: Path, model: str, count: int = 3) -> Path:
    Recorder(path).open()
    insert(path, model, count)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return database(tmp_path / "what? 50%#.db", "old")


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    with live_page.serving(path) as server:
        assert shown(server) == {"old": 3}
        yield server


def shown(server: Server) -> dict[str, int]:
    return {row["model"]: row["calls"] for row in server.ask(MODELS)["rows"]}


def remove(path: Path) -> None:
    for file in (path, *side_files(path)):
        file.unlink(missing_ok=True)


def test_another_file_that_was_moved_to_the_path_is_shown(server: Server, path: Path, tmp_path: Path) -> None:
    other = database(tmp_path / "other.db", "new", 5)
    other.replace(path)
    assert shown(server) == {"new": 5}
    insert(path, "newer")
    assert shown(server) == {"new": 5, "newer": 3}


def test_a_restored_database_is_shown(server: Server, path: Path, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    saved = backup.create(path, backup_dir=tmp_path / "saved")
    insert(path, "later")
    assert shown(server) == {"old": 3, "later": 3}
    restore(path, saved, backup_dir=tmp_path / "saved")
    assert shown(server) == {"old": 3}
    insert(path, "after")
    assert shown(server) == {"old": 3, "after": 3}


def test_a_database_that_was_removed_and_made_again_is_shown(server: Server, path: Path) -> None:
    remove(path)
    assert not server.ask(MODELS)["ok"]
    database(path, "new")
    assert shown(server) == {"new": 3}


def test_a_pipe_in_the_place_of_one_of_its_files_holds_nothing_up(server: Server, path: Path) -> None:
    remove(path)
    os.mkfifo(path)
    assert not server.ask(MODELS)["ok"]
    path.unlink()
    database(path, "new")
    os.mkfifo(f"{path}-journal")
    assert "is no regular file" in server.ask(MODELS)["error"]
    Path(f"{path}-journal").unlink()
    assert shown(server) == {"new": 3}


def test_an_open_page_goes_on_by_itself_after_the_file_was_gone(
    server: Server, path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with live_page.browsing(server.address, tmp_path_factory.mktemp("chromium")) as browser:
        assert browser.look()["calls"].figure == "3"
        remove(path)
        browser.driver.get(server.address)
        assert not browser.driver.find_elements("class name", "dashboard-card")
        database(path, "new", 7)
        assert eventually(lambda: _calls_of(browser) == "7", within=live_page.PATIENCE)


def _calls_of(browser: Browser) -> str:
    if not browser.driver.find_elements("id", "card-calls"):
        return ""
    return browser.cards()["calls"].figure
