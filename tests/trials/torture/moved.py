"""T9: the database's files are removed, renamed or replaced under running recorders."""

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.faults import MOVES, copy_over
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.verdict import check, check_sound, ids, run_once, spilled_ids, wait_until

_RATE = 200
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


def copied_over(stage: Stage) -> Outcome:
    """`cp other.db metrics.db`: SQLite cannot survive it, so only what came later counts, and that nothing crashes."""
    rounds = stage.rounds(3)
    ends: dict[str, int] = {}
    for number in range(rounds):
        path = stage.sub(number) / "metrics.db"
        with Recording(Plan(path, rate=_RATE)) as recording:
            wait_until(partial(_further, recording, _RATE), "events are recorded")
            copy_over(path)
            first = recording.last.submitted
            wait_until(partial(_further, recording, first + 2 * _RATE), "events are durable again")
            last = recording.stop()
        end = _end_of(path, recording, range(first + _RATE, last.submitted))
        ends[end] = ends.get(end, 0) + 1
    return Outcome(rounds, ends)


def _end_of(path: Path, recording: Recording, numbers: range) -> str:
    """Say what became of the database and of the later events."""
    try:
        check_sound(path)
        found = set(ids(path))
        end = "database sound"
    except Exception:  # noqa: BLE001 - the file is what somebody made of it
        found = set()
        end = "database damaged, later events in the spill file"
    for file in path.parent.glob("*.salvaged"):
        found |= set(ids(file))
    found |= spilled_ids(path)
    missing = sum(recording.plan.event_id(n) not in found for n in numbers)
    expect(not missing, f"{missing} of {len(numbers)} events after the copy are lost ({end})")
    return end


def _further(recording: Recording, number: int) -> bool:
    return recording.last.acknowledged >= number
