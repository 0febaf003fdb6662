"""The verdict that trials share cannot call a broken promise kept."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.conftest import MakeEvent
from tests.support.traffic import rows
from tests.support.traffic.calls import Outcome
from tests.support.verdict import Promise, counters_in, faults_in, not_once, table, tried, uncounted

KEPT = Promise("a promise", kept=True, found="all")
BROKEN = Promise("another promise", kept=False, found="a row is missing")
CLEAN = {"received": 3, "written": 3, "batches": 1}
GOOD = (1, 200, None, None)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"a": 1}, "b: 0 rows instead of 2"),
        ({"a": 1, "b": 3}, "b: 3 rows instead of 2"),
        ({"a": 1, "b": 2, "c": 1}, "c: 1 rows instead of 0"),
        ({"a": 1, "b": 2, "none": 1}, "none: 1 rows instead of 0"),
    ],
    ids=["missing", "too many", "nobody's", "not to be recorded"],
)
def test_a_call_that_has_not_its_rows_is_a_problem(found: dict[str, int], problem: str) -> None:
    assert not_once(found, {"a": 1, "b": 2, "none": 0}) == [problem]


def test_calls_that_have_their_rows_are_none() -> None:
    assert not_once({"a": 1, "b": 2}, {"a": 1, "b": 2, "none": 0}) == []


@pytest.mark.parametrize(
    "counters",
    [
        CLEAN | {"dropped_queue_full": 1},
        CLEAN | {"parser_errors": 1},
        CLEAN | {"rejected": 1},
        CLEAN | {"received": 4},
        CLEAN | {"written": 4},
        CLEAN | {"received": 4, "unrecognised": 1},
        CLEAN | {"received": 4, "spilled": 1},
        {"received": 3},
    ],
    ids=str,
)
def test_an_event_that_was_not_simply_written_is_a_problem(counters: dict[str, int]) -> None:
    assert uncounted(counters) != []


def test_an_event_may_end_in_any_of_the_counters_that_are_named() -> None:
    assert uncounted(CLEAN) == []
    assert uncounted(CLEAN | {"dropped_queue_full": 0}) == []
    assert uncounted({"received": 4, "written": 3, "unrecognised": 1}, stored=("written", "unrecognised")) == []


def test_counters_of_all_recorders_are_added_up(db_path: Path, make_event: MakeEvent) -> None:
    for number in range(2):
        recorder = Recorder(db_path)
        recorder.open()
        recorder.start()
        recorder.submit(make_event(event_id=f"{number:032x}"))
        recorder.close()
    counters = counters_in(db_path)
    assert (counters["received"], counters["written"]) == (2, 2)


@pytest.mark.parametrize("log", ["Traceback (most recent call last):", "LLM metrics: A fault in chunk: KeyError"])
def test_a_fault_in_the_log_is_a_problem(log: str) -> None:
    assert faults_in(f"started\n{log}\nended") != []
    assert faults_in("started\nended") == []


def test_a_promise_with_problems_is_broken_and_shows_the_first_of_them() -> None:
    promise = Promise.unless([f"problem {number}" for number in range(7)], "all is well", "fine")
    assert not promise.kept
    assert promise.found.startswith("problem 0; problem 1; ")
    assert promise.found.endswith(" and 2 more")
    assert Promise.unless([], "all is well", "fine") == Promise("all is well", kept=True, found="fine")


def test_the_table_names_what_is_broken() -> None:
    assert table([KEPT, BROKEN]).splitlines() == [
        "ok      a promise        all",
        "BROKEN  another promise  a row is missing",
    ]


@pytest.mark.parametrize(("judged", "code"), [([KEPT], 0), ([KEPT, BROKEN], 1), ([BROKEN, KEPT], 1), ([], 1)], ids=str)
def test_a_trial_with_a_broken_promise_or_with_none_at_all_fails(judged: Sequence[Promise], code: int) -> None:
    folders = []

    async def trial(folder: Path) -> Sequence[Promise]:
        await asyncio.sleep(0)
        folders.append(folder)
        return judged

    assert tried("x", None, trial) == code
    assert not folders[0].exists()


def test_a_trial_that_was_interrupted_fails_and_what_it_keeps_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def trial(folder: Path) -> Sequence[Promise]:
        (folder / "kept").touch()
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    assert tried("x", tmp_path / "here", trial) == 1
    assert (tmp_path / "here" / "kept").exists()
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("origins", "outcome", "broken"),
    [
        (["a", "b"], GOOD, set()),
        (["a"], GOOD, {"every call has its rows, once"}),
        (["a", "b", "b"], GOOD, {"every call has its rows, once"}),
        (["a", "b", "c"], GOOD, {"every call has its rows, once"}),
        (["a", "b"], (0, 200, None, None), {"every row says how the call ended"}),
        (["a", "b"], (1, 201, None, None), {"every row says how the call ended"}),
        (["a", "b"], (1, 200, "timeout", None), {"every row says how the call ended"}),
        (["a", "b"], (1, 200, None, 7), {"every row says how the call ended"}),
    ],
)
def test_rows_of_mixed_calls_are_judged_call_by_call(
    db_path: Path, make_event: MakeEvent, origins: list[str], outcome: Outcome, broken: set[str]
) -> None:
    recorder = Recorder(db_path)
    recorder.open()
    recorder.start()
    for number, origin in enumerate(origins):
        recorder.submit(make_event(origin=origin, event_id=f"{number:032x}"))
    recorder.close()
    judged = rows.promises(db_path, {"a": (GOOD,), "b": (outcome,)})
    assert {promise.what for promise in judged if not promise.kept} == broken
