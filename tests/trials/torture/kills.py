"""T3: the recorder is killed at random moments under load, again and again on the same file."""

import random
import time
from contextlib import ExitStack
from functools import partial

from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import spill
from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.faults import write_lock
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.verdict import ask, check, run_once, wait_until

_RATE = 500
_LONGEST = 0.6  # seconds of life
_LOCKED_SHARE = 0.3  # of the lives: the database is locked then, and the spill file takes the events
_LOCK_WAIT = 0.5  # seconds until a recorder keeps events aside
_PER_CHECK = 20


def killed(stage: Stage) -> Outcome:
    """All that was acknowledged is there, once, and the file is sound."""
    return _killed(stage, trusting=False, rounds=200)


def killed_with_false_acknowledgements(stage: Stage) -> Outcome:
    """The control: what was only submitted counts as acknowledged, so that the kills must be seen."""
    return _killed(stage, trusting=True, rounds=10)


def left_behind(stage: Stage) -> Outcome:
    """A recorder that starts and ends after killed ones leaves nothing of theirs: a supervisor restarts for ever."""
    path = stage.folder / "metrics.db"
    rounds = stage.rounds(5)
    for _ in range(rounds):
        with Recording(Plan(path)) as recording:
            wait_until(partial(_has_recorded, recording), "events are recorded")
            recording.kill()
    run_once(path)
    folder = spill_folder.folder_of(path)
    left = [file for file in folder.iterdir() if file.is_file()] if folder.exists() else []
    size = sum(file.stat().st_size for file in left)
    names = sorted(file.name for file in left)
    expect(not left, f"{len(left)} files of {rounds} killed recorders stay for ever, {size / 1e6:.1f} MB: {names[:1]}")
    return Outcome(rounds)


def _has_recorded(recording: Recording) -> bool:
    return recording.last.acknowledged > 0


def _killed(stage: Stage, *, trusting: bool, rounds: int) -> Outcome:
    rounds = stage.rounds(rounds)
    path = stage.folder / "metrics.db"
    lives: list[Recording] = []
    left_spilled = 0
    for number in range(rounds):
        with Recording(Plan(path, rate=_RATE, trusting=trusting)) as recording, ExitStack() as lock:
            life = random.uniform(0.02, _LONGEST)
            if random.random() < _LOCKED_SHARE:
                lock.enter_context(write_lock(path))
                life += _LOCK_WAIT
            time.sleep(life)
            recording.kill()
        lives.append(recording)
        left_spilled += bool(spill.files(spill_folder.folder_of(path)))
        if number % _PER_CHECK == _PER_CHECK - 1:
            check(lives, path, waiting=True)
    run_once(path)
    acknowledged = check(lives, path)
    ((rows,),) = ask(path, "SELECT count(*) FROM completion_requests")
    expect(trusting or acknowledged > 0, "nothing was acknowledged at all")
    figures = {"acknowledged": acknowledged, "rows": rows, "lives that left a spill file": left_spilled}
    return Outcome(rounds, figures)
