"""A restore under a writer and at a kill: the old or the new database, never a mix and never none."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.unit.backup.restored import ROWS, beside, models, truncated, violations


def by_rename(path: Path, saved: Path) -> None:
    """What must not be done."""
    copy = path.with_name("copy")
    shutil.copyfile(saved, copy)
    copy.rename(path)


def by_copy(path: Path, saved: Path) -> None:
    """What must not be done."""
    shutil.copyfile(saved, path)


def by_restore(path: Path, saved: Path) -> None:
    restore(path, saved, backup_dir=saved.parent)


@pytest.mark.parametrize(("how", "holds"), [(by_restore, True), (by_rename, False), (by_copy, False)])
def test_under_a_writer_whose_rows_stand_in_the_wal_only_a_restore_makes_no_mix(
    current_db: Path, saved: Path, *, how: Callable[[Path, Path], None], holds: bool
) -> None:
    with closing(open_writer(current_db)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("UPDATE completion_requests SET model = 'in the WAL' WHERE id % 2")
        how(current_db, saved)
        assert (violations(current_db) == []) is holds
        if holds:
            writer.execute("UPDATE completion_requests SET model = 'later'")
            assert models(current_db) == {"later": ROWS}


KILLER = """
import os, pathlib, random, signal, sys, time
sys.path.insert(0, sys.argv[4])
from llm_metrics_proxy.recorder.restore import restore
live, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[3])
backups = [pathlib.Path(one) for one in sys.argv[2].split(":")]
from tests.unit.backup.restored import violations, models
def once(number):
    restore(live, backups[number % 2], backup_dir=backups[0].parent)
began = time.monotonic()
once(0)
lasts = time.monotonic() - began
killed, seen = 0, set()
random.seed(7)
for number in range(1, rounds + 1):
    child = os.fork()
    if child == 0:
        once(number)
        os._exit(0)
    time.sleep(random.uniform(0, lasts * 1.1))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed += os.WIFSIGNALED(status)
    assert violations(live) == [], (number, violations(live))
    seen.update(models(live))
print(killed, *sorted(seen))
"""


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_database(current_db: Path, saved: Path, tmp_path: Path) -> None:
    other = backup.create(current_db, backup_dir=tmp_path / "saved")
    folder = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", KILLER, str(current_db), f"{saved}:{other}", "20", folder]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    killed, *_ = result.stdout.split()
    assert int(killed) >= 10
    restore(current_db, saved, backup_dir=tmp_path / "saved")
    assert models(current_db) == {"new": ROWS}
    assert beside(current_db) == set()


def test_a_kill_while_a_damaged_file_is_replaced_never_leaves_the_path_empty(current_db: Path, saved: Path) -> None:
    truncated(current_db)
    code = """
import os, pathlib, signal, sys
sys.path.insert(0, sys.argv[4])
from llm_metrics_proxy.recorder.restore import restore
live, saved, call = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
seen = []
def hook(name, arguments):
    if name in ("os.rename", "os.link") and str(live) in map(str, arguments):
        seen.append(name)
        if len(seen) == call:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
restore(live, saved, backup_dir=saved.parent)
"""
    damaged = current_db.read_bytes()
    outcomes = []
    for call in (1, 2, 3):
        command = [sys.executable, "-c", code, str(current_db), str(saved), str(call), str(Path(__file__).parents[3])]
        outcomes.append(subprocess.run(command, capture_output=True, text=True, check=False).returncode)
        assert current_db.read_bytes() == damaged or violations(current_db) == []
    assert outcomes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert models(current_db) == {"new": ROWS}
