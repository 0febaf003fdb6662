"""Backups: whole, verified, named and placed as promised, or none at all; found again, and kept while needed."""

import hashlib
import os
import re
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.backup import backups, copy_pages
from llm_metrics_proxy.recorder.errors import BackupFailed, RestoreFailed
from llm_metrics_proxy.recorder.store.database import connect, open_writer
from tests.support.database import rows
from tests.support.forked import forking
from tests.unit.backup.restored import truncated
from tests.unit.backup.spoilt import of_text, without_digest

FORKSERVER = forking(__name__)
NAME = re.compile(r"metrics\.db\.\d{8}_\d{6}_\d{3}\.backup")


def test_a_backup_has_its_name_its_place_its_mode_and_its_digest(version_1: Path, tmp_path: Path) -> None:
    saved = backup.create(version_1, backup_dir=tmp_path / "saved")
    assert NAME.fullmatch(saved.name)
    assert saved.parent == tmp_path / "saved"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert Path(f"{saved}.sha256").read_text().splitlines()[0] == f"{digest}  {saved.name}"
    assert stat.S_IMODE(Path(f"{saved}.sha256").stat().st_mode) == 0o600
    subprocess.run(["sha256sum", "--check", "--strict", f"{saved.name}.sha256"], check=True, cwd=saved.parent)  # noqa: S607
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


def test_a_given_folder_may_be_a_symbolic_link(version_1: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "saved")
    saved = backup.create(version_1, backup_dir=tmp_path / "link")
    assert (tmp_path / "saved" / saved.name).is_file()


