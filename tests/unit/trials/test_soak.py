"""The soak of tests/trials/soak/ for a few seconds, and that its verdict cannot call a broken promise kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.conftest import MakeEvent
from tests.support.process_watch import Sample, Watched, slope
from tests.support.proxy import ROOT
from tests.support.traffic.client import trusting
from tests.support.traffic.users import Traffic
from tests.trials import record
from tests.trials.soak.verdict import Result, promises

GOOD = (1, 200, None, 19)


def test_a_short_soak_keeps_every_promise(tmp_path: Path) -> None:
    figures = tmp_path / "soak.json"
    command = [sys.executable, "-m", "tests.trials.soak", "--seconds", "10", "--rate", "30", "--json", str(figures)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=90)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = record.read(figures)
    assert len(found.checks) == 12
    assert {check.result for check in found.checks} == {"kept"}
    assert found.tries == sum(found.kinds.values()) > 100
    assert len(found.kinds) >= 8
    assert found.figures.keys() >= {"no-op", "ours"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("soak-")] == []


def _result(
    name: str, samples: list[Sample], **expected: tuple[tuple[int, int, str | None, int | None], ...]
) -> Result:
    traffic = Traffic(name, 0, trusting(), {}, expected=expected)
    return Result(traffic, Watched(0, samples), 0, "")


def _steady(rss: float = 80.0, *, growth: float = 0.0, files: int = 10, more_files: int = 0) -> list[Sample]:
    samples = [Sample(calls, rss + growth * calls / 1000, files, 3) for calls in range(0, 20_000, 100)]
    return [*samples, Sample(20_000, rss + growth * 20, files + more_files, 3)]


def _broken(tmp_path: Path, make_event: MakeEvent, ours: Result, origins: list[str]) -> set[str]:
    recorder = Recorder(tmp_path / "metrics.db")
    recorder.open()
    recorder.start()
    for number, origin in enumerate(origins):
        recorder.submit(make_event(origin=origin, event_id=f"{number:032x}", total_tokens=19))
    recorder.close()
    judged = promises(_result("no-op", _steady()), ours, tmp_path / "metrics.db")
    return {promise.what for promise in judged if not promise.kept}


def test_a_run_in_which_all_went_well_breaks_no_promise(tmp_path: Path, make_event: MakeEvent) -> None:
    ours = _result("ours", _steady(growth=0.3), a=(GOOD,), b=(GOOD, GOOD), none=())
    assert _broken(tmp_path, make_event, ours, ["a", "b", "b"]) == set()


def test_a_missing_row_a_double_row_and_a_strange_row_are_noticed(tmp_path: Path, make_event: MakeEvent) -> None:
    for number, origins in enumerate((["a"], ["a", "b", "b"], ["a", "b", "c"], ["b", "b"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        ours = _result("ours", _steady(), a=(GOOD,), b=(GOOD,))
        assert _broken(folder, make_event, ours, origins) == {"every call has its rows, once"}


def test_a_row_that_says_something_else_is_noticed(tmp_path: Path, make_event: MakeEvent) -> None:
    for number, wrong in enumerate(((0, 200, None, 19), (1, 200, None, 20), (1, 200, "timeout", 19))):
        folder = tmp_path / str(number)
        folder.mkdir()
        ours = _result("ours", _steady(), a=(wrong,))
        assert _broken(folder, make_event, ours, ["a"]) == {"every row says how the call ended"}


def test_growth_is_noticed(tmp_path: Path, make_event: MakeEvent) -> None:
    leaking = _result("ours", _steady(growth=1.1, more_files=5))
    assert _broken(tmp_path, make_event, leaking, []) == {
        "memory grows no faster than the no-op's",
        "the most memory",
        "open files at the end",
    }


def test_an_answer_that_was_not_as_sent_and_a_fault_in_the_log_are_noticed(
    tmp_path: Path, make_event: MakeEvent
) -> None:
    ours = _result("ours", _steady())
    ours.traffic.wrong.append("small JSON, ours-1: WrongAnswerError")
    faulty = Result(ours.traffic, ours.watched, 0, "LLM metrics: A fault in chunk: KeyError")
    assert _broken(tmp_path, make_event, faulty, []) == {
        "ours: every answer as sent",
        "ours: it ends well and logs no fault",
    }


def test_the_slope_is_the_growth_in_a_thousand_calls() -> None:
    assert slope(_steady(growth=2.0)) == pytest.approx(2.0)
