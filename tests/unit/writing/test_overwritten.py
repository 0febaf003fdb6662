"""Another program writes into the files of a running recorder: found, told, and no call of the last minute is lost."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.care import check, status
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import spill, watch, write_loop
from llm_metrics_proxy.recorder.writing.raw_files import Index, RawFiles
from tests.support.database import ask, rows
from tests.support.waiting import wait_until
from tests.trials.torture.faults import DAMAGES, WAL_DAMAGES

type MakeEvent = Callable[..., CompletionRequest]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_loop, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(write_loop, "_LONGEST_PAUSE", 0.5)
    monkeypatch.setattr(write_loop, "_IDLE_SECONDS", 0.1)


class Calls:
    """Submits calls, and knows their ids."""

    def __init__(self, recorder: Recorder, make_event: MakeEvent) -> None:
        self.ids: list[str] = []
        self._recorder, self._make_event = recorder, make_event

    def submit(self, count: int = 40) -> None:
        for _ in range(count):
            event = self._make_event()
            assert self._recorder.submit(event)
            self.ids.append(event.event_id)

    def wait(self) -> None:
        """All are in the database, or kept aside."""
        counters = self._recorder.counters
        wait_until(lambda: counters().get("written", 0) + counters().get("spilled", 0) >= len(self.ids), seconds=20)

    def assert_all_are_in(self, path: Path) -> None:
        found = [str(event_id) for (event_id,) in ask(path, "SELECT event_id FROM completion_requests NOT INDEXED")]
        assert set(self.ids) <= set(found)
        assert len(found) == len(set(found))
        assert ask(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.fixture
def calls(recorder: Recorder, make_event: MakeEvent) -> Calls:
    some = Calls(recorder, make_event)
    some.submit()
    some.wait()
    return some


def is_found(recorder: Recorder) -> bool:
    return "kept_again" in recorder.counters()


def bring_together(path: Path, recorder: Recorder, copy: Path) -> None:
    """As the sentence says; then a next start."""
    recorder.close()
    if spill_folder.damage(spill_folder.folder_of(path)):
        if b"CREATE TABLE notes" in path.read_bytes():
            path.unlink()  # another program's, which a restore leaves alone
        restore(path, copy, backup_dir=path.parent)
    after = Recorder(path, backup_dir=path.parent)
    after.open()
    after.start()
    wait_until(lambda: not spill.files(spill_folder.folder_of(path)), seconds=20)
    after.close()


@pytest.mark.parametrize("how", [*DAMAGES, *(how for how in WAL_DAMAGES if "-wal" in how)])
def test_files_that_another_program_writes_into_cost_no_call_of_the_last_minute(
    how: str, recorder: Recorder, db_path: Path, calls: Calls
) -> None:
    copy = backup.create(db_path, backup_dir=db_path.parent)
    calls.submit()
    calls.wait()
    (DAMAGES | WAL_DAMAGES)[how](db_path)
    if how in DAMAGES:
        wait_until(lambda: is_found(recorder), seconds=5)  # while nothing happens, too
    calls.submit()
    calls.wait()
    bring_together(db_path, recorder, copy)
    calls.assert_all_are_in(db_path)


def test_damage_is_told_in_one_sentence_by_log_status_and_check_until_it_is_mended(
    recorder: Recorder, db_path: Path, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    copy = backup.create(db_path, backup_dir=db_path.parent)
    os.truncate(db_path, 0)
    sentence = f"{db_path} was emptied by another program and is damaged: run llm-metrics restore latest"
    wait_until(lambda: sentence in caplog.text, seconds=5)
    with pytest.raises(DatabaseRefused, match="was emptied by another program and is damaged: run llm-metrics restore"):
        status.collect(db_path)
    caplog.set_level("INFO", "recorder")
    assert any("was emptied by another program" in found.what for found in check.check(db_path))
    restore(db_path, copy, backup_dir=db_path.parent)  # the proxy runs on
    wait_until(lambda: "is being written again" in caplog.text, seconds=20)
    assert not status.collect(db_path).surroundings.damage
    calls.submit()
    recorder.close()
    calls.assert_all_are_in(db_path)


def test_nothing_is_written_into_a_damaged_file_on_the_way_out(
    recorder: Recorder, db_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CHECKPOINT_SECONDS", 1e9)
    monkeypatch.setattr(write_loop, "_IDLE_SECONDS", 1e9)  # only the end looks
    calls.submit()
    calls.wait()
    db_path.write_bytes(b"This is no database. " * 500)
    recorder.close()
    assert db_path.read_bytes() == b"This is no database. " * 500
    kept = [
        spill.record_of(line)
        for file in spill.files(spill_folder.folder_of(db_path))
        for line in file.read_bytes().splitlines(keepends=True)
    ]
    assert {one.event_id for one in kept if isinstance(one, CompletionRequest)} >= set(calls.ids)


@pytest.mark.parametrize("how", ["emptied", "a text copied over", "cut to half"])
def test_what_is_written_while_the_wal_is_moved_is_found_too(
    how: str, recorder: Recorder, db_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backup.create(db_path, backup_dir=db_path.parent)
    calls.submit()
    calls.wait()
    original, waits = RawFiles.frames, [how]

    def frames(raw: RawFiles, index: Index) -> dict[int, int]:
        found = original(raw, index)
        while waits:
            DAMAGES[waits.pop()](db_path)
        return found

    monkeypatch.setattr(RawFiles, "frames", frames)
    monkeypatch.setattr(watch, "CHECKPOINT_SECONDS", 0.0)
    calls.submit()
    wait_until(lambda: is_found(recorder), seconds=5)
    bring_together(db_path, recorder, copy)
    calls.assert_all_are_in(db_path)


@pytest.mark.parametrize("touched", ["mode", "time", "link"])
def test_a_file_that_is_only_touched_is_written_on(touched: str, db_path: Path, calls: Calls) -> None:
    if touched == "mode":
        db_path.chmod(0o640)
    elif touched == "time":
        os.utime(db_path)
    else:
        os.link(db_path, db_path.with_name("link.db"))
    calls.submit()
    wait_until(lambda: rows(db_path) == len(calls.ids), seconds=10)
    assert not spill_folder.damage(spill_folder.folder_of(db_path))


def test_recorders_that_share_a_file_do_not_take_each_others_checkpoints_for_damage(
    recorder: Recorder, db_path: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CHECKPOINT_SECONDS", 0.0)
    second = Recorder(db_path, backup_dir=db_path.parent)
    second.open()
    second.start()
    both = [Calls(recorder, make_event), Calls(second, make_event)]
    ends = time.monotonic() + 2
    while time.monotonic() < ends:
        for one in both:
            one.submit(5)
            time.sleep(0.01)
    second.close()
    recorder.close()
    assert not is_found(recorder)
    assert not is_found(second)
    for one in both:
        one.assert_all_are_in(db_path)


def test_an_emptied_shm_is_noticed_before_anybody_touches_it(
    recorder: Recorder, db_path: Path, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading the memory that was cut off would kill the process by SIGBUS."""
    for _ in range(3):
        time.sleep(0.5)  # until nothing is written any more, counters neither
        os.truncate(f"{db_path}-shm", 0)
        calls.submit()
        calls.wait()
    wait_until(lambda: "metrics.db-shm was cut off by another program" in caplog.text)
    recorder.close()
    calls.assert_all_are_in(db_path)
