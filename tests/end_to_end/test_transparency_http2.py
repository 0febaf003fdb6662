"""HTTP/2 on both sides: both ends get what they get through a proxy whose addon does nothing but stream.

That is each stream's headers, bytes, trailers and resets, in their order; how bytes are cut into frames is flow
control's affair. Each block runs once without us and once with us (see side_by_side.py).
"""

import hashlib
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from h2 import events

from tests.support.ends.connection import HTTP1, HTTP2
from tests.support.ends.http2 import Http2End
from tests.support.ends.two_proxies import Side, Sides, both
from tests.support.rig import ANTHROPIC, OPENAI, question
from tests.support.waiting import eventually

ASKED = question(stream=True)
CHAT = (OPENAI, "/v1/chat/completions")
FILES = (OPENAI, "/v1/files")
GRPC = (
    "generativelanguage.googleapis.com",
    "/google.ai.generativelanguage.v1beta.GenerativeService/BidiGenerateContent",
)
PLACES = pytest.mark.parametrize("place", [CHAT, FILES, (ANTHROPIC, "/v1/messages")], ids=["chat", "files", "claude"])
EVENTS = [
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
    'data: {"choices":[{"index":0,"delta":{"content":"äöü 🏞"}}]}\r\n\r\n'.encode(),
    b": a comment\n\ndata: no JSON at all\n\n",
    b"data: [DONE]\n\n",
]
SSE = [(":status", "200"), ("content-type", "text/event-stream; charset=utf-8")]
JSON = [(":status", "200"), ("content-type", "application/json")]
MEGABYTES_50 = 50_000_000


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with both(tmp_path_factory.mktemp("http2")) as started:
        yield started


def ends(side: Side, host: str) -> tuple[Http2End, Http2End]:
    """Connect; return the client's end and the provider's."""
    client, provider = side.connected(host, [HTTP2, HTTP1])
    assert [end.socket.selected_alpn_protocol() for end in (client, provider)] == [HTTP2, HTTP2]  # type: ignore[attr-defined]
    pair = Http2End(client, client=True), Http2End(provider, client=False)
    side.note(*(end.got for end in pair))
    return pair


def asking(place: tuple[str, str], *more: tuple[str, str], method: str = "POST") -> list[tuple[str, str]]:
    host, path = place
    return [(":method", method), (":scheme", "https"), (":authority", host), (":path", path), *more]


def asked(side: Side, place: tuple[str, str]) -> tuple[Http2End, Http2End]:
    """Connect and ask on stream 1; the request has come to the provider, as its stream 1."""
    client, provider = ends(side, place[0])
    client.headers(1, asking(place, ("content-type", "application/json")))
    client.data(1, ASKED, ends=True)
    provider.until(events.RequestReceived, 1)
    assert provider.body(1) == ASKED
    return client, provider


