"""Links, pipes and folders that somebody planted where we write: nothing behind them changes, and nothing hangs."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.backup import backups, places
from llm_metrics_proxy.recorder.errors import DatabaseRefused, RecorderError
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import rejected
from llm_metrics_proxy.recorder.writing.rejected import Rejected
from tests.conftest import MakeEvent
from tests.support.database import rows
from tests.support.proxy import ROOT

SECONDS = 20
RECORD = """
import sys, pathlib
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
recorder = Recorder(pathlib.Path(sys.argv[1]))
recorder.open()
recorder.start()
recorder.submit(CompletionRequest(timestamp="2026-03-01T12:00:00.000Z", success=True, status_code=200,
    response_time_ms=1, is_streaming=False, event_id=new_event_id(1772366400000)))
recorder.close()
"""


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that is none of our business, which is as it was in the end."""
    file = tmp_path / "victim"
    file.write_text("precious\n")
    file.chmod(0o640)
    return file


def intact(victim: Path) -> bool:
    return victim.read_text() == "precious\n" and victim.stat().st_mode & 0o777 == 0o640


def record(path: Path | str, *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Record a call in a process of its own, which must not hang."""
    command = [sys.executable, "-c", RECORD, str(path)]
    environment = {name: os.environ[name] for name in ("HOME", "PATH", "TESTING")} | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda place, victim: place.symlink_to(victim),
    "a link to nothing": lambda place, victim: place.symlink_to(victim.with_name("nothing")),
    "a link to a folder": lambda place, victim: place.symlink_to(victim.parent),
    "a pipe": lambda place, _victim: os.mkfifo(place),
    "a folder": lambda place, _victim: place.mkdir(),
}


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".spill"])
def test_what_stands_in_the_place_of_a_file_of_the_database_is_not_written_through(
    suffix: str, planted: str, victim: Path, db_path: Path
) -> None:
    PLANTED[planted](Path(f"{db_path}{suffix}"), victim)
    before = set(victim.parent.iterdir())
    record(db_path)
    assert intact(victim)
    new = {path.name for path in set(victim.parent.iterdir()) - before}
    assert new <= {"metrics.db", "metrics.db-wal", "metrics.db-shm", "metrics.db.spill"}
    assert not (victim.parent / "nothing").exists()


@pytest.mark.parametrize("planted", [name for name in PLANTED if name != "a folder"])
def test_a_database_under_which_somebody_plants_a_wal_loses_no_call(
    planted: str, victim: Path, current_db: Path
) -> None:
    wal = Path(f"{current_db}-wal")
    PLANTED[planted](wal, victim)
    refused = record(current_db)
    assert intact(victim)
    with suppress(FileNotFoundError):
        wal.unlink()
    record(current_db)
    assert rows(current_db) == 1 + (refused.returncode == 0)


def test_a_path_that_is_swapped_for_a_link_all_the_time_never_leads_elsewhere(
    victim: Path, tmp_path: Path, db_path: Path
) -> None:
    """The race between looking and opening."""
    good, stop, swaps = tmp_path / "good.db", threading.Event(), 0
    Recorder(good).open()
    link, empty = tmp_path / "link", tmp_path / "empty"

    def swap() -> None:
        nonlocal swaps
        while not stop.is_set():
            link.symlink_to(victim)
            link.replace(db_path)
            empty.touch()
            empty.replace(db_path)
            with suppress(FileNotFoundError):
                db_path.unlink()
            swaps += 1

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(60):
            with suppress(RecorderError, OSError, sqlite3.Error):
                Recorder(db_path, lock_seconds=0.05).open()
    finally:
        stop.set()
        swapping.join()
    assert swaps > 60
    assert intact(victim)
    assert victim.stat().st_size == len("precious\n")


@pytest.mark.parametrize("path", ["b/../metrics.db", "link/../metrics.db", "../a/b/.././metrics.db"])
def test_two_dots_in_a_path_are_resolved_before_anything_is_made(path: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "b")
    assert record(path, cwd=tmp_path / "a").returncode == 0
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["b", "link", "metrics.db"]
    assert rows(tmp_path / "a" / "metrics.db") == 1


# --- backups


@pytest.mark.parametrize("planted", PLANTED)
def test_what_stands_in_the_default_place_for_backups_gets_none_unless_it_is_a_folder_of_ours(
    planted: str, victim: Path, current_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESTING")
    place = current_db.parent / "backups"
    PLANTED[planted](place, victim)
    made = backup.create(current_db)
    assert made.parent == (place if planted == "a folder" else Path("~/.llm_metrics_proxy/backups").expanduser())
    assert intact(victim)
    assert not list(victim.parent.glob("*.backup*"))


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("suffix", [".tmp", "", ".sha256"])
def test_a_name_that_a_backup_will_have_is_not_written_through(
    suffix: str, planted: str, victim: Path, current_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody knew the millisecond."""
    place = victim.parent / "saved"
    place.mkdir()
    reserve = places.reserve

    def known(folder: Path, name: str) -> tuple[Path, Path]:
        final, unfinished = reserve(folder, name)
        target = unfinished if suffix == ".tmp" else final.with_name(f"{final.name}{suffix}")
        if suffix == ".tmp":
            unfinished.unlink()
        PLANTED[planted](target, victim)
        return final, unfinished

    monkeypatch.setattr(places, "reserve", known)
    with suppress(RecorderError, OSError):
        backup.create(current_db, backup_dir=place)
    assert intact(victim)
    assert not (victim.parent / "nothing").exists()


@pytest.mark.parametrize("planted", PLANTED)
def test_what_only_has_the_name_of_a_backup_is_none(
    planted: str, victim: Path, current_db: Path, tmp_path: Path
) -> None:
    place = tmp_path / "saved"
    made = backup.create(current_db, backup_dir=place)
    PLANTED[planted](place / "metrics.db.20990101_000000_000.backup", victim)
    assert [one.path for one in backups.found(current_db, place, verified=True)] == [made]


def test_a_pipe_in_the_place_of_a_digest_hangs_nobody(current_db: Path, tmp_path: Path) -> None:
    made = backup.create(current_db, backup_dir=tmp_path / "saved")
    places.digest_path(made).unlink()
    os.mkfifo(places.digest_path(made))
    code = f"""
from pathlib import Path
from llm_metrics_proxy.recorder.backup import backups
(one,) = backups.found(Path({str(current_db)!r}), Path({str(made.parent)!r}), verified=True)
print(one.problem)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert "has no digest" in done.stdout


# --- the spill folder


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize(
    "name", ["host-1-1-1.jsonl", "rejected.jsonl", "maintenance.lock", "upkeep.lock", "h-1-1.alive"]
)
def test_what_stands_in_the_spill_folder_keeps_no_call_from_the_database(
    name: str, planted: str, victim: Path, current_db: Path
) -> None:
    folder = spill_folder.make(current_db)
    PLANTED[planted](folder / name, victim)
    done = record(current_db)
    assert done.returncode == 0, done.stderr
    assert rows(current_db) == 1
    assert intact(victim)


@pytest.mark.parametrize("planted", PLANTED)
def test_what_stands_in_the_place_of_the_rejected_events_is_not_written_and_hangs_nobody(
    planted: str, victim: Path, current_db: Path, make_event: MakeEvent
) -> None:
    folder = spill_folder.make(current_db)
    PLANTED[planted](folder / rejected.FILE_NAME, victim)
    with pytest.raises(OSError, match=r"."):
        rejected.keep(folder, [Rejected(make_event(), ValueError())])
    assert intact(victim)


def test_the_spill_folder_of_another_user_is_refused(current_db: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder = spill_folder.make(current_db)
    os.chown(folder, 65534, 65534)
    with pytest.raises(DatabaseRefused, match="another user's folder"):
        spill_folder.make(current_db)


# --- others


def test_a_pipe_in_the_place_of_the_prices_hangs_nobody(current_db: Path) -> None:
    os.mkfifo(current_db.parent / "prices.toml")
    assert record(current_db).returncode == 0
    assert rows(current_db) == 1


def test_a_link_in_the_place_of_the_prices_shows_nothing_of_what_it_leads_to(victim: Path, current_db: Path) -> None:
    (current_db.parent / "prices.toml").symlink_to(victim)
    done = record(current_db)
    assert done.returncode == 1
    assert "is no TOML" in done.stderr
    assert "precious" not in done.stderr
    assert intact(victim)
