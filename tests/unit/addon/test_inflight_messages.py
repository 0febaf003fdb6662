"""Messages of WebSockets are noted where they pass; they are read later, in order, in short turns, within bounds."""

import itertools
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_metrics_proxy.addon import inflight
from llm_metrics_proxy.addon.inflight import InFlight
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.starting.log_lines import Complaints
from llm_metrics_proxy.addon.websocket_protocols.session import Session
from llm_metrics_proxy.recorder.recorder import Recorder
from tests.support.database import ask
from tests.support.exchanges import MS
from tests.unit.reading.test_sessions import URLS, begun, compact

_CREATE = compact({"type": "response.create", "model": "gpt-5.5"})
_LONG = 16_000_000
_TURN_SECONDS = 0.005


@pytest.fixture
def later() -> deque[Callable[[], None]]:
    """What the loop was asked to do."""
    return deque()


@pytest.fixture
def calls(later: deque[Callable[[], None]], recorder: Recorder) -> InFlight:
    made = InFlight(Complaints(), lambda _seconds, do: later.append(do), time.monotonic_ns)
    made.recorder = recorder
    return made


def _opened(calls: InFlight, flow: str = "flow") -> Session:
    session = begun(URLS["realtime"])
    calls.begin(flow, session)
    return session


def _say(calls: InFlight, at: int, *, flow: str = "flow", **message: object) -> None:
    calls.message(flow, compact(message), at, from_client=False)


def _answer(calls: InFlight, number: int, at: int, *, flow: str = "flow") -> None:
    calls.message(flow, _CREATE, at, from_client=True)
    _say(calls, at + 10 * MS, flow=flow, type="response.created", response={"id": f"r{number}"})
    _say(calls, at + 30 * MS, flow=flow, type="response.output_text.delta", response_id=f"r{number}", delta="Be")
    usage = {"input_tokens": number, "output_tokens": 2}
    _say(calls, at + 90 * MS, flow=flow, type="response.done", response={"id": f"r{number}", "usage": usage})


def test_what_passes_is_not_read_before_its_turn_and_counts_from_where_it_passed(
    calls: InFlight, later: deque[Callable[[], None]], recorder: Recorder, db_path: Path
) -> None:
    _opened(calls)
    for number in (1, 2, 3):
        _answer(calls, number, number * 1000 * MS)
    calls.message("flow", _CREATE, 4000 * MS, from_client=True)
    calls.end("flow", Cause.UPSTREAM_DISCONNECT, 4500 * MS)
    assert recorder.counters() == {}
    assert len(later) == 1, "one turn for all"
    while later:
        later.popleft()()
    recorder.close()
    asked = (
        "SELECT prompt_tokens, time_to_first_token_ms, response_time_ms, success, error_type FROM completion_requests"
    )
    expected = [*((number, 30, 90, 1, None) for number in (1, 2, 3)), (None, None, 500, 0, "upstream_disconnect")]
    assert ask(db_path, asked) == expected


def test_sixteen_megabytes_of_audio_hold_up_nobody(
    later: deque[Callable[[], None]], recorder: Recorder, db_path: Path
) -> None:
    clock = itertools.count(0, MS // 5)  # each look at it is 0.2 ms later
    calls = InFlight(Complaints(), lambda _seconds, do: later.append(do), lambda: next(clock))
    calls.recorder = recorder
    _opened(calls)
    sound = compact({"type": "input_audio_buffer.append", "audio": "A" * _LONG})
    began = time.thread_time()
    calls.message("flow", sound, 1000 * MS, from_client=True)
    assert time.thread_time() - began < _TURN_SECONDS / 10
    _answer(calls, 7, 1000 * MS)
    turns = []
    while later:
        began = time.thread_time()
        later.popleft()()
        turns.append(time.thread_time() - began)
    assert len(turns) > 50, "read a slice at a time"
    assert sorted(turns)[len(turns) // 2] < _TURN_SECONDS
    calls.end_all(Cause.CLIENT_DISCONNECT, time.monotonic_ns())
    recorder.close()
    assert ask(db_path, "SELECT prompt_tokens FROM completion_requests") == [(7,)]


@pytest.mark.parametrize("flows", [1, 40])
def test_what_waits_is_bounded_and_what_is_beyond_is_read_at_once(calls: InFlight, flows: int) -> None:
    sessions = [_opened(calls, f"{flow}") for flow in range(flows)]
    sound = compact({"type": "input_audio_buffer.append", "audio": "A" * 1_000_000})
    most = inflight._MOST_UNREAD_OF_ONE if flows == 1 else inflight._MOST_UNREAD  # noqa: SLF001 - what is promised
    for number in range(120):
        calls.message(f"{number % flows}", sound, number, from_client=True)
        assert sum(session.unread for session in sessions) <= most + len(sound)
    calls.end_all(Cause.CLIENT_DISCONNECT, 200)
    assert [session.unread for session in sessions] == [0] * flows


def test_a_message_that_cannot_be_read_keeps_no_other_from_it(
    calls: InFlight, later: deque[Callable[[], None]], recorder: Recorder, db_path: Path
) -> None:
    session = _opened(calls)
    for odd in (b"\xff" * 500_000, b"{" * 500_000, b"[" + b'"",' * 1_000_000, b""):
        calls.message("flow", odd, 1, from_client=False)
    _answer(calls, 5, 1000 * MS)
    calls.end("flow", Cause.CLIENT_DISCONNECT, 2000 * MS)
    while later:
        later.popleft()()
    recorder.close()
    assert session.faults == {"unparsed", "body_too_large"}
    assert ask(db_path, "SELECT prompt_tokens FROM completion_requests") == [(5,)]
    assert ask(db_path, "SELECT name FROM recorder_counters WHERE name = 'addon_errors'") == []