@PLACES
def test_headers_keep_their_order_and_their_doubles_in_both_directions(sides: Sides, place: tuple[str, str]) -> None:
    odd = [("x-odd", "1"), ("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("x-empty", ""), ("x-odd", "2")]
    for side in sides.without_bytes():
        client, provider = ends(side, place[0])
        client.headers(1, asking(place, *odd), ends=True)
        got = provider.until(events.RequestReceived, 1).headers or []
        assert [value for name, value in got if name == b"x-odd"] == [b"1", b"2"]
        provider.headers(1, [*JSON, *odd, ("set-cookie", "a"), ("set-cookie", "b")])
        provider.data(1, b"{}", ends=True)
        assert client.body(1) == b"{}"


@PLACES
def test_each_event_reaches_the_client_before_the_next_is_sent(sides: Sides, place: tuple[str, str]) -> None:
    for side in sides.without_bytes():
        client, provider = asked(side, place)
        provider.headers(1, SSE)
        client.until(events.ResponseReceived, 1)
        for event in EVENTS:
            provider.data(1, event)
            client.until_data(1, event)
        provider.data(1, b"", ends=True)
        client.until(events.StreamEnded, 1)


@PLACES
def test_an_upload_reaches_the_provider_piece_by_piece(sides: Sides, place: tuple[str, str]) -> None:
    for side in sides.without_bytes():
        client, provider = ends(side, place[0])
        client.headers(1, asking(place))
        provider.until(events.RequestReceived, 1)
        for piece in (ASKED[:20], ASKED[20:21], ASKED[21:]):
            client.data(1, piece)
            provider.until_data(1, piece)
        client.data(1, b"", ends=True)
        provider.until(events.StreamEnded, 1)
        provider.headers(1, JSON)
        provider.data(1, b"{}", ends=True)
        assert client.body(1) == b"{}"


@pytest.mark.parametrize("place", [CHAT, GRPC], ids=["chat", "grpc"])
def test_both_directions_of_a_stream_flow_at_the_same_time_and_end_in_trailers(
    sides: Sides, place: tuple[str, str]
) -> None:
    for side in sides.without_bytes():
        client, provider = ends(side, place[0])
        client.headers(1, asking(place, ("content-type", "application/grpc"), ("te", "trailers")))
        provider.until(events.RequestReceived, 1)
        provider.headers(1, [(":status", "200"), ("content-type", "application/grpc")])
        client.until(events.ResponseReceived, 1)
        for number in range(5):
            message = struct.pack(">BI", 0, 4) + b"%04d" % number
            client.data(1, message)
            provider.until_data(1, message)
            provider.data(1, message * 2)
            client.until_data(1, message * 2)
        client.data(1, b"", ends=True)
        provider.until(events.StreamEnded, 1)
        provider.data(1, b"the last")
        client.until_data(1, b"the last")
        provider.trailers(1, [("grpc-status", "0"), ("grpc-message", "")])
        assert client.until(events.TrailersReceived, 1).headers == [(b"grpc-status", b"0"), (b"grpc-message", b"")]
        client.until(events.StreamEnded, 1)


def test_an_upload_may_end_in_trailers(sides: Sides) -> None:
    for side in sides.without_bytes():
        client, provider = ends(side, OPENAI)
        client.headers(1, asking(CHAT))
        client.data(1, ASKED)
        client.trailers(1, [("x-checksum", "1")])
        assert provider.until(events.TrailersReceived, 1).headers == [(b"x-checksum", b"1")]
        provider.headers(1, JSON)
        provider.data(1, b"{}", ends=True)
        assert client.body(1) == b"{}"


def test_streams_of_one_connection_do_not_wait_for_each_other(sides: Sides) -> None:
    streams = (1, 3, 5)
    for side in sides.without_bytes():
        client, provider = ends(side, OPENAI)
        for stream in streams:
            client.headers(stream, asking(CHAT))
            client.data(stream, ASKED, ends=True)
            assert provider.body(stream) == ASKED
        for event in EVENTS:
            for stream in reversed(streams):
                if event is EVENTS[0]:
                    provider.headers(stream, SSE)
                provider.data(stream, event)
                client.until_data(stream, event)
        for stream in streams:
            provider.data(stream, b"", ends=True)
            client.until(events.StreamEnded, stream)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", [*JSON, ("content-length", "1000")]),
        ("POST", [(":status", "204"), ("x-request-id", "1")]),
        ("POST", [(":status", "304"), ("etag", '"a"'), ("content-length", "99")]),
        ("POST", [*SSE, ("content-length", "0")]),
    ],
    ids=["HEAD", "204", "304", "nothing"],
)
def test_an_answer_without_a_body_ends_with_its_headers(
    sides: Sides, method: str, answer: list[tuple[str, str]]
) -> None:
    for side in sides.without_bytes():
        client, provider = ends(side, OPENAI)
        for stream in (1, 3):
            client.headers(stream, asking(CHAT, method=method), ends=True)
            provider.until(events.RequestReceived, stream)
            provider.headers(stream, answer, ends=True)
            client.until(events.ResponseReceived, stream)
            client.until(events.StreamEnded, stream)


def test_a_frame_without_data_in_the_middle_changes_nothing(sides: Sides) -> None:
    for side in sides.without_bytes():
        client, provider = asked(side, CHAT)
        provider.headers(1, SSE)
        provider.data(1, EVENTS[0])
        client.until_data(1, EVENTS[0])
        provider.data(1, b"")
        provider.data(1, EVENTS[1], ends=True)
        assert client.body(1) == EVENTS[1]


