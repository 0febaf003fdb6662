"""Backups: whole, verified, named and placed as promised, or none at all."""

import hashlib
import multiprocessing
import re
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from recorder import backup
from recorder.database import open_writer
from recorder.errors import BackupFailed

NAME = re.compile(r"metrics\.db\.\d{8}_\d{6}_\d{3}\.backup")


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT count(*) FROM completion_requests").fetchone()[0]
        return count


def test_a_backup_has_its_name_its_place_its_mode_and_its_digest(version_1: Path, tmp_path: Path) -> None:
    saved = backup.create(version_1, backup_dir=tmp_path / "saved")
    assert NAME.fullmatch(saved.name)
    assert saved.parent == tmp_path / "saved"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert Path(f"{saved}.sha256").read_text() == f"{digest}  {saved.name}\n"
    assert sorted(path.name for path in saved.parent.iterdir()) == [saved.name, f"{saved.name}.sha256"]


def test_a_backup_holds_what_only_stands_in_the_wal_yet(current_db: Path, tmp_path: Path) -> None:
    with closing(open_writer(current_db)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("INSERT INTO recorder_counters VALUES ('p', 'n', 1, '')")
        saved = backup.create(current_db, backup_dir=tmp_path / "saved")
    with closing(sqlite3.connect(saved)) as copy:
        assert copy.execute("SELECT count(*) FROM recorder_counters").fetchone() == (1,)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_backup_under_the_write_lock_holds_the_last_committed_state(version_1: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(version_1, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM completion_requests")
        saved = backup.create(version_1, backup_dir=tmp_path / "saved")
        writer.execute("ROLLBACK")
    assert rows(saved) == 2


def test_a_backup_while_another_thread_writes_is_one_moment(current_db: Path, tmp_path: Path) -> None:
    started, enough = threading.Event(), threading.Event()

    def write() -> None:
        with closing(open_writer(current_db)) as writer:
            number = 0
            while not enough.is_set():
                number += 1
                writer.execute("BEGIN IMMEDIATE")  # both rows or none
                writer.execute("INSERT INTO recorder_counters VALUES ('a', ?, 1, '')", (str(number),))
                writer.execute("INSERT INTO recorder_counters VALUES ('b', ?, 1, '')", (str(number),))
                writer.execute("COMMIT")
                started.set()

    thread = threading.Thread(target=write)
    thread.start()
    started.wait(5)
    try:
        for _ in range(5):
            saved = backup.create(current_db, backup_dir=tmp_path / "saved")
            with closing(sqlite3.connect(saved)) as copy:
                pairs = dict(copy.execute("SELECT process, count(*) FROM recorder_counters GROUP BY process"))
            assert pairs["a"] == pairs["b"] > 0
    finally:
        enough.set()
        thread.join()


def test_a_locked_database_ends_the_backup_and_leaves_nothing(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(version_1, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BackupFailed):
            backup.create(version_1, backup_dir=tmp_path / "saved")
    assert list((tmp_path / "saved").iterdir()) == []


def test_a_copy_that_cannot_be_written_for_a_lock_ends_instead_of_trying_for_ever(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_BUSY_SECONDS", 0.1)
    target = tmp_path / "target"
    target.touch()
    with (
        closing(sqlite3.connect(target, isolation_level=None)) as other,
        closing(sqlite3.connect(version_1)) as source,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BackupFailed, match="another process holds the lock"):
            backup._copy(source, target)  # noqa: SLF001 - nobody can lock the target from outside in time


def test_a_damaged_database_makes_no_backup(version_1: Path, tmp_path: Path) -> None:
    content = bytearray(version_1.read_bytes())
    content[4096 + 8 : 2 * 4096] = b"\xff" * (4096 - 8)
    version_1.write_bytes(content)
    with pytest.raises(BackupFailed):
        backup.create(version_1, backup_dir=tmp_path / "saved")
    assert list((tmp_path / "saved").iterdir()) == []


def test_the_default_place_is_beside_the_database(version_1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTING")
    saved = backup.create(version_1)
    assert saved.parent == version_1.parent / "backups"
    assert stat.S_IMODE(saved.parent.stat().st_mode) == 0o700


def test_the_second_place_is_in_the_home_folder(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESTING")
    (version_1.parent / "backups").write_text("in the way")
    assert backup.create(version_1).parent == tmp_path / "home" / ".llm_metrics_proxy" / "backups"


def test_a_planted_symbolic_link_is_no_place_for_backups(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESTING")
    (version_1.parent / "backups").symlink_to(tmp_path / "saved")
    assert backup.create(version_1).parent == tmp_path / "home" / ".llm_metrics_proxy" / "backups"
    assert list((tmp_path / "saved").iterdir()) == []


def test_without_any_place_there_is_one_sentence(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESTING")
    (version_1.parent / "backups").write_text("in the way")
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(BackupFailed, match=r"^No backup of .* could be made .*: free some space, or set .*\.$"):
        backup.create(version_1)


def test_a_given_folder_is_the_only_place_tried(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESTING")
    with pytest.raises(BackupFailed):
        backup.create(version_1, backup_dir=tmp_path / "not" / "mounted")
    assert not (tmp_path / "not").exists()
    assert not (version_1.parent / "backups").exists()
    assert not (tmp_path / "home").exists()


def test_testing_forbids_the_default_places(version_1: Path) -> None:
    with pytest.raises(BackupFailed, match="TESTING is set"):
        backup.create(version_1)
    assert not (version_1.parent / "backups").exists()


def _make_backups(path: Path, folder: Path, count: int) -> None:
    for _ in range(count):
        backup.create(path, backup_dir=folder)


def test_backups_of_several_processes_at_once_never_share_a_name(version_1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_make_backups, args=(version_1, folder, 15)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    names = {path.name for path in folder.iterdir()}
    assert len([name for name in names if NAME.fullmatch(name)]) == 45
    assert len(names) == 90  # and their digests, and nothing else
