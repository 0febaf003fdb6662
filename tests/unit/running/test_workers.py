"""How many workers there are, what one says of itself, and when one of its connections is idle."""

import json
import os
import time
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.client_setup import signature
from llm_metrics_proxy.recorder.client_setup.place import Place, is_greeted, place
from llm_metrics_proxy.recorder.running import worker
from llm_metrics_proxy.recorder.running.count import cores, workers_of
from llm_metrics_proxy.recorder.running.losses import how_it_ended


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("64", 64), ("007", 7)])
def test_a_number_is_that_many_workers(text: str, count: int) -> None:
    assert workers_of(text) == count


@pytest.mark.parametrize("text", ["auto", " AUTO "])
def test_auto_is_one_for_each_core(text: str) -> None:
    assert workers_of(text) == min(cores(), 64)


@pytest.mark.parametrize("text", ["0", "65", "-1", "+2", "2.0", "", "two", "²", "٢", "9" * 5000])
def test_anything_else_is_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no number of workers: write 1 to 64, or auto"):
        workers_of(text)


@pytest.mark.parametrize(
    ("quota", "found"), [("max 100000", None), ("150000 100000", 1), ("50000 100000", 1), ("nonsense", None)]
)
def test_a_container_has_no_more_cores_than_its_quota(quota: str, found: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert cores(tmp_path / "cpu.max") == (found or os.process_cpu_count())
    assert cores(tmp_path / "missing") == os.process_cpu_count()


def test_a_worker_says_which_it_is_and_a_proxy_alone_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (place(), is_greeted()) == (None, False)
    assert json.loads(signature.answer("a")).keys() == {"llm_metrics_proxy", "recorder"}
    for name, value in Place(2, 4).environment(greeted=True).items():
        monkeypatch.setenv(name, value)
    assert (place(), is_greeted()) == (Place(2, 4), True)
    said = signature.answer("a")
    assert json.loads(said)["worker"] == 2
    found = signature.read(said)
    assert found is not None
    assert (found.workers, found.recorder) == (4, signature.fingerprint("a"))


@pytest.mark.parametrize("text", ["", "2", "2/", "/4", "a/b", "2/4/6"])
def test_a_variable_that_says_no_place_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = Place(2, 4).environment(greeted=False)
    monkeypatch.setenv(name, text)
    assert place() is None


@pytest.mark.parametrize(
    ("code", "said"), [(0, "ended with exit code 0"), (-9, "was ended by SIGKILL"), (-63, "was ended by signal 63")]
)
def test_an_end_is_said_in_words(code: int, said: str) -> None:
    assert how_it_ended(code) == said


def test_a_connection_is_idle_after_its_last_call_and_never_before_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    connection = worker.Connection()
    assert not connection.is_idle(now + 1000), "it may be a tunnel, of which nobody hears"
    connection.begin("a")
    connection.begin("b")
    connection.end("a")
    assert not connection.is_idle(now + 1000)
    connection.end("b")
    connection.end("b")
    assert not connection.is_idle(now + 0.4), "another call may follow at once"
    assert connection.is_idle(now + 0.6)
    connection.begin("c")
    assert not connection.is_idle(now + 1000)
