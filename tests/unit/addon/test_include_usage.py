"""The usage that only we asked for is taken out of a stream, nothing else is, and nothing waits for it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.framing.decoding import LIMIT, Undecodable, decoder_for
from llm_metrics_proxy.addon.include_usage.request import Upload, splice_for
from llm_metrics_proxy.addon.include_usage.stream import UsageFilter
from tests.support.exchanges import CODINGS, cut_anyhow, cut_at, encoded

_USAGE = b'{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}'
_REMOVED = b'data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":%b}\n\n' % _USAGE


def _chunk(choice: bytes, *more: bytes) -> bytes:
    return b"data: {%b}\n\n" % b",".join((b'"id":"c"', b'"choices":[%b]' % choice, *more))


_ROLE = _chunk(b'{"index":0,"delta":{"role":"assistant","content":""}}', b'"usage":null')
_TEXT = _chunk('{"index":0,"delta":{"content":"Weil \\"usage\\": ä🏞"}}'.encode(), b'"usage":null')
_STOP = _chunk(b'{"index":0,"delta":{},"finish_reason":"stop"}')
_AZURE = _chunk(b"", b'"prompt_filter_results":[{"prompt_index":0}]', b'"usage":null')
_GROQ = _chunk(b'{"index":0,"delta":{}}', b'"usage":' + _USAGE)
_DONE = b"data: [DONE]\n\n"
_STREAMS: dict[str, list[bytes]] = {
    "as OpenAI writes it": [_ROLE, _TEXT, _STOP, _REMOVED, _DONE],
    "Azure's first chunk has no choices": [_AZURE, _ROLE, _TEXT, _STOP, _REMOVED, _DONE],
    "usage beside a choice": [_ROLE, _GROQ, _DONE],
    "usage beside a choice and alone": [_ROLE, _GROQ, _REMOVED, _DONE],
    "no usage": [_ROLE, _TEXT, _STOP, _DONE],
    "comments and other fields": [
        b": OPENROUTER PROCESSING\n\n",
        b"event: message\nid: 7\nretry: 10\n" + _TEXT,
        b": keep-alive\n\n",
        b": before it\n" + _REMOVED,
        b"data:" + _TEXT[6:],
        b"data:" + _REMOVED[6:],
        _DONE,
    ],
    "an event of several lines": [_TEXT, b'data: {"choices":[],\ndata: "usage":%b}\n\n' % _USAGE, _DONE],
    "empty lines between": [_TEXT, b"\n\n\n", _DONE],
    "errors": [b'error: {"usage":1}\n\n', b'data: {"error":{"message":"usage"},"usage":{}}\n\n', b'{"usage":[]}\n\n'],
    "no JSON": [b'data: {"usage" \x00\xff\n\n', b'data: "usage"\n\n', b'data: [{"usage":{}}]\n\n', b"data\n\n"],
    "nearly a usage chunk": [
        b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"choices":[]}\n\n',
        b'data: {"choices":null,"usage":{}}\n\n',
        b'data: {"choices":{},"usage":{}}\n\n',
        b'data: {"choices":[[]],"usage":{}}\n\n',
    ],
    "the usage chunk is last and unfinished": [_ROLE, _TEXT, _REMOVED.rstrip(b"\n")],
    "the usage chunk is last and its line is finished": [_ROLE, _TEXT, _REMOVED[:-1]],
    "the end is unfinished": [_ROLE, _TEXT, b"data: [DONE]"],
    "nothing": [],
}
_ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}


def _is_removed(event: bytes) -> bool:
    return _USAGE in event and (b'"choices":[],' in event)


def _written(stream: str, ends: str) -> tuple[list[bytes], bytes]:
    """Return the events of a stream, and what of it is to reach the client."""
    events = [event.replace(b"\n", _ENDS[ends]) for event in _STREAMS[stream]]
    return events, b"".join(event for event in events if not _is_removed(event))


def _passed(pieces: list[bytes], coding: str = "identity") -> bytes:
    usage_filter = UsageFilter(CODINGS[coding][0] if coding in CODINGS else coding)
    return b"".join(part for piece in [*pieces, b""] for part in usage_filter.feed(piece))


@pytest.mark.parametrize("ends", _ENDS)
@pytest.mark.parametrize("coding", ["identity", *CODINGS])
@pytest.mark.parametrize("stream", _STREAMS)
def test_exactly_the_chunk_with_nothing_but_usage_is_taken_out(stream: str, coding: str, ends: str) -> None:
    events, expected = _written(stream, ends)
    wire = b"".join(encoded(coding, events))
    whole, bytewise = [wire] if wire else [], [bytes([byte]) for byte in wire]
    for pieces in (whole, encoded(coding, events), bytewise, cut_anyhow(wire, seed=1)):
        assert _passed([piece for piece in pieces if piece], coding) == expected


@pytest.mark.parametrize("ends", _ENDS)
@pytest.mark.parametrize("stream", _STREAMS)
@given(cuts=st.lists(st.integers(min_value=0), max_size=8))
def test_no_cut_changes_what_passes(stream: str, ends: str, cuts: list[int]) -> None:
    events, expected = _written(stream, ends)
    assert _passed(cut_at(b"".join(events), cuts)) == expected


@pytest.mark.parametrize("ends", _ENDS)
@pytest.mark.parametrize("coding", ["identity", *CODINGS])
@pytest.mark.parametrize("stream", [name for name in _STREAMS if "unfinished" not in name and "finished" not in name])
def test_an_event_is_out_as_soon_as_it_is_complete(stream: str, coding: str, ends: str) -> None:
    events, _ = _written(stream, ends)
    usage_filter, passed, expected = UsageFilter(CODINGS[coding][0] if coding in CODINGS else ""), b"", b""
    for event, piece in zip(events, encoded(coding, events, ended=False), strict=True):
        for byte in piece:
            passed += b"".join(usage_filter.feed(bytes([byte])))
        expected += b"" if _is_removed(event) else event
        assert passed.rstrip(b"\r\n") == expected.rstrip(b"\r\n")


def test_an_unknown_coding_is_refused_when_the_filter_is_made() -> None:
    with pytest.raises(Undecodable):
        UsageFilter("rot13")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_was_read_before_a_fault_of_the_coding_still_passes(coding: str) -> None:
    good = encoded(coding, [_ROLE, _TEXT], ended=False)
    decoder = decoder_for(coding)
    assert decoder is not None
    assert _passed([*good, b"\x00\xff" * 40], coding).startswith(_ROLE + _TEXT)


@pytest.mark.parametrize("prefix", [b"", b"data: ", b'data: {"usage":'])
def test_what_is_no_event_stream_is_let_go_at_the_bound(prefix: bytes) -> None:
    usage_filter, fed, passed, piece = UsageFilter(""), 0, 0, b"x" * (2 * 1024 * 1024)
    for data in [prefix, *[piece] * 12]:
        fed += len(data)
        passed += sum(map(len, usage_filter.feed(data)))
        assert fed - passed <= LIMIT
    assert passed + sum(map(len, usage_filter.feed(b""))) == fed


_DEEP = b"[" * 50_000 + b"]" * 50_000


@pytest.mark.parametrize("event", [b'data: {"usage":%b}\n\n', b'data: {"x":%b,"choices":[],"usage":{}}\n\n'])
def test_a_deep_event_passes(event: bytes) -> None:
    assert _passed([event % _DEEP, _DONE]) == event % _DEEP + _DONE


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(min_value=0), max_size=8))
def test_any_bytes_pass_unchanged(data: bytes, cuts: list[int]) -> None:
    assert _passed(cut_at(data, cuts)) == data


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (b'{"stream":true}', {"include_usage": True}),
        (b'{"stream":true,"stream_options":null}', {"include_usage": True}),
        (b'{"stream":true,"stream_options":{}}', {"include_usage": True}),
        (b' {"stream" : true , "stream_options" : { "x" : [ 1 ] } } ', {"x": [1], "include_usage": True}),
        (b'{"stream":false,"stream":true}', {"include_usage": True}),
        (b'{"stream":true,"stream_options":{"include_usage":false}}', None),
        (b'{"stream":true,"stream_options":{"include_usage":true}}', None),
        (b'{"stream":true,"stream_options":{"include_usage":null}}', None),
        (b'{"stream":true,"stream_options":[]}', None),
        (b'{"stream":true,"stream_options":"x"}', None),
        (b'{"stream":false}', None),
        (b'{"stream":1}', None),
        (b'{"stream":"true"}', None),
        (b'{"stream":true,"stream":false}', None),
        (b'{"model":"m"}', None),
        (b"[true]", None),
        (b"", None),
        (b"--form\r\n", None),
        (b'{"stream":true', None),
        (b'{"stream":true,"x":%b}' % _DEEP, None),
        (b'{"stream":true,"x":"%b"}' % (b"x" * LIMIT), None),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_only_a_stream_that_says_nothing_of_usage_is_asked_for_it(body: bytes, options: dict[str, Any] | None) -> None:
    splice = splice_for(body)
    assert (splice is None) == (options is None)
    if splice is not None:
        asking = splice.into(body)
        assert json.loads(asking) == json.loads(body) | {"stream_options": options}
        assert splice.taken in {b"", b"null"}
        assert asking == body[: splice.at] + splice.put + body[splice.at + len(splice.taken) :]


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true,"a":1.0,"b":1e2,"a":0.10000000000000000000001,"c":"\\u00e4\\/"}\r\n\t ',
        b'{"tools":[{"stream_options":{"x":1}}],"stream":true,"stream_options":{"x":1},"y":{"stream_options":null}}',
        b'{"stream":true,"messages":["stream_options",{"stream_options":null},"}"]}',
        b'{"stream":true,"m":"say \\"stream_options\\": null","stream_options": null}',
        b'{"stream":true,"stream_options":{"a":"}"} ,"z":"stream_options"}',
        b'{"stream":true,"stream_options":1,"stream_options":{"x":[]}}',
    ],
)
def test_all_that_is_there_stays_where_it_is_however_it_is_written(body: bytes) -> None:
    splice = splice_for(body)
    assert splice is not None
    asking = splice.into(body)
    assert asking.replace(splice.put, splice.taken, 1) == body
    assert json.loads(asking)["stream_options"].pop("include_usage") is True
    without = json.loads(asking)
    before = json.loads(body)
    del without["stream_options"]
    before.pop("stream_options", None)
    assert without == before


@pytest.mark.parametrize(
    "body",
    [b'{"stream":true,"stream\\u005foptions":{}}', b'{"stream":true,"x":}', b'{"stream":true,"model":"tur\xd6o"}'],
)
def test_what_could_not_be_found_or_is_no_json_is_left_as_it_is(body: bytes) -> None:
    assert splice_for(body) is None


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b'{"stream":true,"x":{"y":{}}} \n', True),
        (b'{"stream":true} { }', False),
        (b'{"stream":false}', False),
        (b'{"stream":true,"stream_options":{},"x":1}', False),  # its place has passed
        (b"}}}}", False),
        (b"", False),
    ],
)
@given(cuts=st.lists(st.integers(min_value=0), max_size=6))
def test_a_body_without_a_length_passes_as_it_comes_but_for_its_last_brace(
    body: bytes,
    *,
    asked: bool,
    cuts: list[int],
) -> None:
    upload, passed = Upload(), b""
    came = b""
    for piece in cut_at(body, cuts):
        came += piece
        passed += b"".join(upload.feed(piece))
        assert came.startswith(passed)
        assert came[len(passed) :].strip() in {b"", b"}"}
    passed += b"".join(upload.feed(b""))
    assert upload.asked == (body if asked else None)
    splice = splice_for(body)
    assert passed == (splice.into(body) if asked and splice is not None else body)


def test_a_body_without_a_length_that_is_too_long_passes_and_is_not_kept() -> None:
    upload, piece, passed = Upload(), b"}" * 1_000_000, 0
    for _ in range(20):
        passed += sum(map(len, upload.feed(piece)))
        assert upload._body is None or len(upload._body) <= LIMIT  # noqa: SLF001 - what it keeps
    assert upload.feed(b"") == []
    assert (passed, upload.asked) == (20_000_000, None)
