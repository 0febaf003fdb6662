"""HTTP/1.1: both ends get, byte for byte, what they get through a proxy whose addon does nothing but stream.

Each block runs once without us and once with us (see side_by_side.py). No test sleeps: what was read at one end before
more was sent at the other has not been held back.
"""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.ends.connection import End
from tests.support.ends.two_proxies import NOBODY, Side, Sides, both
from tests.support.rig import ANTHROPIC, OPENAI, question
from tests.support.waiting import eventually

HEAD_END = b"\r\n\r\n"
LLM = (OPENAI, "/v1/chat/completions")
OTHER_API = (OPENAI, "/v1/files")
CLAUDE = (ANTHROPIC, "/v1/messages")
PLACES = pytest.mark.parametrize("place", [LLM, OTHER_API, CLAUDE], ids=["chat", "files", "claude"])
ASKED = question(stream=True)
EVENTS = [
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
    'data: {"choices":[{"index":0,"delta":{"content":"äöü 🏞"}}]}\r\n\r\n'.encode(),
    b": a comment\n\ndata: no JSON at all\n\n",
    b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTES_50 = 50_000_000


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with both(tmp_path_factory.mktemp("http1")) as started:
        yield started


def head(place: tuple[str, str], *lines: str, method: str = "POST") -> bytes:
    """Return a request's head; `lines` follow the Host."""
    host, path = place
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode("latin-1")


def asking(place: tuple[str, str], body: bytes = ASKED, *, method: str = "POST") -> bytes:
    return head(place, "Content-Type: application/json", f"Content-Length: {len(body)}", method=method) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def asked(side: Side, place: tuple[str, str], body: bytes = ASKED) -> tuple[End, End]:
    """Connect and ask; the request has come to the provider."""
    client, provider = side.connected(place[0])
    client.send(asking(place, body))
    provider.until(body)
    return client, provider


@PLACES
def test_headers_keep_their_order_their_case_and_their_doubles_in_both_directions(
    sides: Sides, place: tuple[str, str]
) -> None:
    odd = [
        "x-Odd-CASE: 1",
        "Cookie: a=1",
        "ACCEPT: */*",
        "cookie: b=2",
        "X-Empty:",
        "X-Latin: caf\xe9",
        "x-odd-case:  2 ",
    ]
    for side in sides:
        client, provider = side.connected(place[0])
        client.send(head(place, *odd, "Content-Length: 2") + b"{}")
        got = provider.until(b"{}")
        provider.send(
            ("\r\n".join(["HTTP/1.1 200 Fine By Me", *odd, "Set-Cookie: a", "content-LENGTH: 2", "", "[]"])).encode(
                "latin-1"
            )
        )
        answered = client.until(b"[]")
        for name in (b"x-Odd-CASE: 1\r\n", b"X-Latin: caf\xe9\r\n"):
            assert name in got
            assert name in answered
        assert answered.startswith(b"HTTP/1.1 200 Fine By Me\r\n")


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@PLACES
def test_each_event_reaches_the_client_before_the_next_is_sent(
    sides: Sides, place: tuple[str, str], framing: str
) -> None:
    length = f"Content-Length: {sum(map(len, EVENTS))}" if framing == "length" else "Connection: close"
    answer = SSE if framing == "chunked" else SSE.replace(b"Transfer-Encoding: chunked", length.encode())
    for side in sides:
        client, provider = asked(side, place)
        provider.send(answer)
        client.until(HEAD_END)
        for event in EVENTS:
            provider.send(chunk(event) if framing == "chunked" else event)
            client.until(event)
        if framing == "chunked":
            provider.send(b"0\r\n\r\n")
            client.until(b"0\r\n\r\n")
        elif framing == "close":
            provider.leave()
            client.to_the_end()


def test_what_is_compared_here_is_recorded(sides: Sides) -> None:
    for place in (LLM, CLAUDE):
        for side in sides:
            client, provider = side.connected(place[0])
            client.send(asking(place, question(place[0])))
            provider.until(question(place[0]))
            provider.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            client.until(b"{}")
        rows = f"SELECT 1 FROM completion_requests WHERE model = '{place[0]}'"  # noqa: S608 - a literal
        assert eventually(partial(sides.query, rows)) == [(1,)]


def test_a_piece_of_an_event_is_not_held_back_until_the_event_is_whole(sides: Sides) -> None:
    for side in sides:
        client, provider = asked(side, LLM)
        provider.send(SSE)
        client.until(HEAD_END)
        for event in EVENTS[:2]:
            for place in range(0, len(event), 7):
                provider.send(chunk(event[place : place + 7]))
                client.until(event[place : place + 7] + b"\r\n")
        provider.send(b"0\r\n\r\n")
        client.until(b"0\r\n\r\n")


def test_each_line_of_ndjson_reaches_the_client_before_the_next_is_sent(sides: Sides) -> None:
    place = (OPENAI, "/api/chat")
    lines = [
        json.dumps({"model": "llama", "message": {"content": str(n)}, "done": n == 3}).encode() + b"\n"
        for n in range(4)
    ]
    for side in sides:
        client, provider = asked(side, place)
        provider.send(SSE.replace(b"text/event-stream; charset=utf-8", b"application/x-ndjson"))
        client.until(HEAD_END)
        for line in lines:
            provider.send(chunk(line))
            client.until(line)
        provider.send(b"0\r\n\r\n")
        client.until(b"0\r\n\r\n")


@PLACES
def test_a_long_polls_headers_reach_the_client_long_before_its_body_is_sent(
    sides: Sides, place: tuple[str, str]
) -> None:
    for side in sides:
        client, provider = asked(side, place)
        provider.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n")
        client.until(HEAD_END)
        provider.send(b'{"late"')
        client.until(b'{"late"')
        provider.send(b":true}")
        client.until(b":true}")


@pytest.mark.parametrize("framing", ["chunked", "length"])
@PLACES
def test_an_upload_reaches_the_provider_piece_by_piece(sides: Sides, place: tuple[str, str], framing: str) -> None:
    pieces = [ASKED[:20], ASKED[20:21], ASKED[21:]]
    chunked = framing == "chunked"
    for side in sides:
        client, provider = side.connected(place[0])
        client.send(head(place, "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(ASKED)}"))
        provider.until(HEAD_END)
        for piece in pieces:
            client.send(chunk(piece) if chunked else piece)
            provider.until(piece)
        if chunked:
            client.send(b"0\r\n\r\n")
            provider.until(b"0\r\n\r\n")
        provider.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        client.until(b"{}")


@PLACES
def test_an_answer_that_comes_before_the_upload_has_ended_reaches_the_client_at_once(
    sides: Sides, place: tuple[str, str]
) -> None:
    for side in sides:
        client, provider = side.connected(place[0])
        client.send(head(place, "Content-Length: 1000") + b'{"model":')
        provider.until(b'{"model":')
        provider.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        client.until(b"{}")


@PLACES
def test_a_client_that_expects_100_continue_gets_it_and_then_sends(sides: Sides, place: tuple[str, str]) -> None:
    for side in sides:
        client, provider = side.connected(place[0])
        client.send(head(place, "Expect: 100-continue", f"Content-Length: {len(ASKED)}"))
        assert client.until(HEAD_END).startswith(b"HTTP/1.1 100 Continue")
        client.send(ASKED)
        provider.until(ASKED)
        provider.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        client.until(b"{}")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("POST", b"HTTP/1.1 204 No Content\r\nX-Request-Id: 1\r\n\r\n"),
        ("POST", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 99\r\n\r\n'),
        ("POST", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: text/event-stream\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("OPTIONS", b"HTTP/1.1 204 No Content\r\nAllow: POST\r\n\r\n"),
    ],
    ids=["HEAD with a length", "HEAD of chunks", "204", "304", "nothing", "GET", "OPTIONS"],
)
@PLACES
def test_an_answer_without_a_body_ends_with_its_headers_and_the_connection_goes_on(
    sides: Sides, place: tuple[str, str], method: str, answer: bytes
) -> None:
    for side in sides:
        client, provider = side.connected(place[0])
        for _ in range(2):
            client.send(asking(place, ASKED if method == "POST" else b"", method=method))
            provider.until(ASKED if method == "POST" else HEAD_END)
            provider.send(answer)
            client.until(HEAD_END)


@pytest.mark.parametrize("status", [b"102 Processing", b"103 Early Hints\r\nLink: </a.css>; rel=preload"])
def test_what_comes_before_the_answer_is_carried_as_mitmproxy_carries_it(sides: Sides, status: bytes) -> None:
    for side in sides:
        client, provider = asked(side, LLM)
        provider.send(b"HTTP/1.1 " + status + HEAD_END)
        client.until(HEAD_END)  # and that is all: over HTTP/1.1 mitmproxy takes it for the answer


@PLACES
def test_requests_on_a_kept_connection_use_one_connection_to_the_provider(sides: Sides, place: tuple[str, str]) -> None:
    for side in sides:
        client, provider = side.connected(place[0])
        for number in range(4):
            body = question(f"model-{number}")
            client.send(asking(place, body))
            provider.until(body)
            provider.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{%d}" % number)
            client.until(b"{%d}" % number)


@PLACES
def test_pipelined_requests_are_answered_in_their_order(sides: Sides, place: tuple[str, str]) -> None:
    bodies = [question(f"model-{number}") for number in range(3)]
    for side in sides:
        client, provider = side.connected(place[0])
        client.send(b"".join(asking(place, body) for body in bodies))
        for number, body in enumerate(bodies):
            provider.until(body)
            provider.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{%d}" % number)
            client.until(b"{%d}" % number)


@PLACES
def test_a_client_of_http_1_0_gets_what_it_gets_without_us(sides: Sides, place: tuple[str, str]) -> None:
    for side in sides:
        client, provider = side.connected(place[0])
        client.send(asking(place).replace(b"HTTP/1.1", b"HTTP/1.0"))
        provider.until(ASKED)
        provider.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENTS[0])
        client.until(EVENTS[0])
        provider.leave()
        client.to_the_end()