def test_a_stream_that_the_client_resets_is_reset_for_the_provider_and_the_others_go_on(sides: Sides) -> None:
    for side in sides.without_bytes():
        client, provider = asked(side, CHAT)
        client.headers(3, asking(CHAT), ends=True)
        provider.until(events.RequestReceived, 3)
        provider.headers(1, SSE)
        provider.data(1, EVENTS[0])
        client.until_data(1, EVENTS[0])
        client.reset(1)
        provider.until(events.StreamReset, 1)
        provider.headers(3, SSE)
        provider.data(3, EVENTS[0], ends=True)
        assert client.body(3) == EVENTS[0]


def test_a_stream_that_the_provider_resets_is_reset_for_the_client_and_the_others_go_on(sides: Sides) -> None:
    for side in sides.without_bytes():
        client, provider = asked(side, CHAT)
        client.headers(3, asking(CHAT), ends=True)
        provider.until(events.RequestReceived, 3)
        provider.headers(1, SSE)
        provider.data(1, EVENTS[0])
        client.until_data(1, EVENTS[0])
        provider.reset(1, 2)
        client.until(events.StreamReset, 1)
        provider.headers(3, SSE)
        provider.data(3, EVENTS[0], ends=True)
        assert client.body(3) == EVENTS[0]


def test_a_provider_that_goes_away_goes_away_for_the_client(sides: Sides) -> None:
    for side in sides.without_bytes():
        client, provider = asked(side, CHAT)
        provider.headers(1, SSE)
        provider.data(1, EVENTS[0])
        client.until_data(1, EVENTS[0])
        provider.go_away()
        provider.end.leave()
        client.until(events.StreamReset, 1)


def test_a_client_that_leaves_is_gone_for_the_provider_at_once(sides: Sides) -> None:
    for side in sides.without_bytes():
        client, provider = asked(side, CHAT)
        provider.headers(1, SSE)
        client.until(events.ResponseReceived, 1)
        client.end.leave()
        while provider.end.some():
            pass


def test_the_private_headers_stay_here_and_no_other_header_does(sides: Sides) -> None:
    seen = []
    private = [("x-llm-origin", "nightly"), ("x-llm-label-team", "a"), ("proxy-authorization", "x")]
    for side in (sides.floor, sides.ours):
        side.begin()
        client, provider = ends(side, OPENAI)
        client.headers(1, asking(CHAT, *private[:2], ("x-mine", "1"), *private[2:]), ends=True)
        seen.append(provider.until(events.RequestReceived, 1).headers)
        side.end(bytewise=False)
    without, with_us = seen
    assert without is not None
    assert with_us == [field for field in without if field[0].decode() not in dict(private)]
    assert len(with_us) == len(without) - len(private)


def test_50_megabytes_arrive_as_they_were_sent_in_both_directions(sides: Sides) -> None:
    start = b'{"model":"gpt-5.5","messages":[{"role":"user","content":"'
    body = (start + b"0123456789abcdefghijklmnopqrstuv" * (MEGABYTES_50 // 32))[:MEGABYTES_50]
    wanted = hashlib.sha256(body).digest()
    for side in sides.without_bytes():
        client, provider = ends(side, OPENAI)
        client.headers(1, asking(CHAT))
        with ThreadPoolExecutor(1) as sending:
            sent = sending.submit(client.data, 1, body, ends=True)
            assert hashlib.sha256(provider.body(1)).digest() == wanted
            sent.result()
            provider.headers(1, JSON)
            sent = sending.submit(provider.data, 1, body, ends=True)
            assert hashlib.sha256(client.body(1)).digest() == wanted
            sent.result()


def test_what_is_compared_here_is_recorded(sides: Sides) -> None:
    for side in sides.without_bytes():
        client, provider = ends(side, OPENAI)
        client.headers(1, asking(CHAT))
        client.data(1, question("looked-at"), ends=True)
        assert provider.body(1) == question("looked-at")
        provider.headers(1, JSON)
        provider.data(1, b"{}", ends=True)
        client.body(1)
    rows = "SELECT http_version FROM completion_requests WHERE model = 'looked-at'"
    assert eventually(lambda: sides.query(rows)) == [("2",)]
