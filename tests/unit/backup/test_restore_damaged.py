"""A restore where no sound database stands: nothing, an empty file, a stale log, a damaged file."""

import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.support.database import ask
from tests.unit.backup.restored import ROWS, beside, models, truncated, violations


def gone(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def test_where_nothing_stands_the_backup_is_placed(current_db: Path, saved: Path, tmp_path: Path) -> None:
    gone(current_db)
    done = restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert (done.safety, done.set_aside) == (None, None)
    assert violations(current_db) == []
    assert stat.S_IMODE(current_db.stat().st_mode) == 0o600
    assert ask(current_db, "PRAGMA journal_mode") == [("wal",)]
    assert beside(current_db) == set()


def test_an_empty_file_becomes_the_backup(current_db: Path, saved: Path, tmp_path: Path) -> None:
    gone(current_db)
    current_db.touch()
    done = restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert (done.safety, done.set_aside) == (None, None)
    assert violations(current_db) == []
    assert ask(current_db, "PRAGMA auto_vacuum") == [(2,)]


@pytest.mark.parametrize("empty", [False, True])
def test_a_stale_wal_without_its_database_is_moved_aside(
    current_db: Path, saved: Path, tmp_path: Path, *, empty: bool
) -> None:
    wal = Path(f"{current_db}-wal")
    with closing(open_writer(current_db)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("UPDATE completion_requests SET model = 'stale'")
        content = wal.read_bytes()
    gone(current_db)
    wal.write_bytes(content)
    if empty:
        current_db.touch()
    done = restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert violations(current_db) == []
    assert models(current_db) == {"new": ROWS}
    assert done.set_aside is not None
    assert (done.set_aside / wal.name).read_bytes() == content


def _not_a_database(path: Path) -> None:
    path.write_text("no database\n" * 1000)


def _overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20 * 4096 : 40 * 4096] = os.urandom(20 * 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [_not_a_database, truncated, _overwritten])
def test_a_damaged_database_is_moved_aside_as_it_is(
    current_db: Path, saved: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(current_db)
    Path(f"{current_db}-wal").write_bytes(b"some")
    content = current_db.read_bytes()
    done = restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert violations(current_db) == []
    assert done.safety is None
    assert done.set_aside is not None
    assert done.set_aside.parent == current_db.parent
    assert done.set_aside.name.startswith("corrupt-")
    assert stat.S_IMODE(done.set_aside.stat().st_mode) == 0o700
    assert (done.set_aside / current_db.name).read_bytes() == content
    assert beside(current_db) == {done.set_aside.name}
    Recorder(current_db).open()


def test_a_damaged_database_is_not_moved_while_a_recorder_has_it_open(
    current_db: Path, saved: Path, tmp_path: Path
) -> None:
    truncated(current_db)
    content = current_db.read_bytes()
    running = presence.Presence(current_db, "somebody")
    running.appear()
    running.share()
    try:
        with pytest.raises(DatabaseRefused, match="is open in somebody"):
            restore(current_db, saved, backup_dir=tmp_path / "saved", abort_seconds=0.1)
    finally:
        running.vanish()
    assert current_db.read_bytes() == content
    assert beside(current_db) == set()
