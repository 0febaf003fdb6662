"""T4: the power goes while the recorder writes: an ext4 whose unsynced data is thrown away by its shutdown ioctl."""

import time
from contextlib import ExitStack

from tests.trials.torture.case import Broken, Outcome, Stage, expect
from tests.trials.torture.disks import Ext4, ext4_disk
from tests.trials.torture.faults import write_lock
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.verdict import check, run_once

_RATE = 100  # paced: a writer without pauses makes checkpoints so often that a loss hides
_SECONDS = 3.0
_MEGABYTES = 64


def cut(stage: Stage) -> Outcome:
    """All that was acknowledged is there when the power is back."""
    return _cuts(stage)


def cut_while_spilling(stage: Stage) -> Outcome:
    """The same for events in the spill file."""
    return _cuts(stage, locked=True)


def cut_with_normal(stage: Stage) -> Outcome:
    """The control: synchronous=NORMAL loses what came after the last checkpoint."""
    return _cuts(stage, synchronous="NORMAL", rounds=1)


def _cuts(stage: Stage, *, synchronous: str | None = None, locked: bool = False, rounds: int = 5) -> Outcome:
    acknowledged = 0
    for number in range(stage.rounds(rounds)):
        with ext4_disk(stage.sub(number), _MEGABYTES) as disk:
            acknowledged += _cut(disk, synchronous, locked=locked, seconds=stage.seconds(_SECONDS))
    return Outcome(stage.rounds(rounds), {"acknowledged": acknowledged, "lost": 0})


def _cut(disk: Ext4, synchronous: str | None, *, locked: bool, seconds: float) -> int:
    path = disk.mount / "metrics.db"
    with Recording(Plan(path, rate=_RATE, synchronous=synchronous)) as recording, ExitStack() as lock:
        if locked:
            lock.enter_context(write_lock(path))
        time.sleep(seconds)
        disk.cut()
        recording.kill()
        lock.pop_all()  # its end would write to a disk without power; the connection goes with its last name
    disk.mount_again()
    expect(recording.last.acknowledged > 0, "nothing was acknowledged before the cut")
    if not path.exists():
        raise Broken("the database is gone")
    run_once(path)
    return check([recording], path)