@pytest.mark.parametrize("rudely", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("at", ["the head", "an event", "half an event"])
def test_a_provider_that_breaks_off_breaks_off_for_the_client(sides: Sides, at: str, *, rudely: bool) -> None:
    sent = {"the head": b"", "an event": chunk(EVENTS[1]), "half an event": chunk(EVENTS[1])[:20]}[at]
    for side in sides:
        client, provider = asked(side, LLM)
        provider.send(SSE)
        client.until(HEAD_END)
        if sent:
            provider.send(sent)
            client.until(sent[5:])
        provider.leave(rudely=rudely)
        client.to_the_end()


@pytest.mark.parametrize("rudely", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("during", ["the upload", "the wait", "the answer"])
def test_a_client_that_leaves_is_gone_for_the_provider_at_once(sides: Sides, during: str, *, rudely: bool) -> None:
    for side in sides:
        client, provider = side.connected(OPENAI)
        client.send(asking(LLM) if during != "the upload" else head(LLM, "Content-Length: 1000") + ASKED)
        provider.until(ASKED)
        if during == "the answer":
            provider.send(SSE + chunk(EVENTS[0]))
            client.until(EVENTS[0])
        client.leave(rudely=rudely)
        assert provider.to_the_end() == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"I speak no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n",
    ],
    ids=["nothing", "no HTTP", "two lengths", "too short", "no chunk"],
)
def test_a_provider_that_answers_nonsense_is_the_same_nonsense_to_the_client(sides: Sides, answer: bytes) -> None:
    for side in sides:
        client, provider = asked(side, LLM)
        provider.send(answer)
        provider.leave()
        client.to_the_end()


