"""Restores: the old database or the new one at every moment, nothing lost, and refusals that change nothing."""

import hashlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.errors import BackupFailed, DatabaseRefused, RecorderError, RestoreFailed
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.restore import Restored, restore
from tests.support.database import ask
from tests.unit.backup.restored import ROWS, beside, models, violations


def test_a_backup_is_put_back_and_what_was_there_is_saved(current_db: Path, saved: Path, tmp_path: Path) -> None:
    done = restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert done.safety is not None
    assert done == Restored(current_db, saved, CURRENT_SCHEMA_VERSION, done.safety, None)
    assert models(current_db) == {"new": ROWS}
    assert models(done.safety) == {"old": ROWS}
    assert ask(current_db, "PRAGMA journal_mode") == [("wal",)]
    assert ask(current_db, "PRAGMA auto_vacuum") == [(2,)]
    assert stat.S_IMODE(current_db.stat().st_mode) == 0o600
    assert beside(current_db) == set()
    ((kind, detail, process),) = ask(current_db, "SELECT kind, detail, process FROM recorder_events")
    assert (kind, detail) == ("restore", saved.name)
    assert str(process).endswith(f"-{os.getpid()}")
    Recorder(current_db).open()


def test_the_file_stays_the_same_so_that_who_has_it_open_goes_on(current_db: Path, saved: Path, tmp_path: Path) -> None:
    inode = current_db.stat().st_ino
    with closing(sqlite3.connect(current_db)) as reader:
        assert reader.execute("SELECT DISTINCT model FROM completion_requests").fetchall() == [("old",)]
        restore(current_db, saved, backup_dir=tmp_path / "saved")
        assert reader.execute("SELECT DISTINCT model FROM completion_requests").fetchall() == [("new",)]
    assert current_db.stat().st_ino == inode


def test_a_recorder_goes_on_and_no_event_is_lost(
    recorder: Recorder, db_path: Path, tmp_path: Path, make_event: Callable[..., object]
) -> None:
    (tmp_path / "saved").mkdir()
    empty = backup.create(db_path, backup_dir=tmp_path / "saved")
    enough = threading.Event()
    sent: list[str] = []

    def send() -> None:
        while not enough.wait(0.001):
            event = make_event()
            recorder.submit(event)  # type: ignore[arg-type]
            sent.append(event.event_id)  # type: ignore[attr-defined]

    thread = threading.Thread(target=send)
    thread.start()
    try:
        safety = []
        for _ in range(3):
            before = len(sent)
            while len(sent) < before + 300:
                time.sleep(0.01)
            done = restore(db_path, empty, backup_dir=tmp_path / "saved")
            assert done.safety is not None
            safety.append(done.safety)
    finally:
        enough.set()
        thread.join()
        recorder.close()
    stored = {row for path in [db_path, *safety] for row in ask(path, "SELECT event_id FROM completion_requests")}
    assert {event_id for (event_id,) in stored} == set(sent)


