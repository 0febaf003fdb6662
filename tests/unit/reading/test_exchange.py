"""One exchange makes one row, whatever passes; what cannot be read costs the numbers of that body only."""

import gzip
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.inflight import InFlight
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.reading import Reading
from llm_metrics_proxy.addon.starting.log_lines import Complaints
from llm_metrics_proxy.addon.taps import observing
from llm_metrics_proxy.recorder.events import CompletionRequest
from tests.support.exchanges import CODINGS, MS, Answering, begun, cut_at, encoded, exchange, sse

_ANTHROPIC = ("api.anthropic.com", "/v1/messages")
_STREAM = {"content-type": "text/event-stream"}
_CHUNK = {"choices": [{"delta": {"content": "Rhine"}}]}
_STOP = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
_PATHS = [
    ("api.openai.com", "/v1/chat/completions"),
    ("api.openai.com", "/v1/responses"),
    ("api.openai.com", "/v1/embeddings"),
    ("api.openai.com", "/v1/audio/transcriptions"),
    _ANTHROPIC,
    ("generativelanguage.googleapis.com", "/v1/models/m:streamGenerateContent"),
    ("bedrock-runtime.eu-central-1.amazonaws.com", "/model/m/invoke-with-response-stream"),
    ("localhost:11434", "/api/chat"),
    ("api.cohere.com", "/v1/chat"),
]
_TYPES = [
    "text/event-stream",
    "application/json",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "text/html",
    "",
]


def _row(exchanged: object) -> CompletionRequest:
    assert isinstance(exchanged, CompletionRequest)
    return exchanged


@pytest.mark.parametrize("address", _PATHS, ids=lambda address: f"{address[0]}{address[1]}")
@given(
    asked=st.binary(max_size=200) | st.just(b'{"model":"m","messages":[{}],"input":"x","prompt":"x","stream":true}'),
    answered=st.binary(max_size=400)
    | st.lists(st.sampled_from([b"data: {}\n\n", b'{"a":', b"}\n", b"event: error\n", b"[DONE]"])).map(b"".join),
    cuts=st.lists(st.integers(min_value=0), max_size=5),
    status=st.sampled_from([200, 204, 302, 400, 500]),
    content_type=st.sampled_from(_TYPES),
    coding=st.sampled_from(["", "gzip", "br", "zstd", "deflate", "nonsense"]),
    cause=st.sampled_from(list(Cause)),
)
def test_any_bytes_make_one_row_that_counts_them(  # noqa: PLR0913, PLR0917 - all that may vary
    address: tuple[str, str],
    asked: bytes,
    answered: bytes,
    cuts: list[int],
    status: int,
    content_type: str,
    coding: str,
    cause: Cause,
) -> None:
    host, path = address
    one = begun(path, host=host, headers={"content-encoding": coding})
    for piece in cut_at(asked, cuts):
        one.request_chunk(piece, 1)
    one.request_end(2)
    one.answer_head(status, {"content-type": content_type, "content-encoding": coding}, 3)
    answering = Answering(one)
    for piece in cut_at(answered, cuts):
        answering(piece, 4)
    row = one.finish(cause, 5)
    if row is None:
        assert host == "localhost:11434"
        return
    assert (row.request_bytes, row.response_bytes, row.status_code) == (len(asked), len(answered), status)
    assert row.success or row.error_type
    msgspec.json.encode(row)


@pytest.mark.parametrize("coding", ["identity", *CODINGS])
@given(place=st.integers(min_value=0), byte=st.integers(0, 255))
def test_a_changed_byte_of_a_stream_costs_no_row(coding: str, place: int, byte: int) -> None:
    wire = bytearray(b"".join(encoded(coding, [sse(_CHUNK, _STOP, {"usage": {"prompt_tokens": 5}}, "[DONE]")])))
    wire[place % len(wire)] = byte
    headers = _STREAM | ({} if coding == "identity" else {"content-encoding": CODINGS[coding][0]})
    row = _row(exchange([bytes(wire)], headers=headers).finish(Cause.COMPLETE, 900 * MS))
    assert row.response_bytes == len(wire)


