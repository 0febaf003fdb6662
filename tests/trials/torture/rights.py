"""T11, T12: rights that are missing, and symbolic links that somebody planted."""

import os
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import spill_folder
from tests.trials.torture.case import Blocked, Broken, Outcome, Stage, expect
from tests.trials.torture.faults import database_of_ours
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording, processes
from tests.trials.torture.starting import version_1
from tests.trials.torture.verdict import wait_until

_NOBODY = 65534
_ALL_RIGHT = "nothing is missing"


def without_rights(stage: Stage) -> Outcome:
    """As a user who may not: one sentence for each way of not being allowed."""
    if os.geteuid() != 0:
        raise Blocked("only root may become another user")
    stage.folder.chmod(0o755)
    stage.folder.parent.chmod(0o755)
    for name, forbid in _FORBIDDEN.items():
        folder = stage.sub(name.replace(" ", "-"))
        path = version_1(folder / "metrics.db") if "backup" in name else database_of_ours(folder / "metrics.db")
        for one in (folder, *folder.iterdir()):
            os.chown(one, _NOBODY, _NOBODY)
        forbid(path)
        ours, theirs = processes.Pipe()
        child = processes.Process(target=_start_as_nobody, args=(path, theirs), daemon=True)
        child.start()
        theirs.close()
        said = str(ours.recv())
        child.join()
        ours.close()
        expected = "it started" if name == _ALL_RIGHT else "RecorderError: "
        expect(said.startswith(expected), f"{name}: {said}")
    return Outcome(len(_FORBIDDEN), {"ways": len(_FORBIDDEN) - 1})


def planted_links(stage: Stage) -> Outcome:
    """No symbolic link that somebody planted makes us write where it points to."""
    refused = 0
    for name, plant in _PLANTED.items():
        folder = stage.sub(name.replace(" ", "-"))
        victim = folder / "victim"
        path = database_of_ours(folder / "metrics.db")
        plant(path, victim)
        try:
            _back_up_beside(path)
            with Recording(Plan(path, rate=200)) as recording:
                wait_until(partial(_beyond, recording, 100), "events are recorded")
                recording.stop()
        except (Broken, RecorderError):
            refused += 1  # as good
        touched = victim.exists() and (victim.is_file() or any(victim.iterdir()))
        expect(not touched, f"{name}: something was written where the link points to")
    return Outcome(len(_PLANTED), {"links": len(_PLANTED), "of them refused": refused})


def _back_up_beside(path: Path) -> None:
    """Into the default place, which is refused while TESTING is set; the home folder is the torture's own."""
    with patch.dict(os.environ):
        del os.environ["TESTING"]
        backup.create(path)


def _beyond(recording: Recording, number: int) -> bool:
    return recording.last.acknowledged >= number


def _as_root(path: Path, mode: int) -> None:
    os.chown(path, 0, 0)
    path.chmod(mode)


_FORBIDDEN: dict[str, Callable[[Path], None]] = {
    _ALL_RIGHT: lambda _path: None,  # else all of them could be refused for another reason
    "file read-only": lambda path: _as_root(path, 0o644),
    "file not readable": lambda path: _as_root(path, 0o600),
    "folder read-only": lambda path: _as_root(path.parent, 0o755),
    "folder not readable": lambda path: _as_root(path.parent, 0o700),
    "no place for a backup": lambda path: _as_root(path.parent, 0o755),
}


def _start_as_nobody(path: Path, pipe: Connection) -> None:
    # Python's own modules may be out of nobody's reach: everything that a start imports is imported before.
    warm = path.parent.with_name(f"{path.parent.name}-warm")
    warm.mkdir()
    Recorder(version_1(warm / "metrics.db"), backup_dir=warm).open()
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    try:
        Recorder(path, backup_dir=path.parent).open()
        said = "it started"
    except RecorderError as error:
        said = f"RecorderError: {error}"
    except Exception as error:  # noqa: BLE001 - it is the answer
        said = f"{type(error).__name__}: {error}"
    pipe.send(said)


def _plant(where: Path, victim: Path, *, folder: bool) -> None:
    if folder:
        victim.mkdir()
    where.unlink(missing_ok=True)
    where.symlink_to(victim)


_PLANTED: dict[str, Callable[[Path, Path], None]] = {
    "spill folder": lambda path, victim: _plant(spill_folder.folder_of(path), victim, folder=True),
    "spill folder dangling": lambda path, victim: _plant(spill_folder.folder_of(path), victim, folder=False),
    "backup folder": lambda path, victim: _plant(path.parent / "backups", victim, folder=True),
    "backup folder dangling": lambda path, victim: _plant(path.parent / "backups", victim, folder=False),
    "wal dangling": lambda path, victim: _plant(path.with_name(f"{path.name}-wal"), victim, folder=False),
}
