"""Calls that have ended get their rows later, in turns that hold nobody up, and none is forgotten."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import override

import pytest

from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.inflight import InFlight
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.starting.log_lines import Complaints
from llm_metrics_proxy.recorder.recorder import Recorder
from tests.support.database import ask, rows
from tests.support.exchanges import MS, exchange, sse

_TURN_SECONDS = 0.003
_PROMISED_SECONDS = 0.25 - 0.1  # what the recorder leaves of it


class _Loop:
    """What an event loop was asked to do later."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self.asked.append((seconds, do))

    def turn(self) -> float:
        """Do what was asked first; return how long that was to wait."""
        seconds, do = self.asked.pop(0)
        do()
        return seconds


@pytest.fixture
def loop() -> _Loop:
    return _Loop()


@pytest.fixture
def calls(loop: _Loop, recorder: Recorder) -> InFlight:
    made = InFlight(Complaints(), loop.later, time.monotonic_ns)
    made.recorder = recorder
    return made


def _end(calls: InFlight, count: int, at: int = 900 * MS) -> None:
    for number in range(count):
        calls.begin(f"{at} {number}", exchange([sse({"choices": [{"delta": {"content": "Rhine"}}]}, "[DONE]")]))
        calls.end(f"{at} {number}", Cause.COMPLETE, at)


def test_a_call_costs_nothing_at_its_end_and_has_its_row_in_time(
    calls: InFlight, loop: _Loop, recorder: Recorder
) -> None:
    _end(calls, 1)
    assert recorder.counters() == {}
    assert loop.turn() < _PROMISED_SECONDS
    assert recorder.counters()["received"] == 1


def test_many_calls_are_settled_in_short_turns_one_after_the_other(
    calls: InFlight, loop: _Loop, recorder: Recorder
) -> None:
    for number in range(4):
        calls.begin(f"open {number}", exchange())
    _end(calls, 400, at=time.monotonic_ns() + 3600_000 * MS)  # however slow this machine is, they are not late
    assert len(loop.asked) == 1, "one turn for all"
    loop.turn()
    assert recorder.counters()["received"] < 400, "a turn ends when its time is up"
    turns = []
    while loop.asked:
        began = time.thread_time()
        assert loop.turn() == 0, "what is left comes as soon as the others had their turn"
        turns.append(time.thread_time() - began)
    assert sorted(turns)[len(turns) // 2] < _TURN_SECONDS
    assert recorder.counters()["received"] == 400


@pytest.mark.parametrize("turn", [(0, 2, 0.002), (4, 4, 0)])
def test_turns_are_short_where_few_calls_are_in_flight(
    turn: tuple[int, int, float], loop: _Loop, recorder: Recorder
) -> None:
    in_flight, settled, pause = turn
    clock = itertools.count(900 * MS, MS // 5)  # each look at it is 0.2 ms later
    calls = InFlight(Complaints(), loop.later, lambda: next(clock))
    calls.recorder = recorder
    _end(calls, 40)
    for number in range(in_flight):
        calls.begin(f"open {number}", exchange())
    loop.turn()
    assert recorder.counters()["received"] == settled
    assert [seconds for seconds, _ in loop.asked] == [pause]


@pytest.mark.parametrize(("late", "settled", "pauses"), [(40, 40, [0.002]), (99, 99, [0.002]), (300, 99, [0])])
def test_a_turn_goes_on_until_none_is_late_but_not_for_ever(
    late: int, settled: int, pauses: list[float], loop: _Loop, recorder: Recorder
) -> None:
    clock = itertools.count(1001 * MS, MS // 5)
    calls = InFlight(Complaints(), loop.later, lambda: next(clock))
    calls.recorder = recorder
    _end(calls, late)
    _end(calls, 40, at=1000 * MS)
    loop.turn()
    assert recorder.counters()["received"] == settled
    assert [seconds for seconds, _ in loop.asked] == pauses


def test_the_end_settles_all_at_once(calls: InFlight, recorder: Recorder) -> None:
    _end(calls, 40)
    calls.begin("open", exchange())
    calls.end_all(Cause.PROXY_SHUTDOWN, 900 * MS)
    assert recorder.counters()["received"] == 41


def test_a_turn_that_finds_nothing_is_no_fault(calls: InFlight, loop: _Loop, recorder: Recorder) -> None:
    _end(calls, 1)
    calls.end_all(Cause.PROXY_SHUTDOWN, 900 * MS)
    loop.turn()
    assert recorder.counters() == {"received": 1}


def test_a_call_that_cannot_be_settled_keeps_no_other_from_it(
    calls: InFlight, loop: _Loop, recorder: Recorder, db_path: Path
) -> None:
    class Broken(Exchange):
        @override
        def finish(self, cause: Cause, at: int, reason: str = "") -> None:
            raise ZeroDivisionError(cause, at, reason)

    good = exchange()
    calls.begin("broken", Broken(good._opening))  # noqa: SLF001 - its own kind
    calls.end("broken", Cause.COMPLETE, 900 * MS)
    _end(calls, 2)
    while loop.asked:
        loop.turn()
    recorder.close()
    assert rows(db_path) == 2
    assert ask(db_path, "SELECT value FROM recorder_counters WHERE name = 'addon_errors'") == [(2,)]


def test_a_turn_that_could_not_be_asked_for_is_asked_for_again(loop: _Loop, recorder: Recorder) -> None:
    refusals = iter([True])

    def later(seconds: float, do: Callable[[], None]) -> None:
        if next(refusals, False):
            raise RuntimeError
        loop.later(seconds, do)

    calls = InFlight(Complaints(), later, time.monotonic_ns)
    calls.recorder = recorder
    with pytest.raises(RuntimeError):
        _end(calls, 1)
    _end(calls, 1)
    while loop.asked:
        loop.turn()
    assert recorder.counters()["received"] == 2