@pytest.mark.parametrize(
    "usage",
    [
        '{"x": "\\ud83d"}',
        '{"\\ud83d": 1}',
        '{"x": NaN}',
        '{"x": 1e999}',
        '{"x": %s}' % ("9" * 4000),
        '{"a":' * 2500 + "1" + "}" * 2500,
    ],
    ids=["surrogate", "surrogate as name", "NaN", "infinity", "long number", "deep"],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_odd_usage_costs_no_row(usage: str, *, stream: bool) -> None:
    body = f'{{"choices":[],"usage":{usage}}}'
    one = exchange(
        [sse(body) if stream else body.encode()], headers=_STREAM if stream else {"content-type": "application/json"}
    )
    assert _row(one.finish(Cause.COMPLETE, 900 * MS)).success


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (b"event: error\ndata: Internal Server Error\n\n", None),
        (b"event: error\ndata: {}\n\n", None),
        (b'data: {"error": true, "message": "boom"}\n\n', None),
        (b'data: {"error": 500}\n\n', None),
        (b'data: {"error": {"metadata": {}}}\n\n', None),
        (b'data: {"error": "boom"}\n\n', "boom"),
        (b'data: {"error": {"message": "boom"}}\n\ndata: {"error": {"x": 1}}\n\n', "boom"),
        (b'{"error": {"message": "boom"}}\n\n', "boom"),
    ],
)
def test_an_error_inside_a_stream_is_no_success_whatever_its_shape(events: bytes, message: str | None) -> None:
    row = _row(exchange([sse(_CHUNK), events]).finish(Cause.COMPLETE, 900 * MS))
    assert not row.success
    assert row.error_type == "error"
    assert message is None or row.error_message == message


@pytest.mark.parametrize(
    ("headers", "body", "fault"),
    [
        (_STREAM | {"content-encoding": "snappy"}, b"?", "undecodable"),
        (_STREAM | {"content-encoding": "gzip"}, b"no gzip", "undecodable"),
        (_STREAM, b"data: " + b"x" * (17 << 20), "body_too_large"),
        (_STREAM | {"content-encoding": "gzip"}, gzip.compress(b"data: " + b"x" * (17 << 20)), "body_too_large"),
    ],
    ids=["unknown coding", "wrong coding", "long event", "long event, encoded"],
)
def test_a_stream_that_could_not_be_read_is_not_called_truncated(
    headers: dict[str, str], body: bytes, fault: str
) -> None:
    host, path = _ANTHROPIC
    one = exchange([body], host=host, path=path, headers=headers)
    row = _row(one.finish(Cause.COMPLETE, 900 * MS))
    assert one.faults == {fault}
    assert (row.success, row.error_type, row.completion_tokens) == (True, None, None)
    assert (row.response_bytes, row.time_to_first_byte_ms) == (len(body), 100)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("missing", [0, 200], ids=["all that was promised", "less than was promised"])
@pytest.mark.parametrize("cause", list(Cause))
def test_json_that_could_be_read_is_an_answer_only_if_http_ends_it_or_the_client_had_all(
    cause: Cause, missing: int, coding: str
) -> None:
    body = b"".join(encoded(coding, [b'{"choices":[],"usage":{"prompt_tokens":3}}'], ended=False))
    headers = {"content-type": "application/json", "content-length": str(len(body) + missing)}
    if coding != "identity":
        headers["content-encoding"] = coding
    row = _row(exchange([body], asked=b'{"model":"m"}', headers=headers).finish(cause, 200 * MS))
    whole = cause is Cause.COMPLETE or (cause is Cause.CLIENT_DISCONNECT and not missing)
    assert (row.success, row.error_type) == (whole, None if whole else cause.value)
    assert (row.prompt_tokens, row.usage_source) == (3, "provider" if whole else "partial")


def test_a_fault_of_the_parser_ends_the_reading_but_not_the_counting() -> None:
    for read, events in ((True, 1), (False, 0)):  # what waited unread, when the fault came, is not read any more
        one = exchange([sse(_CHUNK)])
        if read:
            one.read()
        one.stop_reading("parser_errors")
        Answering(one)(b"data: more\n\n", 200 * MS)
        row = _row(one.finish(Cause.COMPLETE, 900 * MS))
        assert one.faults == {"parser_errors"}
        assert (row.success, row.output_events, row.response_bytes) == (True, events, len(sse(_CHUNK)) + 12)


def test_a_request_beyond_the_bound_is_counted_and_its_fields_are_unknown() -> None:
    asked = b'{"model":"m","messages":[' + b" " * (17 << 20) + b"]}"
    one = exchange([sse(_CHUNK, "[DONE]")], asked=asked)
    row = _row(one.finish(Cause.COMPLETE, 900 * MS))
    assert one.faults == {"body_too_large"}
    assert (row.success, row.model, row.request_bytes, row.is_streaming) == (True, None, len(asked), True)


def test_on_a_host_that_nobody_named_the_body_has_to_prove_the_api() -> None:
    for asked, proven in (
        (b'{"model":"m","messages":[]}', True),
        (b'{"text":"hello"}', False),
        (b"a=1", False),
        (b"", False),
    ):
        one = exchange(
            asked=asked, host="chat.example", path="/rooms/1/messages", headers={"content-type": "text/html"}
        )
        assert (one.finish(Cause.COMPLETE, 900 * MS) is not None) is proven