def test_an_older_schema_is_brought_up_to_date_on_the_way(version_1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    old = backup.create(version_1, backup_dir=folder)
    Recorder(version_1, backup_dir=folder).open()
    done = restore(version_1, old, backup_dir=folder)
    assert done.schema_version == 1
    assert ask(version_1, "PRAGMA user_version") == [(CURRENT_SCHEMA_VERSION,)]
    assert ask(version_1, "SELECT count(*) FROM completion_requests") == [(2,)]
    assert {detail for (detail,) in ask(version_1, "SELECT detail FROM recorder_events")} == {old.name}
    assert all(path.name.startswith("metrics.db.") for path in folder.iterdir())
    Recorder(version_1, backup_dir=folder).open()


def test_a_newer_or_altered_database_can_be_replaced(current_db: Path, saved: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(current_db)) as connection:
        connection.executescript("ALTER TABLE completion_requests ADD COLUMN mine; PRAGMA user_version=99")
    done = restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert done.safety is not None
    assert ask(done.safety, "PRAGMA user_version") == [(99,)]
    assert violations(current_db) == []


def test_a_database_in_the_old_journal_mode_becomes_wal(current_db: Path, saved: Path, tmp_path: Path) -> None:
    ask(current_db, "PRAGMA journal_mode=DELETE")
    restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert ask(current_db, "PRAGMA journal_mode") == [("wal",)]
    assert violations(current_db) == []


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    yield
    assert {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before
    assert [file for file in path.parent.iterdir() if file.is_dir() and file.name != "saved"] == []


def _signed(path: Path) -> Path:
    Path(f"{path}.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    return path


def _of_another_page_size(path: Path, folder: Path) -> Path:
    other = folder / "pages"
    shutil.copy(backup.create(path, backup_dir=folder), other)
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size=8192")
        connection.execute("VACUUM")
    return _signed(other)


def _newer(path: Path, folder: Path) -> Path:
    made = backup.create(path, backup_dir=folder)
    ask(made, f"PRAGMA user_version={CURRENT_SCHEMA_VERSION + 1}")
    return _signed(made)


def _foreign(_path: Path, folder: Path) -> Path:
    with closing(sqlite3.connect(folder / "foreign.db")) as connection:
        connection.executescript("CREATE TABLE notes (text)")
    return _signed(folder / "foreign.db")


def _text(_path: Path, folder: Path) -> Path:
    (folder / "text").write_text("no database\n" * 50)
    return folder / "text"


def _broken(path: Path, folder: Path) -> Path:
    made = backup.create(path, backup_dir=folder)
    os.truncate(made, 8192)
    return made


def _itself(path: Path, folder: Path) -> Path:
    (folder / "link").symlink_to(path)
    return folder / "link"


REFUSED = [
    (_of_another_page_size, "has pages of 8192 bytes, and the database has pages of 4096"),
    (_newer, "and this program knows up to"),
    (_foreign, "is the database of another program"),
    (_text, "is not a SQLite database"),
    (_broken, "is no longer what it was"),
    (_itself, "is the live database itself"),
    (lambda _path, folder: folder / "nothing", "There is no backup at .*nothing"),
    (lambda _path, folder: folder, "There is no backup at .*saved"),
]


@pytest.mark.parametrize(("make", "sentence"), REFUSED)
def test_what_cannot_be_put_back_is_refused_with_its_sentence_and_changes_nothing(
    current_db: Path, saved: Path, tmp_path: Path, make: Callable[[Path, Path], Path], sentence: str
) -> None:
    chosen = make(current_db, saved.parent)
    with unchanged(current_db), pytest.raises(RestoreFailed, match=sentence) as failure:
        restore(current_db, chosen, backup_dir=tmp_path / "saved")
    assert "\n" not in str(failure.value)


def test_the_live_file_is_never_opened_by_anything_but_sqlite(current_db: Path, saved: Path) -> None:
    code = """
import sys, pathlib
sys.path.insert(0, sys.argv[3])
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.restore import restore
live, saved = map(pathlib.Path, sys.argv[1:3])
opened = []
sys.addaudithook(lambda name, arguments: name == "open" and opened.append(str(arguments[0])))
restore(live, saved, backup_dir=saved.parent)
try:
    restore(live, live, backup_dir=saved.parent)
except RecorderError:
    pass
assert not {f"{live}{end}" for end in ("", "-wal", "-shm")} & set(opened), opened
"""
    arguments = [str(current_db), str(saved), str(Path(__file__).parents[3])]
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_database_of_another_program_is_not_overwritten(saved: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign" / "metrics.db"
    foreign.parent.mkdir()
    with closing(sqlite3.connect(foreign)) as connection:
        connection.executescript("CREATE TABLE notes (text); INSERT INTO notes VALUES ('precious')")
    with unchanged(foreign), pytest.raises(DatabaseRefused, match="is the database of another program"):
        restore(foreign, saved, backup_dir=tmp_path / "saved")


def test_without_a_place_for_the_safety_backup_nothing_is_changed(
    current_db: Path, saved: Path, tmp_path: Path
) -> None:
    for folder in (None, tmp_path / "not" / "mounted"):
        with unchanged(current_db), pytest.raises(BackupFailed):
            restore(current_db, saved, backup_dir=folder)


def test_without_room_beside_the_database_nothing_is_changed(
    current_db: Path, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result([*list(real(path))[:4], 1, *real(path)[5:]]))
    with unchanged(current_db), pytest.raises(RestoreFailed, match="bytes are needed there"):
        restore(current_db, saved, backup_dir=tmp_path / "saved")


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_lock_that_is_held_ends_the_restore_with_the_old_state(
    current_db: Path, saved: Path, tmp_path: Path, mode: str
) -> None:
    ask(current_db, f"PRAGMA journal_mode={mode}")
    with closing(sqlite3.connect(current_db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(RestoreFailed, match=r"another process held its lock for 0\.7 seconds"):
            restore(current_db, saved, backup_dir=tmp_path / "saved", abort_seconds=0.7)
        assert 0.6 < time.monotonic() - began < 5
        other.execute("ROLLBACK")
    assert models(current_db) == {"old": ROWS}
    assert beside(current_db) == set()
    assert len(list((tmp_path / "saved").glob("*.backup"))) == 1


def test_a_lock_that_is_given_back_in_time_is_waited_for(current_db: Path, saved: Path, tmp_path: Path) -> None:
    other = sqlite3.connect(current_db, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.8, other.execute, ["ROLLBACK"])
    timer.start()
    restore(current_db, saved, backup_dir=tmp_path / "saved", abort_seconds=20)
    timer.join()
    other.close()
    assert violations(current_db) == []
    assert models(current_db) == {"new": ROWS}


def test_what_the_progress_raises_ends_it_with_the_old_state(current_db: Path, saved: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        assert done <= total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(current_db, saved, backup_dir=tmp_path / "saved", progress=interrupt)
    assert models(current_db) == {"old": ROWS}
    assert beside(current_db) == set()


@pytest.mark.parametrize("place", ["dangling", "folder", "no folder"])
def test_a_path_that_can_hold_no_database_is_refused(saved: Path, tmp_path: Path, place: str) -> None:
    path = tmp_path / "elsewhere" / "metrics.db"
    if place != "no folder":
        path.parent.mkdir()
    if place == "dangling":
        path.symlink_to(tmp_path / "nothing")
    elif place == "folder":
        path.mkdir()
    with pytest.raises(RestoreFailed, match=r"symbolic link to nothing|not a regular file|no folder"):
        restore(path, saved, backup_dir=tmp_path / "saved")
    assert not (tmp_path / "nothing").exists()


def test_a_symbolic_link_is_followed_to_the_database(current_db: Path, saved: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(current_db)
    restore(link, saved, backup_dir=tmp_path / "saved")
    assert link.is_symlink()
    assert violations(current_db) == []


def test_what_a_killed_restore_left_is_removed_but_not_what_one_needs_that_runs(
    current_db: Path, saved: Path, tmp_path: Path
) -> None:
    left = tmp_path / "metrics.db.restoring-left"
    left.mkdir()
    (left / "metrics.db").touch()
    seen: list[set[str]] = []

    def another(_done: int, _total: int) -> None:
        if not seen:
            seen.append(beside(current_db))
            other = tmp_path / "other" / "metrics.db"
            with pytest.raises(RecorderError):
                restore(current_db, saved, backup_dir=tmp_path / "saved", abort_seconds=0.1)
            assert not other.exists()
            assert beside(current_db) == seen[0]

    restore(current_db, saved, backup_dir=tmp_path / "saved", progress=another)
    assert len(seen[0]) == 1
    assert "metrics.db.restoring-left" not in seen[0]
    assert beside(current_db) == set()


@pytest.mark.usefixtures("nothing_is_young")
def test_old_backups_go_afterwards_but_not_the_one_that_was_put_back(
    current_db: Path, saved: Path, tmp_path: Path
) -> None:
    more = [backup.create(current_db, backup_dir=tmp_path / "saved") for _ in range(6)]
    restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert saved.exists()
    assert [path.exists() for path in more] == [False, False, True, True, True, True]
