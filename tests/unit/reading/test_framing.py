"""Framings give the same payloads whatever way the bytes come, and keep no more than one payload."""

import json
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.framing import Event, Framing, Payload, ServerSentEvents
from llm_metrics_proxy.addon.framing.abridging import Abridged
from llm_metrics_proxy.addon.framing.aws_framing import EventStream
from llm_metrics_proxy.addon.framing.body import Body
from llm_metrics_proxy.addon.framing.decoding import LIMIT, TooLarge, Undecodable
from llm_metrics_proxy.addon.framing.json_framing import ArrayItems, Ignored, Lines, Whole, WholeOrEvents
from tests.support.exchanges import cut_at

_CUTS = st.lists(st.integers(min_value=0), max_size=12)
_SSE_WORDS = (
    b"data: {}", b"data:x", b"data", b"event: error", b"event:", b"error: {}", b": comment", b"id: 1", b'{"error":',
    b"}", b" 1", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\xef\xbb\xbf", "ä🏞".encode(), b"[DONE]", b"\x00\xff",
)  # fmt: skip
# Whole events, some that only look like one, and some that a later piece completes.
_SSE_EVENTS = (
    b"data: {}\n\n", b"data: {}\n\ndata: []\n\n", b"event: a\ndata: {}\n\n", b"data: 1\ndata: 2\n\n", b"\n\n", b"\n",
    b"data: \n\n", b"event: a\n\n", b"event: a\nevent: b\ndata: {}\n\n", b"data: a\r\n\r\n", b"data: a\rdata: b\n\n",
    b"data:x\n\n", b"event: a\ndata: 1\ndata: 2\n\n", b": ping\n\n", b"data: x\n\n\n", b"event: data: \ndata: \n\n",
    b"data: 1\n", b"event: a\n", b"data: ", b"data: a\r", b"data: a\r\r", b"\xef\xbb\xbfdata: x\n\n",
)  # fmt: skip
_JSON_WORDS = (
    b"[",
    b"{",
    b"}",
    b"]",
    b",",
    b'"',
    b"\\",
    b"\\u",
    b'{"a":"}"}',
    b'{"b":{"c":[1]}}',
    b" ",
    b"\n",
    b"\r\n",
)
_TEXTS = st.text('{}[]"\\\n,:äx', max_size=4)
_MESSAGE = b'{"bytes":"e30="}'


def _message(payload: bytes, headers: bytes = b"\x0b:event-type\x07\x00\x05chunk") -> bytes:
    prelude = (16 + len(headers) + len(payload)).to_bytes(4) + len(headers).to_bytes(4)
    message = prelude + zlib.crc32(prelude).to_bytes(4) + headers + payload
    return message + zlib.crc32(message).to_bytes(4)


def _payloads(framing: Framing, pieces: list[bytes]) -> list[Payload]:
    return [payload for piece in pieces for payload in framing.feed(piece)] + framing.finish()


def _joined(*words: bytes) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(words), max_size=30).map(b"".join)


_BODIES: list[tuple[type[Framing], st.SearchStrategy[bytes]]] = [
    (ServerSentEvents, _joined(*_SSE_WORDS)),
    (Lines, _joined(*_JSON_WORDS)),
    (ArrayItems, _joined(*_JSON_WORDS)),
    (Whole, st.binary(max_size=100)),
    (Abridged, st.binary(max_size=100)),
    (Ignored, st.binary(max_size=100)),
    (EventStream, _joined(_message(_MESSAGE), _message(b"", headers=b""), _message(b"x" * 300))),
]


@pytest.mark.parametrize(("framing", "bodies"), _BODIES, ids=[framing.__name__ for framing, _ in _BODIES])
@given(data=st.data(), cuts=_CUTS)
def test_any_cut_gives_what_the_whole_gives(
    framing: type[Framing], bodies: st.SearchStrategy[bytes], data: st.DataObject, cuts: list[int]
) -> None:
    body = data.draw(bodies)
    assert _payloads(framing(), cut_at(body, cuts)) == _payloads(framing(), [body])


@pytest.mark.parametrize(("framing", "bodies"), _BODIES, ids=[framing.__name__ for framing, _ in _BODIES])
@given(data=st.data(), cuts=_CUTS, together=st.integers(1, 5))
def test_many_pieces_together_give_what_each_gives_alone(
    framing: type[Framing], bodies: st.SearchStrategy[bytes], data: st.DataObject, cuts: list[int], together: int
) -> None:
    pieces = cut_at(data.draw(bodies), cuts)
    alone, at_once = framing(), framing()
    one_by_one = [(*payload, at) for at, piece in enumerate(pieces) for payload in alone.feed(piece)]
    moments = list(range(len(pieces)))
    found: list[Event] = []
    for start in range(0, len(pieces), together):
        found += at_once.feed_all(pieces[start : start + together], moments[start : start + together])
    assert found == one_by_one
    assert at_once.finish() == alone.finish()


