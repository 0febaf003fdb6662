"""T18: people use sqlite-utils on the file while it is being written."""

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.edits import (
    ADDITIONS,
    EXPRESSION_INDEX,
    OBSTACLES,
    REPAIR,
    Edit,
    Step,
    run_sqlite_utils,
    take,
)
from tests.trials.torture.load import Plan
from tests.trials.torture.proxied import called, check_calls
from tests.trials.torture.recording import Recording
from tests.trials.torture.verdict import ask, check, run_once, stored, until_written, wait_until

_ROOT = Path(__file__).parents[3]
_RATE = 200
_ROUNDS = len(ADDITIONS) + len(OBSTACLES)
_SOME = 20  # events
_PROXIED = ("add-column", "create-index", "enable-fts", "ignore some", "ignore all", "transform --rename", "extract")
# What is typed after the name of the database; `transform` comes last, since recording into that table ends with it.
ACTIONS: dict[str, Sequence[str]] = {
    "rows": ("rows", "DB", "completion_requests", "--limit", "5"),
    "insert": ("insert", "DB", "completion_requests", "-"),
    "delete": ("query", "DB", "delete from completion_requests where model = 'by hand'"),
    "create-index": ("create-index", "DB", "completion_requests", "http_version"),
    "vacuum": ("vacuum", "DB"),
    "analyze": ("analyze", "DB"),
    "disable-wal": ("disable-wal", "DB"),
    "enable-wal": ("enable-wal", "DB"),
    "optimize": ("optimize", "DB"),
    "migrate": ("migrate", "DB", str(_ROOT / "migrations")),
    "create a table": ("insert", "DB", "theirs", "-"),
}
_TRANSFORM = ("transform", "DB", "completion_requests", "--rename", "server_timing", "timing")


def actions(stage: Stage) -> Outcome:
    """Whatever they type, no event is lost."""
    path = stage.folder / "metrics.db"
    rounds = stage.rounds(2)
    codes: dict[str, int] = {}
    with Recording(Plan(path, rate=_RATE)) as recording:
        for _ in range(rounds):
            for name, words in ACTIONS.items():
                codes[name] = run_sqlite_utils(path, words)
                at = recording.last.acknowledged
                wait_until(lambda at=at: recording.last.acknowledged > at + 20, f"recording goes on after {name}")  # type: ignore[misc] # a default
        last = recording.stop()
    run_once(path)
    check([recording], path)
    refused = ", ".join(name for name, code in codes.items() if code)
    figures: dict[str, object] = {"actions": len(ACTIONS), "kept aside": last.counters.get("spilled", 0)}
    return Outcome(rounds, figures | {"waited at most ms": round(last.longest_wait_ms), "refused": refused or "none"})


def transform(stage: Stage) -> Outcome:
    """`sqlite-utils transform` makes another table of ours: events wait in the spill file until it is repaired."""
    path = stage.folder / "metrics.db"
    with Recording(Plan(path, rate=_RATE)) as recording:
        wait_until(lambda: recording.last.acknowledged > _RATE, "events are recorded")
        expect(run_sqlite_utils(path, _TRANSFORM) == 0, "transform failed")
        wait_until(lambda: recording.last.counters.get("spilled", 0) > _RATE, "events are kept aside")
        recording.stop()
    check([recording], path, waiting=True)
    figures: dict[str, object] = {"kept aside": recording.last.counters["spilled"]}
    take(path, REPAIR)
    run_once(path)
    check([recording], path)
    return Outcome(1, figures)


def edits(stage: Stage) -> Outcome:
    """Random edits while calls are recorded: what they add stays, and what keeps calls out loses none."""
    path = stage.folder / "metrics.db"
    rounds = min(stage.rounds(_ROUNDS), _ROUNDS)  # some edits leave what a second one of them would meet
    chance = random.Random(rounds)  # the same edits each time
    present: dict[str, Edit] = {}
    longest = 0.0
    with Recording(Plan(path, rate=_RATE)) as recording:
        wait_until(lambda: stored(recording) > _RATE, "events are recorded")
        for edit in _chosen(chance, rounds):
            if edit.fate == "recorded":
                _toggle(path, edit, present)
            else:
                _obstruct(path, edit, recording, present)
            longest = max(longest, until_written(recording, edit.name))
            _check_present(path, present)
        last = recording.stop()
    check([recording], path)
    _check_present(path, present)
    run_once(path)
    check([recording], path)
    _check_present(path, present)
    figures = {"additions left": len(present), "kept aside": last.counters.get("spilled", 0)}
    return Outcome(rounds, figures | {"back within s": round(longest, 1)})


def proxied(stage: Stage) -> Outcome:
    """The same by turns through a real mitmdump: every call succeeds and is one row, in spite of all edits."""
    folder = stage.sub("proxy")
    chosen = [edit for edit in (*ADDITIONS, *OBSTACLES) if edit.name in _PROXIED]
    with called(stage, folder) as (path, end):
        wait_until(lambda: ask(path, "SELECT 1 FROM completion_requests"), "calls are recorded")
        for edit in chosen:
            _take_all(path, edit.do)
            time.sleep(1)
            if edit.fate != "recorded":
                _take_all(path, edit.undo)
        calls = end()
    check_calls(calls, path)
    return Outcome(len(chosen), {"calls": len(calls), "lost": 0})


def _chosen(chance: random.Random, rounds: int) -> list[Edit]:
    """So many of them, each at most once, in an order of its own."""
    return chance.sample([*ADDITIONS, *OBSTACLES], rounds)


def _toggle(path: Path, edit: Edit, present: dict[str, Edit]) -> None:
    """Add it, or take it back if it is there."""
    if present.pop(edit.name, None):
        _take_all(path, edit.undo)
    else:
        present[edit.name] = edit
        _take_all(path, edit.do)


def _obstruct(path: Path, edit: Edit, recording: Recording, present: dict[str, Edit]) -> None:
    """Keep calls out for a moment, then no longer."""
    if EXPRESSION_INDEX in present:
        _toggle(path, present[EXPRESSION_INDEX], present)
    _take_all(path, edit.do)
    if edit.name != "rename-table":  # sqlite-utils itself drops triggers and generated columns of what it transforms
        gone = [name for name, addition in present.items() if not ask(path, addition.sign)]
        for name in gone:
            del present[name]
    aside = recording.last.counters.get("spilled", 0)
    wait_until(lambda: recording.last.counters.get("spilled", 0) > aside + _SOME, f"calls are kept aside: {edit.name}")
    if edit.fate == "partly":
        at = stored(recording)
        wait_until(lambda: stored(recording) > at + _SOME, f"other calls are recorded: {edit.name}")
    _take_all(path, edit.undo)


def _take_all(path: Path, steps: Sequence[Step]) -> None:
    for step in steps:
        take(path, step)


def _check_present(path: Path, present: Mapping[str, Edit]) -> None:
    gone = [name for name, edit in present.items() if not ask(path, edit.sign)]
    expect(not gone, f"what users added is gone: {', '.join(gone)}")