def test_a_request_that_was_cut_is_no_fault_of_the_parser() -> None:
    one = begun("/v1/chat/completions", host="api.openai.com")
    one.request_chunk(b'{"model":"m","mess', 1)
    row = _row(one.finish(Cause.CLIENT_DISCONNECT, 2))
    assert (row.status_code, row.error_type, row.model, one.faults) == (499, "client_disconnect", None, set())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", sse({"type": "response.completed", "response": {"status": "completed"}}, "[DONE]")),
        ("/v1/messages", sse({"type": "message_stop"}, "[DONE]")),
        ("/v1/chat/completions", sse(_STOP, "[DONE] ")),
        ("/v1/chat/completions", b"data:\n\n" + sse(_STOP)),
        ("/v1/chat/completions", sse(_STOP) + b"event: ping\ndata: \n\n"),
    ],
)
def test_marks_that_gateways_add_to_a_stream_are_no_fault(path: str, body: bytes) -> None:
    one = exchange([body], path=path)
    assert _row(one.finish(Cause.COMPLETE, 900 * MS)).success
    assert one.faults == set()


def test_the_last_event_counts_from_its_arrival_even_if_its_empty_line_never_came() -> None:
    row = _row(exchange([sse(_CHUNK), sse(_CHUNK)[:-1]]).finish(Cause.CLIENT_DISCONNECT, 60_000 * MS))
    assert (row.output_events, row.time_to_last_token_ms, row.response_time_ms) == (2, 200, 60_000)


def test_nothing_secret_is_in_a_row() -> None:
    key = "made-up-credential-7"
    error = {"error": {"type": key, "code": key, "message": f"{key} is wrong"}}
    one = exchange(
        [sse(_CHUNK | {"model": "m"}, error)],
        path=f"/{key}/v1/chat/completions?key={key}&x=1",
        request_headers={"authorization": f"Bearer {key}", "cookie": key},
    )
    assert key not in repr(one.finish(Cause.COMPLETE, 900 * MS))


def test_a_message_is_cut_after_its_secrets_are_masked() -> None:
    error = {"error": {"message": "x" * 489 + " sk-0123456789abcdef0123456789abcdef"}}
    row = _row(exchange([sse(error)]).finish(Cause.COMPLETE, 900 * MS))
    assert row.error_message == "x" * 489 + " [masked]"


def test_a_host_that_is_no_text_can_be_stored() -> None:
    row = _row(exchange([sse(_CHUNK)], host="llm\udcff\x1b.example").finish(Cause.COMPLETE, 900 * MS))
    assert row.host is not None
    assert row.host.isprintable()
    assert row.host.encode()


def test_what_waits_to_be_read_is_bounded_however_it_comes() -> None:
    for piece, count in ((b"data: {}\n\n", 2_000), (b"data: " + b"x" * 900 + b"\n\n", 2_000), (b"x" * 60_000, 100)):
        one, most = exchange(), 0
        answering = Answering(one)
        for at in range(count):
            answering(piece, at * MS)
            most = max(most, sum(map(len, one.answered.pieces)))
        assert most <= 256 * 1024


def test_the_tap_passes_every_piece_on_as_it_is_and_notes_those_that_are_any() -> None:
    events = [sse(_CHUNK), sse(_CHUNK, _CHUNK), sse(_STOP), sse("[DONE]")] * 200
    tapped = exchange()
    moments = iter(range(len(events)))
    complaints: list[str] = []
    calls = InFlight(Complaints(), lambda _seconds, _do: complaints.append("settled"), time.monotonic_ns)
    tap = observing(calls, tapped, tapped.answered, lambda: next(moments) * MS)
    for event in events:
        assert tap(event) is event
        assert tap(b"") == b""
    row = _row(tapped.finish(Cause.COMPLETE, 900 * MS))
    assert (row.output_events, row.response_bytes) == (600, sum(map(len, events)))
    assert (row.time_to_first_token_ms, row.time_to_last_token_ms) == (0, len(events) - 3)


@pytest.mark.parametrize("where", ["request_body", "request_end", "answer_head", "answer_body"])
def test_a_fault_in_any_step_of_the_reading_costs_numbers_and_not_the_row(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError

    one = exchange([sse(_CHUNK)])
    with monkeypatch.context() as broken:
        broken.setattr(Reading, where, fault)
        with pytest.raises(ZeroDivisionError):
            one.finish(Cause.COMPLETE, 900 * MS)
        one.stop_reading("parser_errors")
        row = _row(one.finish(Cause.COMPLETE, 900 * MS))
    assert (row.response_time_ms, "parser_errors" in one.faults) == (900, True)