@given(events=st.lists(st.sampled_from(_SSE_EVENTS), max_size=12))
@example(events=[b"data: {}\n\n", b"\xef\xbb\xbfdata: x\n\n"])
def test_events_that_come_whole_are_read_as_in_any_other_way(events: list[bytes]) -> None:
    framing, alone = ServerSentEvents(), ServerSentEvents()
    found = list(framing.feed_all(events, list(range(len(events)))))
    assert found == [(*payload, at) for at, event in enumerate(events) for payload in alone.feed(event)]
    assert [(name, payload) for name, payload, _ in found] + framing.finish() == _payloads(
        ServerSentEvents(), cut_at(b"".join(events), range(9999))
    )


def test_a_byte_order_mark_counts_only_at_the_very_beginning() -> None:
    body = b"\n\n\xef\xbb\xbfdata: x\n\n"
    assert _payloads(ServerSentEvents(), cut_at(body, range(9))) == _payloads(ServerSentEvents(), [body]) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [(b"", b"YHOO\n+2\n10")]),
        (b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
         [(b"", b"first event"), (b"", b"second event"), (b"", b" third event")]),
        (b"data:test\n\ndata: test\n\n", [(b"", b"test"), (b"", b"test")]),
        (b"\xef\xbb\xbfdata: x\n\n", [(b"", b"x")]),
        (b"event: ping\n\nevent: add\ndata: 1\n\n", [(b"add", b"1")]),
        (b"event: a\nevent: b\ndata: 1\n\n", [(b"b", b"1")]),
        (b"retry: 10\nunknown: 1\nDATA: 2\n\n", []),
        (b"data: a:b\n\n", [(b"", b"a:b")]),
        (b"data: unfinished", [(b"", b"unfinished")]),
        (b'error: {"code":500}\n\n', [(b"error", b'{"code":500}')]),
        (b'{"error": {\n  "code": 500\n}}\n\n', [(b"", b'{"error": {\n  "code": 500\n}}')]),
        (b"", []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_server_sent_events_are_read_as_the_standard_says(
    body: bytes, line_end: bytes, expected: list[Payload]
) -> None:
    body = body.replace(b"\n", line_end)
    assert _payloads(ServerSentEvents(), [body]) == expected
    assert _payloads(ServerSentEvents(), cut_at(body, range(len(body)))) == expected


@given(
    items=st.lists(
        st.dictionaries(
            _TEXTS, _TEXTS | st.lists(st.dictionaries(_TEXTS, st.none(), max_size=2), max_size=2), max_size=2
        ),
        max_size=4,
    ),
    cuts=_CUTS,
)
def test_the_items_of_an_array_are_found_whatever_they_hold(items: list[object], cuts: list[int]) -> None:
    body = json.dumps(items, indent=1, ensure_ascii=False).encode()
    for pieces in (cut_at(body, cuts), cut_at(body, range(len(body)))):
        assert [json.loads(item) for _, item in _payloads(ArrayItems(), pieces)] == items


@given(headers=st.binary(max_size=60), payload=st.binary(max_size=20))
def test_a_message_with_any_headers_is_read_or_undecodable(headers: bytes, payload: bytes) -> None:
    try:
        payloads = EventStream().feed(_message(payload, headers))
    except Undecodable:
        return
    assert [data for _, data in payloads] == [payload]


def test_messages_before_a_broken_one_are_read_whatever_the_cut() -> None:
    body = _message(b"1") + _message(b"2")[:-1] + b"\x00"
    at_once, byte_by_byte = Body("", EventStream()), Body("", EventStream())
    seen = [[*at_once.feed(body)], [p for piece in cut_at(body, range(len(body))) for p in byte_by_byte.feed(piece)]]
    assert at_once.fault == byte_by_byte.fault == "undecodable"
    assert seen == [[(b"chunk", b"1")]] * 2


@pytest.mark.parametrize("framing", [ServerSentEvents, Lines, ArrayItems, EventStream, Whole, WholeOrEvents, Abridged])
@given(data=st.binary(max_size=3000), cuts=_CUTS)
def test_any_bytes_are_framed_or_refused(framing: type[Framing], data: bytes, cuts: list[int]) -> None:
    with suppress(TooLarge, Undecodable):
        _payloads(framing(), cut_at(data, cuts))


@pytest.mark.parametrize("framing", [ServerSentEvents, Lines, ArrayItems, Whole, WholeOrEvents, Abridged])
def test_a_payload_beyond_the_bound_is_refused_before_it_is_kept(framing: type[Framing]) -> None:
    made, fed, piece = framing(), 0, b'{"data": ' + b"x" * 999_991
    with pytest.raises(TooLarge):  # noqa: PT012 - at which piece is not said
        while True:
            made.feed(piece)
            fed += len(piece)
            assert fed <= LIMIT, "a payload of more than the bound was kept"
