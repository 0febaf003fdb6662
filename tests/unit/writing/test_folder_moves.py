"""The folder of the database moves, vanishes, or is another one: nothing is lost, and nothing gets into the other."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.writing import write_loop
from tests.support.database import ask, rows
from tests.support.waiting import wait_until

type MakeEvent = Callable[..., CompletionRequest]


class Recording:
    """A recorder whose database has a folder of its own, and the calls that it was given."""

    def __init__(self, folder: Path, make_event: MakeEvent) -> None:
        folder.mkdir()
        self.folder, self.path = folder, folder / "metrics.db"
        self.ids: list[str] = []
        self._make_event = make_event
        self.recorder = Recorder(self.path, backup_dir=folder.parent)
        self.recorder.open()
        self.recorder.start()

    def submit(self, count: int = 30) -> None:
        for _ in range(count):
            event = self._make_event()
            assert self.recorder.submit(event)
            self.ids.append(event.event_id)

    def wait(self) -> None:
        wait_until(lambda: self.recorder.counters().get("written", 0) >= len(self.ids), seconds=10)

    def assert_all_are_in(self, path: Path) -> None:
        found = [str(event_id) for (event_id,) in ask(path, "SELECT event_id FROM completion_requests NOT INDEXED")]
        assert sorted(found) == sorted(self.ids)
        assert ask(path, "PRAGMA integrity_check") == [("ok",)]
        assert not any(name.startswith("dropped") for name in self.recorder.counters())


@pytest.fixture
def recording(tmp_path: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    monkeypatch.setattr(write_loop, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(write_loop, "_LONGEST_PAUSE", 0.5)
    monkeypatch.setattr(write_loop, "_IDLE_SECONDS", 0.1)
    one = Recording(tmp_path / "data", make_event)
    one.submit()
    one.wait()
    yield one
    one.recorder.close()


def another_database(folder: Path, recording: Recording) -> Path:
    """A folder with a database of ours in it, as of another proxy; returns the database."""
    folder.mkdir()
    other = Recorder(folder / "metrics.db", backup_dir=folder.parent)
    other.open()
    other.start()
    other.close()
    return folder / recording.path.name


def test_calls_go_into_the_folder_wherever_it_is_moved(
    recording: Recording, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two", "data"):
        recording.folder = recording.folder.rename(tmp_path / name)
        recording.submit()
        recording.wait()
        assert rows(recording.folder / "metrics.db") == len(recording.ids)
    moved = (
        f"The folder of {tmp_path}/data/metrics.db was moved while the proxy runs: calls go on into it, as {tmp_path}"
    )
    wait_until(lambda: moved in caplog.text)
    recording.recorder.close()
    recording.assert_all_are_in(tmp_path / "data" / "metrics.db")
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["metrics.db"]


@pytest.mark.parametrize("stands_there", ["nothing", "a file", "a folder", "a database", "a link elsewhere"])
def test_a_folder_that_never_comes_back_has_everything_and_what_stands_in_its_place_gets_nothing(
    stands_there: str, recording: Recording, tmp_path: Path
) -> None:
    away = recording.folder.rename(tmp_path / "away")
    before = {}
    if stands_there == "a file":
        recording.folder.touch()
    elif stands_there == "a folder":
        recording.folder.mkdir()
    elif stands_there == "a database":
        other = another_database(recording.folder, recording)
        before = {other: other.read_bytes()}
    elif stands_there == "a link elsewhere":
        (tmp_path / "elsewhere").mkdir()
        recording.folder.symlink_to("elsewhere")
    recording.submit()
    recording.wait()
    recording.recorder.close()
    recording.assert_all_are_in(away / "metrics.db")
    if recording.folder.is_dir():
        assert {file: file.read_bytes() for file in recording.folder.iterdir()} == before


def test_a_folder_that_is_reached_by_a_link_where_it_was_is_the_same_one(
    recording: Recording, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording.folder.rename(tmp_path / "elsewhere")
    recording.folder.symlink_to("elsewhere")
    recording.submit()
    recording.wait()
    recording.recorder.close()
    recording.assert_all_are_in(recording.path)
    assert "WARNING" not in caplog.text or "was moved" in caplog.text  # it was, for a moment


def test_a_folder_that_moves_while_nothing_is_written_and_the_end_comes_has_everything(
    recording: Recording, tmp_path: Path
) -> None:
    recording.submit()
    away = recording.folder.rename(tmp_path / "away")
    recording.recorder.close()
    recording.assert_all_are_in(away / "metrics.db")


def test_what_is_kept_aside_goes_with_the_folder_and_is_found_there_by_the_next_start(
    recording: Recording, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(recording.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        recording.submit()
        wait_until(lambda: recording.recorder.counters().get("spilled", 0) >= 30, seconds=10)
        away = recording.folder.rename(tmp_path / "away")
        recording.submit()
        wait_until(lambda: recording.recorder.counters().get("spilled", 0) >= 60, seconds=10)
        recording.recorder.close(1)
    assert not recording.folder.exists()
    after = Recorder(away / "metrics.db", backup_dir=tmp_path)
    after.open()
    after.start()
    wait_until(lambda: rows(away / "metrics.db") == len(recording.ids), seconds=10)
    after.close()
    recording.assert_all_are_in(away / "metrics.db")


@pytest.mark.parametrize("stands_there", ["nothing", "a new folder"])
def test_a_folder_that_is_removed_is_there_again_with_everything(
    stands_there: str, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(recording.folder)
    if stands_there == "a new folder":
        recording.folder.mkdir()
    recording.submit()
    wait_until(lambda: recording.path.exists() and rows(recording.path) == len(recording.ids), seconds=10)
    recording.recorder.close()
    recording.assert_all_are_in(recording.path)
    assert "was removed while the proxy runs" in caplog.text


def test_a_folder_that_is_removed_just_before_the_end_is_there_again_with_everything(recording: Recording) -> None:
    recording.submit()
    shutil.rmtree(recording.folder)
    recording.recorder.close()
    after = Recorder(recording.path, backup_dir=recording.folder.parent)
    after.open()
    after.start()
    wait_until(lambda: rows(recording.path) == len(recording.ids), seconds=10)
    after.close()
    recording.assert_all_are_in(recording.path)
