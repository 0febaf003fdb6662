"""The fault tests of tests/trials/torture/ with few rounds, and that their harness cannot call a failure passed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.trials.torture import (
    copies,
    full,
    hygiene,
    kills,
    loads,
    moved,
    restores,
    rights,
    spilling,
    starting,
    users,
)
from tests.trials.torture.case import Blocked, Broken, Case, Outcome, Stage, expect
from tests.trials.torture.catalogue import CASES
from tests.trials.torture.report import as_record, perform, table

_MOVED = [
    ("all three unlinked", 4),
    ("only -wal unlinked", 4),
    ("renamed away", 1),
    ("replaced by another of ours", 4),
    ("replaced by a text file", 1),
]
BOUNDED: dict[str, tuple[Callable[[Stage], Outcome], int]] = {
    "T1 of four starters one migrates": (starting.together, 3),
    "T2 a killed migration": (starting.killed, 5),
    "T3 a killed recorder": (kills.killed, 5),
    "T5 backups under load": (copies.backups, 5),
    "T7 restores under load": (restores.live, 3),
    "T7 a killed restore": (restores.killed, 5),
    "T8 files that cannot grow": (full.file_size_limit, 1),
    **{f"T9 {how}, {n}": (partial(moved.moved, how=how, recorders=n), 1) for how, n in _MOVED},
    "T12 planted links": (rights.planted_links, 1),
    "T13 backups at once": (copies.same_millisecond, 5),
    "T14 damaged lines": (spilling.damaged_lines, 1),
    "T14 bounds": (spilling.bounds, 1),
    "T15 opens": (hygiene.opened, 1),
    "T16 a reader that stays": (loads.pinned_wal, 1),
    "T17 lateness": (loads.lateness, 1),
    "T18 sqlite-utils": (users.actions, 1),
    "T18 transform": (users.transform, 1),
    "T24 edits of users": (users.edits, 12),
    "T19 poison": (loads.poison, 2),
    "T20 the end under a lock": (loads.closed_while_locked, 1),
    "T3 what killed recorders leave": (kills.left_behind, 2),
    "T9 removed while idle": (moved.removed_while_idle, 1),
}
CONTROLS: dict[str, tuple[Callable[[Stage], Outcome], int]] = {
    "T1 without the outer lock": (starting.together_without_lock, 10),
    "T3 false acknowledgements": (kills.killed_with_false_acknowledgements, 5),
    "T5 shutil.copy": (copies.plain_copies, 20),
    "T7 renamed over the live file": (restores.live_by_rename, 3),
    "T15 a careless process": (hygiene.opened_carelessly, 1),
}


def passes(_stage: Stage) -> Outcome:
    return Outcome(3, {"rows": 5})


def breaks(_stage: Stage) -> Outcome:
    expect([], "a row is lost")
    return Outcome(1)


def blocks(_stage: Stage) -> Outcome:
    reason = "only root may mount"
    raise Blocked(reason)


def fails(_stage: Stage) -> Outcome:
    return Outcome(1 // 0)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    folder = tmp_path / "stage"
    folder.mkdir()
    return Stage(folder)


@pytest.mark.parametrize("name", BOUNDED)
def test_the_promise_holds(name: str, stage: Stage) -> None:
    run, rounds = BOUNDED[name]
    try:
        run(Stage(stage.folder, rounds_wanted=rounds, seconds_wanted=1, slack=5))
    except Blocked as blocked:
        pytest.skip(str(blocked))


@pytest.mark.parametrize("name", CONTROLS)
def test_a_known_weakness_is_found(name: str, stage: Stage) -> None:
    run, rounds = CONTROLS[name]
    try:
        with pytest.raises(Broken):
            run(Stage(stage.folder, rounds_wanted=rounds))
    except Blocked as blocked:
        pytest.skip(str(blocked))


def test_every_fault_test_is_in_the_catalogue_with_the_controls_that_were_asked_for() -> None:
    assert {case.id for case in CASES} >= {f"T{number}" for number in range(1, 21)}
    assert {case.id for case in CASES if case.is_control} >= {"T1", "T4", "T5"}


@pytest.mark.parametrize(
    ("run", "kind", "result"),
    [
        (passes, "test", "PASSED"),
        (breaks, "test", "FAILED"),
        (blocks, "test", "BLOCKED"),
        (fails, "test", "FAILED"),
        (passes, "control", "FAILED"),
        (breaks, "control", "PASSED"),
        (blocks, "control", "BLOCKED"),
        (fails, "control", "FAILED"),
    ],
)
def test_what_cannot_run_is_blocked_and_a_control_that_finds_nothing_fails(
    run: Callable[[Stage], Outcome], kind: str, result: str, stage: Stage
) -> None:
    assert perform(Case("T0", "a test", run, is_control=kind == "control"), stage).result == result


def test_the_table_shows_reasons_and_figures_and_sums(stage: Stage) -> None:
    lines = [perform(Case("T0", "a test", run), stage) for run in (passes, breaks, blocks)]
    text = table(lines)
    assert "rows 5" in text
    assert "a row is lost" in text
    assert "1 PASSED, 1 FAILED, 1 BLOCKED" in text


def test_a_record_has_each_case_with_its_rounds(stage: Stage) -> None:
    cases = [Case("T0", "a test", run) for run in (passes, breaks, blocks)]
    found = as_record([perform(case, stage) for case in cases], 1.0)
    assert [(check.result, check.tries) for check in found.checks] == [("kept", 3), ("broken", 1), ("blocked", 1)]
    assert {check.name for check in found.checks} == {"T0: a test"}


def test_what_does_not_hold_is_broken() -> None:
    expect([0], "never")
    with pytest.raises(Broken, match="2 rows"):
        expect(0, "2 rows are missing")
