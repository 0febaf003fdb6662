"""Backups are found beside a database, and old ones go, but never the last good one."""

import os
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.migrations import APPLICATION_ID
from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.backup import backups, places, retention
from llm_metrics_proxy.recorder.errors import BackupFailed
from tests.unit.backup.restored import truncated
from tests.unit.backup.spoilt import of_text, without_digest


def test_backups_are_found_newest_first_and_nothing_else_is(version_1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    saved = [backup.create(version_1, backup_dir=folder) for _ in range(3)]
    for name in (
        "metrics.db.20260101_000000_00.backup",
        "metrics.db.20261301_000000_000.backup",
        "other.db.20260101_000000_000.backup",
        "metrics.db.20260101_000000_000.backup.tmp",
        "metricsxdb.20260101_000000_000.backup",
    ):
        shutil.copy(saved[0], folder / name)
    (folder / "metrics.db.20260101_000000_000.backup").symlink_to(saved[0])
    found = backups.found(version_1, folder)
    assert [file.path for file in found] == saved[::-1]
    assert [file.schema_version for file in found] == [1, 1, 1]
    assert [file.verified for file in found] == [None] * 3
    assert found[0].bytes == saved[0].stat().st_size
    stamp = re.sub(r"\D", "", found[0].made_at)
    assert stamp == re.sub(r"\D", "", saved[-1].name)


def test_both_default_places_are_looked_into_but_no_planted_one(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackupFailed, match="TESTING is set"):
        backups.found(version_1)
    monkeypatch.delenv("TESTING")
    first = backup.create(version_1)
    (version_1.parent / "backups").rename(tmp_path / "planted")
    (version_1.parent / "backups").write_text("in the way")
    second = backup.create(version_1)
    (version_1.parent / "backups").unlink()
    assert [file.path for file in backups.found(version_1)] == [second]
    (version_1.parent / "backups").symlink_to(tmp_path / "planted")
    assert [file.path for file in backups.found(version_1)] == [second]
    (version_1.parent / "backups").unlink()
    (tmp_path / "planted").rename(version_1.parent / "backups")
    assert [file.path for file in backups.found(version_1)] == [second, first]


def test_retention_leaves_what_was_made_in_the_last_two_days(version_1: Path, tmp_path: Path) -> None:
    made = [backup.create(version_1, backup_dir=tmp_path / "saved") for _ in range(8)]
    assert retention.apply(version_1, tmp_path / "saved", keep=1) == []
    assert all(file.exists() for file in made)


@pytest.mark.usefixtures("nothing_is_young")
@pytest.mark.parametrize("given", [False, True])
def test_databases_of_one_name_share_a_folder_without_mistaking_each_others_backups(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, given: bool
) -> None:
    monkeypatch.delenv("TESTING")
    other = tmp_path / "other" / "metrics.db"
    other.parent.mkdir()
    shutil.copy(version_1, other)
    for path in (version_1, other):
        (path.parent / "backups").write_text("in the way")
    folder = tmp_path / "saved" if given else None
    ours = [backup.create(version_1, backup_dir=folder) for _ in range(2)]
    theirs = [backup.create(other, backup_dir=folder) for _ in range(2)]
    assert ours[0].parent == theirs[0].parent
    assert [file.path for file in backups.found(version_1, folder)] == ours[::-1]
    assert [file.path for file in backups.found(other, folder)] == theirs[::-1]
    assert retention.apply(version_1, folder, keep=1) == [ours[0]]
    assert [file.path for file in backups.found(other, folder)] == theirs[::-1]


def _set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={version}")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")


@pytest.mark.usefixtures("nothing_is_young")
def test_retention_keeps_the_newest_and_the_newest_of_each_version(version_1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    old = [backup.create(version_1, backup_dir=folder) for _ in range(2)]
    _set_version(version_1, 2)
    new = [backup.create(version_1, backup_dir=folder) for _ in range(5)]
    assert retention.apply(version_1, folder, keep=7) == []
    assert retention.apply(version_1, folder, keep=3) == [new[1], new[0], old[0]]
    assert [file.path for file in backups.found(version_1, folder)] == [*new[:1:-1], old[1]]
    assert len(list(folder.iterdir())) == 8  # each with its digest
    with pytest.raises(ValueError, match="at least one"):
        retention.apply(version_1, folder, keep=0)


@pytest.mark.usefixtures("nothing_is_young")
def test_retention_counts_only_good_ones_and_leaves_what_a_person_has_to_look_at(
    version_1: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    saved = [backup.create(version_1, backup_dir=folder) for _ in range(6)]
    truncated(saved[5])
    of_text(saved[0])
    without_digest(saved[1])
    assert retention.apply(version_1, folder, keep=2) == [saved[2]]
    assert [path.exists() for path in saved] == [True, True, False, True, True, True]
    for path in saved[3:]:
        truncated(path)
    assert retention.apply(version_1, folder, keep=1) == []


@pytest.mark.usefixtures("nothing_is_young")
def test_retention_never_deletes_the_newest_one_whatever_the_clock_says(version_1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    saved = [backup.create(version_1, backup_dir=folder) for _ in range(4)]
    os.utime(saved[0], (time.time() + 60, time.time() + 60))  # made last, with a clock that was set back
    assert retention.apply(version_1, folder, keep=1, spared=[saved[1]]) == [saved[2]]
    assert [path.exists() for path in saved] == [True, True, False, True]


@pytest.mark.usefixtures("nothing_is_young")
def test_retention_deletes_no_link_and_nothing_of_another_name(version_1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    saved = [backup.create(version_1, backup_dir=folder) for _ in range(2)]
    precious = tmp_path / "precious"
    shutil.copy(saved[0], precious)
    (folder / "metrics.db.20200101_000000_000.backup").symlink_to(precious)
    shutil.copy(saved[0], folder / "metrics.db.mine.backup")
    assert retention.apply(version_1, folder, keep=1) == [saved[0]]
    assert precious.exists()
    assert {path.name for path in folder.iterdir()} >= {
        "metrics.db.20200101_000000_000.backup",
        "metrics.db.mine.backup",
    }


def test_a_moved_database_still_owns_the_backups_beside_it(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TESTING")
    saved = backup.create(version_1)
    moved = tmp_path / "moved"
    moved.mkdir()
    version_1.rename(moved / "metrics.db")
    saved.parent.rename(moved / "backups")
    assert [file.path.name for file in backups.found(moved / "metrics.db")] == [saved.name]


def test_names_that_are_no_dates_are_no_backups() -> None:
    assert places.moment_of("metrics.db", "metrics.db.20260230_000000_000.backup") is None
    assert places.moment_of("metrics.db", "metrics.db.20260228_235959_999.backup") is not None
