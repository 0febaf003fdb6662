"""`metrics_include_usage` through a real mitmdump: the row has the tokens, the client sees what it would have seen."""

import gzip
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import quote

import openai
import pytest

from tests.support.exchanges import CODINGS, encoded
from tests.support.provider import openai_answers
from tests.support.provider.scenario import End, Framing, Request, Scenario, Step
from tests.support.rig import CHAT, JSON, OPENAI, Rig, at_once, hang_up, question, started
from tests.support.waiting import PATIENCE, eventually

_SSE = ("content-type", "text/event-stream; charset=utf-8")
_ANSWER = openai_answers.stream("gpt-5.5", role_ms=0, content_ms=5, gap_ms=5, pieces=4)
_USAGE_ONLY = b'"choices": []'
_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "usage_source")


def _as_asked(request: Request, coding: str = "identity", end: bytes = b"\n") -> Scenario:
    """Answer as OpenAI does: the usage comes if the request asks for it, and then every chunk says that it has none."""
    asked = json.loads(request.body).get("stream_options", {}).get("include_usage", False)
    events = []
    for step in _ANSWER.steps:
        if asked and _USAGE_ONLY not in step.data and b"[DONE]" not in step.data:
            events.append(step.data.replace(b'"choices"', b'"usage": null, "choices"'))
        elif asked or _USAGE_ONLY not in step.data:
            events.append(step.data)
    pieces = encoded(coding, [event.replace(b"\n", end) for event in events])
    headers = (_SSE,) if coding == "identity" else (_SSE, ("content-encoding", CODINGS[coding][0]))
    return Scenario(tuple(Step(5 * count, piece) for count, piece in enumerate(pieces)), headers=headers)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A proxy that asks for usage."""
    folder = tmp_path_factory.mktemp("include-usage")
    with started(folder, options=["metrics_include_usage=true"]) as rig:
        yield rig
        assert rig.new_rows() == [], "rows that no test had expected"


def _chunks(rig: Rig, **options: object) -> list[dict[str, object]]:
    context = ssl.create_default_context(cafile=rig.proxy.ca)
    client = openai.DefaultHttpxClient(proxy=rig.proxy.url, verify=context, trust_env=False)
    with openai.OpenAI(api_key="sk-made-up", max_retries=0, http_client=client) as chat:
        messages = [{"role": "user", "content": "Why?"}]
        stream = chat.chat.completions.create(model="gpt-5.5", messages=messages, stream=True, **options)  # type: ignore[call-overload]
        return [chunk.to_dict() for chunk in stream]


def _without_null_usage(chunks: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{k: v for k, v in chunk.items() if (k, v) != ("usage", None)} for chunk in chunks]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "br"])
def test_the_sdk_parses_what_it_would_have_parsed(rig: Rig, asking: Rig, coding: str, end: bytes) -> None:
    for place in (rig, asking):
        place.provider.answer = lambda request: _as_asked(request, coding, end)
    without, with_option = _chunks(rig), _chunks(asking)
    assert len(without) == 6
    assert _without_null_usage(with_option) == without
    plain, row = rig.row(), asking.row()
    assert [plain[name] for name in _TOKENS] == [None, None, None, None]
    assert [row[name] for name in _TOKENS] == [12, 4, 16, "provider"]
    assert (row["success"], row["finish_reason"], row["output_events"]) == (1, "stop", 4)
    assert row["request_bytes"] == len(rig.served.request.body)


@pytest.mark.parametrize("wants", [True, False])
def test_a_client_that_says_whether_it_wants_usage_gets_its_will(rig: Rig, asking: Rig, *, wants: bool) -> None:
    for place in (rig, asking):
        place.provider.answer = _as_asked
    options = {"stream_options": {"include_usage": wants}}
    assert _chunks(rig, **options) == _chunks(asking, **options)
    assert asking.served.request.body == rig.served.request.body
    assert rig.row()["total_tokens"] == asking.row()["total_tokens"] == (16 if wants else None)


@pytest.mark.parametrize(
    "body",
    [
        b'{ "model":"gpt-5.5",  "messages":[{"role":"user","content":"\\u00e4"}] }',
        b'{ "model":"gpt-5.5",  "messages":[],"stream" : false}\n',
        b'{ "model":"gpt-5.5",  "messages":[],"stream" : true, "stream_options": {"include_usage": false} }',
        b'{ "model":"gpt-5.5", "stream": true',
        b"\x00\xff no JSON",
        b'{"model":"gpt-5.5","stream":true,"messages":[%b]}' % (b"[" * 50_000 + b"]" * 50_000),
    ],
    ids=lambda body: repr(body)[:50],
)
def test_what_is_not_to_be_asked_goes_on_byte_for_byte(asking: Rig, body: bytes) -> None:
    answer = b'{ "model": "gpt-5.5-1", "choices" : [ ], "usage":{"prompt_tokens":1} }'
    asking.answer(at_once(answer))
    reply = asking.ask(body)
    asking.row()
    assert asking.served.request.body == body
    assert dict(asking.served.request.headers)["content-length"] == str(len(body))
    assert reply.body == answer


def test_an_event_is_there_before_the_next_one_is_sent(asking: Rig) -> None:
    events = [step.data for step in _ANSWER.steps]
    steps = tuple(Step(150 * count, event) for count, event in enumerate(events))
    asking.answer(Scenario(steps, headers=(_SSE,)))
    seen = []
    with asking.asking(question(stream=True)) as (_, response):
        while line := response.readline():
            if line.strip():
                seen.append((time.monotonic_ns(), line))
        written = asking.served.step_ns
    expected = [(at, event) for at, event in zip(written, events, strict=True) if _USAGE_ONLY not in event]
    assert [line for _, line in seen] == [event.rstrip() + b"\n" for _, event in expected]
    assert all(0 < at - sent < 100_000_000 for (at, _), (sent, _) in zip(seen, expected, strict=True))
    row = asking.row()
    first = asking.served.step_ms(1)
    assert abs(row["time_to_first_token_ms"] - first) < 30


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED, Framing.CLOSE])
def test_every_way_of_ending_a_body_stays_readable(asking: Rig, framing: Framing) -> None:
    events = [step.data for step in _ANSWER.steps]
    asking.answer(Scenario(tuple(Step(0, event) for event in events), headers=(_SSE,), framing=framing))
    assert asking.ask(question(stream=True)).body == b"".join(event for event in events if _USAGE_ONLY not in event)
    assert asking.row()["total_tokens"] == 16


_REFUSED = b'{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request"}}'


def _refusing(status: int = 400) -> Callable[[Request], Scenario]:
    """Answer as a provider that does not know the option."""

    def answer(request: Request) -> Scenario:
        if b"stream_options" in request.body:
            return at_once(_REFUSED, status=status)
        return Scenario(tuple(step for step in _ANSWER.steps if _USAGE_ONLY not in step.data), headers=(_SSE,))

    return answer


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_option_is_not_noticed_and_that_place_is_not_asked_again(rig: Rig, asking: Rig, status: int) -> None:
    path = f"/v1/refusing/{status}/chat/completions?api-version=1"
    for place in (rig, asking):
        place.provider.answer = _refusing(status)
    body = question(stream=True)
    without = rig.ask(body, path=path)
    rig.row()
    before = len(asking.provider.served)
    for asked in ([True, False], [False]):
        reply = asking.ask(body, path=path)
        assert (reply.status, reply.headers, reply.body) == (without.status, without.headers, without.body)
        bodies = [served.request.body for served in asking.provider.served[before:]]
        assert [b"stream_options" in one for one in bodies] == asked
        assert bodies[-1] == body
        row = asking.row()
        assert (row["success"], row["status_code"], row["output_events"], row["total_tokens"]) == (1, 200, 4, None)
        assert row["request_bytes"] == len(body)
        before = len(asking.provider.served)


_KINDS = {
    "FastAPI": (422, JSON, b'{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"no"}]}'),
    "its older form": (
        400,
        JSON,
        b'{"detail":[{"loc":["body","stream_options"],"msg":"extra fields not permitted","type":"value_error.extra"}]}',
    ),
    "OpenAI's": (
        400,
        JSON,
        (
            b'{"error":{"message":"Unknown parameter: \'stream_options\'.","type":"invalid_request_error",'
            b'"param":"stream_options","code":"unknown_parameter"}}'
        ),
    ),
    "plain text": (400, (("content-type", "text/plain"),), b"unknown field `stream_options` at line 1 column 99"),
    "a text in JSON": (400, JSON, b'"extra fields not permitted"'),
    "nothing": (422, (), b""),
}
"""Refusals as servers write them: status, headers, body."""


@pytest.mark.parametrize("kind", _KINDS)
def test_no_kind_of_refusal_reaches_the_client_nor_costs_the_connection(asking: Rig, kind: str) -> None:
    """Four requests on one connection: refused and made again, not asked any more, elsewhere asked as ever, encoded."""
    status, headers, refusal = _KINDS[kind]
    bodies: list[bytes] = []

    def answer(request: Request) -> Scenario:
        bodies.append(request.body)
        if request.header("content-encoding"):
            return _as_asked(request.with_body(gzip.decompress(request.body)))
        if b"stream_options" in request.body and "elsewhere" not in request.target:
            return at_once(refusal, status=status, headers=headers)
        return _as_asked(request)

    asking.provider.answer = answer
    body, place = question(stream=True), f"/v1/{quote(kind)}"
    packed = gzip.compress(body)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", asking.proxy.port, context=ssl.create_default_context(cafile=asking.proxy.ca), timeout=PATIENCE
    )
    connection.set_tunnel(OPENAI, 443)
    got = []
    with closing(connection):
        for path, sent in ((place, body), (place, body), (f"{place}/elsewhere", body), (place, packed)):
            more = {"Content-Encoding": "gzip"} if sent is packed else {}
            connection.request("POST", f"{path}/chat/completions", sent, {"Content-Type": "application/json"} | more)
            response = connection.getresponse()
            assert (response.status, response.getheader("content-type")) == (200, _SSE[1])
            got.append(response.read().replace(b'"usage": null, ', b""))
    assert set(got) == {b"".join(step.data for step in _ANSWER.steps if _USAGE_ONLY not in step.data)}
    assert [b"stream_options" in one for one in bodies] == [True, False, False, True, False]
    assert [bodies[at] for at in (1, 2, 4)] == [body, body, packed]
    assert [(row["success"], row["total_tokens"]) for row in asking.rows(4)] == [(1, None)] * 2 + [(1, 16), (1, None)]


def test_an_error_of_the_clients_own_arrives_as_it_would_have(rig: Rig, asking: Rig) -> None:
    def answer(request: Request) -> Scenario:
        return at_once(b'{"error":{"message":"bad: %b"}}' % request.body.replace(b'"', b"'"), status=400)

    replies = []
    for place in (rig, asking):
        place.provider.answer = answer
        reply = place.ask(question(stream=True, n=-1))
        replies.append((reply.status, reply.headers, reply.body))
        assert (place.row()["status_code"]) == 400
    assert replies[0] == replies[1]
    asking.provider.answer = _as_asked
    assert asking.ask(question(stream=True)).status == 200
    assert asking.row()["total_tokens"] == 16, "that was no refusal of the option"


def test_a_call_that_is_made_again_and_cut_is_cut(asking: Rig) -> None:
    def answer(request: Request) -> Scenario:
        if b"stream_options" in request.body:
            return at_once(_REFUSED, status=400)
        return Scenario(_ANSWER.steps[:2], headers=(_SSE,), end=End.CUT)

    asking.provider.answer = answer
    with pytest.raises(http.client.RemoteDisconnected):
        asking.ask(question(stream=True), path="/v1/cut/chat/completions")
    row = asking.row()
    assert (row["success"], row["status_code"], row["error_type"]) == (0, 200, "upstream_disconnect")


def test_a_client_that_leaves_while_its_call_is_made_again_is_seen(asking: Rig) -> None:
    def answer(request: Request) -> Scenario:
        if b"stream_options" in request.body:
            return at_once(_REFUSED, status=400)
        return Scenario(_ANSWER.steps[:1], headers=(_SSE,), end=End.HANG)

    asking.provider.answer = answer
    body = question(stream=True)
    with asking.sending(path=CHAT, headers=[*JSON, ("content-length", str(len(body)))]) as connection:
        connection.send(body)
        eventually(lambda: len(asking.served.step_ns) == 1 and b"stream_options" not in asking.served.request.body)
        hang_up(connection)
        row = asking.row()
    assert (row["success"], row["error_type"]) == (0, "client_disconnect")
    assert eventually(lambda: asking.served.client_left), "nor is the provider kept waiting"


def test_a_stream_in_a_coding_that_nobody_knows_arrives_as_it_was_sent(asking: Rig) -> None:
    body = b"\x00\xff" * 50
    asking.answer(at_once(body, headers=(_SSE, ("content-encoding", "rot13"))))
    errors = asking.counter("addon_errors")
    reply = asking.ask(question(stream=True))
    asking.row()
    assert reply.body == body
    assert ("content-encoding", "rot13") in {(name.lower(), value) for name, value in reply.headers}
    assert asking.counter("addon_errors") == errors


def test_a_deep_event_does_not_cut_the_stream(asking: Rig) -> None:
    event = b'data: {"usage":%b}\n\n' % (b"[" * 50_000 + b"]" * 50_000)
    asking.answer(Scenario((Step(0, event), Step(5, b"data: [DONE]\n\n")), headers=(_SSE,)))
    reply = asking.ask(question(stream=True))
    row = asking.row()
    assert reply.body == event + b"data: [DONE]\n\n"
    assert row["success"] == 1


def test_a_request_that_comes_in_pieces_is_asked_too(asking: Rig) -> None:
    asking.provider.answer = _as_asked
    body = question(stream=True)
    with asking.sending(headers=[*JSON, ("transfer-encoding", "chunked")]) as connection:
        for piece in (body[:9], body[9:]):
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(0.02)
        connection.send(b"0\r\n\r\n")
        response = connection.getresponse()
        assert _USAGE_ONLY not in response.read()
    assert json.loads(asking.served.request.body)["stream_options"] == {"include_usage": True}
    assert asking.row()["total_tokens"] == 16


@pytest.mark.parametrize("host", ["api.mistral.ai", "api.deepseek.com"])
def test_a_provider_that_reports_unasked_is_not_asked(asking: Rig, host: str) -> None:
    asking.answer(_ANSWER)
    body = question(stream=True)
    reply = asking.ask(body, host=host, path=CHAT)
    assert asking.served.request.body == body
    assert reply.body == b"".join(step.data for step in _ANSWER.steps)
    assert asking.row()["total_tokens"] == 16


def test_an_unknown_path_of_a_provider_is_counted_and_makes_no_row(asking: Rig) -> None:
    asking.answer(at_once(b"{}"))
    for number in (1, 2):
        assert asking.ask(question(), host=OPENAI, path=f"/v1/brand-new/{number}/run?key=sk-secret").status == 200
    asking.ask(question(), host=OPENAI, path="/v1/files")
    asking.ask(question(), host="localhost:9", path="/v1/brand-new", tls=False)
    asking.ask(question())
    asking.row()  # the only one; by now what came before it is written too
    found = asking.query("SELECT host, path, count FROM unrecognised")
    assert found == [{"host": OPENAI, "path": "/v1/brand-new/{id}/run", "count": 2}]