def test_a_symbolic_link_to_the_database_is_followed_to_its_backups(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESTING")
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(version_1)
    saved = backup.create(link)
    assert saved.parent == version_1.parent / "backups"
    assert NAME.fullmatch(saved.name)
    assert [file.path for file in backups.found(link)] == [saved]


def test_a_place_without_room_is_left_for_the_next(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESTING")
    real = os.statvfs

    def full_beside_the_database(path: Path) -> os.statvfs_result:
        result = list(real(path))
        if Path(path) == version_1.parent / "backups":
            result[4] = 1  # f_bavail: one block
        return os.statvfs_result(result)

    monkeypatch.setattr(os, "statvfs", full_beside_the_database)
    assert backup.create(version_1).parent == tmp_path / "home" / ".llm_metrics_proxy" / "backups"
    assert list((version_1.parent / "backups").iterdir()) == []
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result([*list(real(path))[:4], 1, *real(path)[5:]]))
    with pytest.raises(BackupFailed, match=r"saved: [\d,]+ bytes are needed there, and [\d,]+ are free"):
        backup.create(version_1, backup_dir=tmp_path / "saved")


def test_progress_comes_in_steps_although_others_write(current_db: Path, tmp_path: Path) -> None:
    with closing(open_writer(current_db)) as writer:
        writer.execute("CREATE TABLE large (data BLOB)")
        writer.execute("INSERT INTO large VALUES (zeroblob(40000000))")
        seen = []

        def progress(done: int, total: int) -> None:
            seen.append((done, total))
            writer.execute("INSERT INTO recorder_counters VALUES ('p', ?, 1, '')", (str(len(seen)),))

        saved = backup.create(current_db, backup_dir=tmp_path / "saved", progress=progress)
    assert len(seen) > 3
    assert seen == sorted(seen)  # it never begins again
    assert seen[-1][0] == seen[-1][1] == saved.stat().st_size
    with closing(sqlite3.connect(saved)) as copy:
        assert copy.execute("SELECT count(*) FROM recorder_counters").fetchone() == (0,)


def test_a_copy_in_steps_is_one_moment_also_outside_of_a_transaction(current_db: Path, tmp_path: Path) -> None:
    with (
        closing(open_writer(current_db)) as writer,
        closing(connect(current_db, timeout=1)) as source,
        closing(sqlite3.connect(tmp_path / "copy")) as target,
    ):
        writer.execute("CREATE TABLE large (data BLOB)")
        writer.execute("INSERT INTO large VALUES (zeroblob(40000000))")
        seen: list[int] = []

        def progress(done: int, _total: int) -> None:
            seen.append(done)
            assert len(seen) < 50, "it begins again and again"
            writer.execute("INSERT INTO recorder_counters VALUES ('p', ?, 1, '')", (str(len(seen)),))

        copy_pages(source, target, patience=0, progress=progress)
        assert not source.in_transaction
        assert target.execute("SELECT count(*) FROM recorder_counters").fetchone() == (0,)
    assert seen == sorted(seen)


def test_left_overs_of_killed_processes_are_swept_after_an_hour(version_1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    kept = backup.create(version_1, backup_dir=folder)
    stamp = "metrics.db.20250101_000000_000.backup"
    left = ["", ".tmp", ".tmp-journal", ".sha256"]
    others = ["metrics.db.backup.tmp", "other.db.20250101_000000_000.backup.tmp", f"{stamp}.tmp.mine"]
    for name in [*(f"{stamp}{end}" for end in left), *others]:
        (folder / name).touch()
        os.utime(folder / name, (1, 1))
    fresh = folder / "metrics.db.20250101_000000_001.backup.tmp"
    fresh.touch()
    os.utime(kept, (1, 1))
    saved = backup.create(version_1, backup_dir=folder)
    expected = [kept.name, saved.name, f"{kept.name}.sha256", f"{saved.name}.sha256", fresh.name, *others]
    assert sorted(path.name for path in folder.iterdir()) == sorted(expected)


def _signed_again(saved: Path) -> None:
    Path(f"{saved}.sha256").write_text(f"{hashlib.sha256(saved.read_bytes()).hexdigest()}  {saved.name}\n")


def _altered(saved: Path, statement: str) -> None:
    with closing(sqlite3.connect(saved)) as connection:
        connection.executescript(statement)
    _signed_again(saved)


def _damaged(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[4096 + 8 : 2 * 4096] = b"\xff" * (4096 - 8)
    saved.write_bytes(content)
    _signed_again(saved)


def _longer(saved: Path) -> None:
    with saved.open("ab") as stream:
        stream.write(bytes(4096))
    _signed_again(saved)


SPOILT = [
    (Path.unlink, "There is no backup at"),
    (without_digest, "has no digest, so nothing shows"),
    (truncated, "is no longer what it was"),
    (of_text, "is not a SQLite database"),
    (_longer, "is not as long as it says"),
    (_damaged, "is damaged"),
    (lambda saved: _altered(saved, "PRAGMA user_version=99"), "has schema version 99, and this program knows up to"),
    (lambda saved: _altered(saved, "PRAGMA application_id=7"), "is the database of another program"),
    (lambda saved: _altered(saved, "DROP TABLE completion_requests"), "does not have the schema of its version 1"),
]


@pytest.mark.parametrize(("spoil", "sentence"), SPOILT)
def test_what_is_wrong_with_a_backup_is_one_sentence(
    version_1: Path, tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    saved = backup.create(version_1, backup_dir=tmp_path / "saved")
    assert backups.verify(saved) == 1
    spoil(saved)
    with pytest.raises(RestoreFailed, match=sentence) as failure:
        backups.verify(saved)
    assert "\n" not in str(failure.value)
    found = backups.found(version_1, tmp_path / "saved", verified=True)
    assert [file.verified for file in found] == ([False] if saved.exists() else [])


def test_a_backup_without_our_marks_has_version_1(version_1: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(version_1)) as connection:
        connection.executescript("PRAGMA user_version=0; PRAGMA application_id=0; DROP TABLE _sqlite_migrations")
    saved = backup.create(version_1, backup_dir=tmp_path / "saved")
    assert backups.verify(saved) == 1
    assert backups.found(version_1, tmp_path / "saved")[0].schema_version == 1


def test_verifying_leaves_nothing_beside_the_backup(current_db: Path, tmp_path: Path) -> None:
    saved = backup.create(current_db, backup_dir=tmp_path / "saved")
    saved.chmod(0o400)
    backups.verify(saved)
    assert sorted(path.name for path in saved.parent.iterdir()) == [saved.name, f"{saved.name}.sha256"]


def _make_backups(path: Path, folder: Path, count: int) -> None:
    for _ in range(count):
        backup.create(path, backup_dir=folder)


def test_backups_of_several_processes_at_once_never_share_a_name(version_1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    processes = [FORKSERVER.Process(target=_make_backups, args=(version_1, folder, 15)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    names = {path.name for path in folder.iterdir()}
    assert len([name for name in names if NAME.fullmatch(name)]) == 45
    assert len(names) == 90  # and their digests, and nothing else