def _send_all(end: End, data: bytes, *, chunked: bool) -> threading.Thread:
    def run() -> None:
        for at in range(0, len(data), 100_001):
            piece = data[at : at + 100_001]
            end.send(chunk(piece) if chunked else piece)
        end.send(b"0\r\n\r\n" if chunked else b"")

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _dechunked(end: End) -> bytes:
    body = bytearray()
    while size := int(end.until(b"\r\n"), 16):
        body += end.exactly(size)
        end.exactly(2)
    end.exactly(2)
    return bytes(body)


@pytest.mark.parametrize(
    ("place", "framing"), [(LLM, "chunked"), (LLM, "length"), (OTHER_API, "chunked")], ids=["chat", "length", "files"]
)
def test_50_megabytes_arrive_as_they_were_sent_in_both_directions(
    sides: Sides, place: tuple[str, str], framing: str
) -> None:
    start = b'{"model":"gpt-5.5","messages":[{"role":"user","content":"'
    body = (start + b"0123456789abcdefghijklmnopqrstuv" * (MEGABYTES_50 // 32))[:MEGABYTES_50]
    wanted, chunked = hashlib.sha256(body).digest(), framing == "chunked"
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    for side in sides.without_bytes():
        client, provider = side.connected(place[0])
        client.send(head(place, "Content-Type: application/json", how))
        sending = _send_all(client, body, chunked=chunked)
        side.note(provider.until(HEAD_END))
        got = _dechunked(provider) if chunked else provider.exactly(len(body))
        sending.join()
        assert hashlib.sha256(got).digest() == wanted
        provider.send(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{how}\r\n\r\n".encode())
        sending = _send_all(provider, body, chunked=chunked)
        side.note(client.until(HEAD_END))
        got = _dechunked(client) if chunked else client.exactly(len(body))
        sending.join()
        assert hashlib.sha256(got).digest() == wanted


def test_a_plain_request_to_a_host_that_is_no_llms_is_the_same(sides: Sides) -> None:
    for side in sides:
        client = side.follow(End(socket.create_connection(("127.0.0.1", side.proxy.port))))
        client.send(asking((NOBODY, f"http://{NOBODY}/v1/chat/completions")))
        provider = side.accepted()
        provider.until(ASKED)
        provider.send(SSE)
        client.until(HEAD_END)
        for event in EVENTS:
            provider.send(chunk(event))
            client.until(event)
        provider.send(b"0\r\n\r\n")
        client.until(b"0\r\n\r\n")
