"""Whatever comes over a WebSocket, nothing is raised, kept for ever, or made into a row that cannot be stored."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.websocket_protocols.message import Message
from llm_metrics_proxy.recorder.events import CompletionRequest
from tests.unit.reading.test_sessions import CASES, FIXTURES, URLS, begun, compact

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _with_another_value(value: Any, path: list[int], other: object) -> Any:  # noqa: ANN401 - any JSON
    """Put `other` somewhere into a JSON value."""
    if not path or not isinstance(value, dict | list) or not value:
        return other
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[path[0] % len(keys)]
    changed: Any = value.copy()
    changed[key] = _with_another_value(value[key], path[1:], other)
    return changed


def _can_be_stored(row: CompletionRequest) -> bool:
    values = [getattr(row, name) for name in CompletionRequest.__struct_fields__]
    integers = [value for value in values if isinstance(value, int)]
    texts = [value for value in values if isinstance(value, str)]
    return all(-(2**63) <= i < 2**63 for i in integers) and all(len(t.encode()) <= 4 * 8192 for t in texts)


@given(
    name=st.sampled_from(CASES),
    other=_JSON | st.sampled_from([2**63, 2**64 - 1, -1, "x" * 9000, [[]] * 9]),
    path=st.lists(st.integers(min_value=0), min_size=1, max_size=5),
    data=st.data(),
)
def test_a_value_of_any_type_anywhere_breaks_nothing(
    name: str, other: object, path: list[int], data: st.DataObject
) -> None:
    case = json.loads((FIXTURES / f"{name}.json").read_text())
    changed, session, rows = data.draw(st.integers(0, len(case["messages"]) - 1)), begun(case["url"]), []
    for count, entry in enumerate(case["messages"]):
        ((sender, message),) = entry.items()
        written = compact(_with_another_value(message, path, other) if count == changed else message)
        rows += session.message(Message(written, count, from_client=sender == "client"))
    rows += session.finish(Cause.CLIENT_DISCONNECT, 99)
    assert all(map(_can_be_stored, rows))
    assert len(rows) <= len(case["messages"])


_DEEP = b"[" * 100_000 + b"]" * 100_000
_GARBAGE = {
    "nothing": b"",
    "no JSON": b"\x00\xff\x1f{",
    "no object": b"[1]",
    "cut": b'{"type":"response.created","resp',
    "half a surrogate": b'{"type":"error","error":{"message":"\\ud83d"}}',
    "not a number": b'{"type":"response.created","response":{"id":NaN}}',
    "deep": b'{"type":"response.created","serverContent":%b,"response":%b}' % (_DEEP, _DEEP),
    "deep where nobody looks": b'{"type":"response.created","x":%b,"error":%b}' % (_DEEP, _DEEP),
    "an id of 1 MB": b'{"type":"response.created","response":{"id":"%b"}}' % (b"x" * 1_000_000),
    "an error id of 1 MB": b'{"type":"error","error":{"event_id":"%b"}}' % (b"x" * 1_000_000),
    "a type that is a list": b'{"type":["response.created"],"response":{"id":{}}}',
    "a rate limit beyond 63 bits": b'{"type":"rate_limits.updated","rate_limits":'
    b'[{"name":"tokens","remaining":18446744073709551615},{"name":"requests","remaining":true},{"name":[]},7]}',
    "a limit beyond 63 bits": b'{"type":"response.create","response":{"max_output_tokens":18446744073709551615}}',
    "a negative limit": b'{"type":"response.create","response":{"max_output_tokens":-5}}',
    "tokens beyond 63 bits": b'{"serverContent":{},"usageMetadata":{"promptTokenCount":18446744073709551615}}',
}


@pytest.mark.parametrize("from_client", [True, False])
@pytest.mark.parametrize("garbage", _GARBAGE)
@pytest.mark.parametrize("protocol", URLS)
def test_garbage_makes_no_noise_and_no_row_that_cannot_be_stored(
    protocol: str,
    garbage: str,
    from_client: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    session = begun(URLS[protocol])
    create, created = b'{"type":"response.create","model":"m"}', b'{"type":"response.created","response":{"id":"r"}}'
    rows = session.message(Message(create, 1, from_client=True))
    rows += session.message(Message(created, 2, from_client=False))
    rows += session.message(Message(_GARBAGE[garbage], 3, from_client=from_client))
    rows += session.finish(Cause.CLIENT_DISCONNECT, 4)
    assert all(map(_can_be_stored, rows))
    assert session.finish(Cause.CLIENT_DISCONNECT, 5) == []


_TEXT = b'"%b"' % (b"y" * 60_000)
_ENDLESS = {
    "requests": (True, b'{"type":"response.create","model":"m%d","input":%b}'),
    "beginnings": (False, b'{"type":"response.created","response":{"id":"r%d","x":%b}}'),
    "beginnings without id": (False, b'{"type":"response.created","n":%d,"x":%b}'),
    "outputs": (False, b'{"type":"response.output_text.delta","response_id":"r%d","delta":%b}'),
    "turns": (False, b'{"serverContent":{"modelTurn":{"parts":[{"text":"%d"},{"text":%b}]}}}'),
    "contents": (True, b'{"clientContent":{"turnComplete":%d,"turns":[%b]}}'),
    "usage keys": (False, b'{"usageMetadata":{"a%d":1,"b":%b}}'),
}


@pytest.mark.parametrize("what", _ENDLESS)
@pytest.mark.parametrize("protocol", URLS)
def test_what_never_ends_is_kept_within_bounds_and_counted_when_given_up(protocol: str, what: str) -> None:
    from_client, message = _ENDLESS[what]
    session, rows = begun(URLS[protocol]), 0
    tracemalloc.start()
    for count in range(2000):
        rows += len(session.message(Message(message % (count, _TEXT), count, from_client=from_client)))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    rows += len(session.finish(Cause.CLIENT_DISCONNECT, 3000))
    assert kept < 20_000_000
    given_up = {"requests", "beginnings", "beginnings without id"} if protocol != "gemini" else set()
    assert ("abandoned" in session.faults) == (what in given_up and rows < 2000)
    assert rows >= (256 if what in given_up else 0)
