"""T9: the database's files are removed, renamed or replaced under running recorders."""

import random
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.faults import FOLDER_MOVES, MOVES
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.verdict import check, run_once, wait_until

_RATE = 200
_LONGEST_BEFORE = 3.5  # seconds: more than one checkpoint
_AT_THE_END = 0.6  # the others end at once, with events that wait
_NOT_A_DATABASE = "replaced by a text file"


def moved(stage: Stage, *, how: str, recorders: int) -> Outcome:
    """All is in the database, or in the file beside it that holds what the old one held."""
    salvaged = 0
    delays = []
    rounds = stage.rounds(3)
    for number in range(rounds):
        path = stage.sub(number) / "metrics.db"
        with ExitStack() as running:
            all_of_them = [running.enter_context(Recording(Plan(path, rate=_RATE))) for _ in range(recorders)]
            for one in all_of_them:
                wait_until(lambda one=one: one.last.acknowledged > _RATE // 2, "events are recorded")  # type: ignore[misc] # a default
            before = [one.last.acknowledged for one in all_of_them]
            MOVES[how](path)
            time.sleep(1.2)
            if how == _NOT_A_DATABASE:
                path.unlink()
            for one, n in zip(all_of_them, before, strict=True):
                wait_until(partial(_further, one, n + _RATE), f"events are durable again ({how})")
            for one in all_of_them:
                one.stop()
        run_once(path)
        beside = sorted(path.parent.glob("*.salvaged"))
        check(all_of_them, path, beside=beside)
        salvaged = max(salvaged, len(beside))
        delays.append(max(one.last.longest_wait_ms for one in all_of_them))
    figures = {"an event waited at most ms": round(max(delays))} | ({"files beside": salvaged} if salvaged else {})
    return Outcome(rounds, figures)


def removed_while_idle(stage: Stage) -> Outcome:
    """Nothing is recorded any more, the files are removed, and the recorder ends: all is back."""
    rounds = stage.rounds(3)
    for number in range(rounds):
        path = stage.sub(number) / "metrics.db"
        with Recording(Plan(path, rate=_RATE, most=_RATE)) as recording:
            wait_until(partial(_further, recording, _RATE), "events are recorded")
            time.sleep(0.5)
            MOVES["all three unlinked"](path)
            recording.stop()
        run_once(path)
        check([recording], path)
    return Outcome(rounds, {"events": rounds * _RATE})


def folder_moved(stage: Stage, *, how: str) -> Outcome:
    """All is in our folder, wherever it is; what stands in its place is as it was put there."""
    rounds = stage.rounds(3)
    for number in range(rounds):
        folder = stage.sub(number) / "data"
        folder.mkdir()
        with Recording(Plan(folder / "metrics.db", rate=_RATE)) as recording:
            wait_until(partial(_further, recording, _RATE // 2), "events are recorded")
            time.sleep(random.uniform(0, _LONGEST_BEFORE))
            FOLDER_MOVES[how](folder)
            there = _content(folder) if folder.with_name("away").exists() else None
            if random.random() < _AT_THE_END:
                first = recording.last.acknowledged
                wait_until(partial(_further, recording, first + _RATE), f"events are durable again ({how})")
            recording.stop()
        ours = folder.with_name("away") if there is not None else folder
        expect(there is None or _content(folder) == there, f"what stands in the place of the folder changed ({how})")
        expect(not recording.last.dropped, f"{len(recording.last.dropped)} events were dropped")
        run_once(ours / "metrics.db")
        check([recording], ours / "metrics.db", beside=sorted(ours.glob("*.salvaged")))
    return Outcome(rounds)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def _further(recording: Recording, number: int) -> bool:
    return recording.last.acknowledged >= number
