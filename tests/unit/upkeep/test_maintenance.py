"""Once a day: one backup, however many recorders there are, and nothing that is older than the retention."""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.backup import backups
from llm_metrics_proxy.recorder.errors import BadDuration
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.spill_folder import folder_of, make
from llm_metrics_proxy.recorder.upkeep import maintenance
from llm_metrics_proxy.recorder.upkeep.maintenance import Maintenance
from tests.support.database import rows
from tests.support.waiting import wait_until

type MakeEvent = Callable[..., CompletionRequest]

DAY = timedelta(days=1)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    folder.mkdir()
    return folder


def looking_after(path: Path, saved: Path, *, retention: timedelta | None = None) -> Maintenance:
    make(path)
    return Maintenance(path, backup_dir=saved, backup_interval=DAY, retention=retention)


def made(path: Path, saved: Path) -> list[Path]:
    return [file.path for file in backups.found(path, saved)]


@pytest.fixture
def old_db(current_db: Path) -> Path:
    """A database that was made two days ago, as far as it knows."""
    with closing(sqlite3.connect(current_db)) as connection:
        connection.execute("UPDATE schema_version SET applied_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 days')")
        connection.commit()
    return current_db


def test_a_young_database_needs_no_backup_yet(current_db: Path, saved: Path) -> None:
    looking_after(current_db, saved).look()
    assert made(current_db, saved) == []


def test_a_database_gets_one_backup_a_day(old_db: Path, saved: Path) -> None:
    for _ in range(3):
        looking_after(old_db, saved).look()
    assert len(made(old_db, saved)) == 1


def test_the_next_backup_comes_when_the_newest_is_a_day_old(old_db: Path, saved: Path) -> None:
    older = backup.create(old_db, backup_dir=saved)
    yesterday = f"{old_db.name}.20260101_000000_000.backup"
    older.rename(saved / yesterday)
    Path(f"{older}.sha256").rename(saved / f"{yesterday}.sha256")
    looking_after(old_db, saved).look()
    assert len(made(old_db, saved)) == 2


def test_of_several_recorders_one_makes_the_backup(old_db: Path, saved: Path) -> None:
    together = threading.Barrier(4)

    def look() -> None:
        together.wait()
        looking_after(old_db, saved).look()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made(old_db, saved)) == 1
    assert not folder_of(old_db).exists()


@pytest.mark.usefixtures("nothing_is_young")
def test_old_backups_go_when_a_new_one_is_there(old_db: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(7):
        backup.create(old_db, backup_dir=saved)
    monkeypatch.setattr(Maintenance, "_is_due", lambda *_: True)
    looking_after(old_db, saved).look()
    assert len(made(old_db, saved)) == 5


def test_calls_older_than_the_retention_are_deleted(
    recorder: Recorder, db_path: Path, saved: Path, make_event: MakeEvent
) -> None:
    recorder.submit(make_event(timestamp="2020-01-01T00:00:00.000Z"))
    recorder.submit(make_event(timestamp=time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())))
    wait_until(lambda: rows(db_path) == 2)
    looking_after(db_path, saved).look()
    assert rows(db_path) == 2
    looking_after(db_path, saved, retention=timedelta(days=90)).look()
    assert rows(db_path) == 1


def test_a_backup_that_cannot_be_made_is_said_and_does_not_keep_the_rest_from_being_done(
    old_db: Path, tmp_path: Path, make_event: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(old_db)
    recorder.start()
    recorder.submit(make_event(timestamp="2020-01-01T00:00:00.000Z"))
    wait_until(lambda: rows(old_db) == 1)
    (tmp_path / "file").touch()
    looking_after(old_db, tmp_path / "file", retention=DAY).look()
    recorder.close()
    assert str(tmp_path / "file") in caplog.text
    assert rows(old_db) == 0


def test_a_running_recorder_looks_after_its_database(
    old_db: Path, saved: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "FIRST_LOOK", 0.05)
    recorder = Recorder(old_db, backup_dir=saved, retention="90d")
    recorder.open()
    recorder.start()
    recorder.submit(make_event(timestamp="2020-01-01T00:00:00.000Z"))
    recorder.submit(make_event(timestamp=time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())))
    wait_until(lambda: made(old_db, saved) != [])
    monkeypatch.setattr(maintenance, "NEXT_LOOK", 0.05)
    wait_until(lambda: recorder.counters().get("written") == 2)
    recorder.close()
    looking_after(old_db, saved, retention=timedelta(days=90)).look()
    assert rows(old_db) == 1


@pytest.mark.parametrize("text", ["90", "d", "-1d", "0d", "1.5h", "9" * 20 + "d", "1y", "½d"])
def test_what_is_no_length_of_time_ends_the_start(text: str, current_db: Path) -> None:
    with pytest.raises(BadDuration, match=r"metrics_retention is .*: write it like 90d or 12h\."):
        Recorder(current_db, retention=text).open()
