"""Amounts, lies and ends that no decent peer has, through a real mitmdump: all passes, and memory stays bounded."""

import random
import socket
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.support.ends.connection import End
from tests.support.ends.two_proxies import Side, started
from tests.support.process_watch import Watched
from tests.support.rig import AT_ONCE, CHAT, OPENAI, question
from tests.support.waiting import PATIENCE, eventually
from tests.trials.hostile.codings import bomb

HEAD_END = b"\r\n\r\n"
GIGABYTE = 1 << 30
PIECE = random.Random(1).randbytes(1 << 20)
MOST_MB = 60.0
"""What memory may grow by: two copies of 16 MiB for reading, what decodes them, and mitmproxy's own buffers."""


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "at_once.py").write_text(AT_ONCE)
    with started(folder, "ours", scripts=[folder / "at_once.py"]) as ours:
        with one_row(ours):  # what is opened once is open now
            exchange(ours, question(), b'{"model":"m"}')
        yield ours
        ours.proxy.stop()
        assert "Traceback" not in ours.proxy.log
        assert "A fault in" not in ours.proxy.log


def rows(side: Side, sql: str) -> list[dict[str, Any]]:
    uri = f"{side.proxy.database.as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


@contextmanager
def one_row(side: Side) -> Iterator[dict[str, Any]]:
    """Expect one row of what happens inside; yield it, empty until the end."""
    (before,) = rows(side, "SELECT ifnull(max(id), 0) AS id FROM completion_requests")
    row: dict[str, Any] = {}
    yield row
    found = eventually(lambda: rows(side, f"SELECT * FROM completion_requests WHERE id > {before['id']}"))  # noqa: S608 - a number
    assert len(found) == 1
    row |= found[0]


@contextmanager
def bounded(side: Side) -> Iterator[None]:
    """Memory grows by no more than it may, looked at all the time."""
    watched, done = Watched(side.proxy.pid), threading.Event()
    before = watched.now(0).rss_mb

    def look() -> None:
        while not done.wait(0.02):
            watched.look(0)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        done.set()
        looking.join()
        watched.look(0)
    most = max(sample.rss_mb for sample in watched.samples)
    assert most - before <= MOST_MB, f"{before:.0f} MB, and {most:.0f} at most"


def head(length: int | None, *headers: str) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"POST {CHAT} HTTP/1.1", f"Host: {OPENAI}", "Content-Type: application/json", framing, *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer_head(length: int | None, *headers: str, status: int = 200) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return "\r\n".join([f"HTTP/1.1 {status} So", framing, *headers, "", ""]).encode("latin-1")


def exchange(
    side: Side,
    body: bytes,
    answer: bytes,
    asked: Iterable[str] = (),
    answered: Iterable[str] = ("Content-Type: application/json",),
) -> tuple[bytes, bytes]:
    """Let both pass, see that they arrive as they were sent, and return both heads."""
    side.begin()
    try:
        client, provider = side.connected(OPENAI)
        sending = sent(client, [head(len(body), *asked), body])
        request = provider.until(HEAD_END)
        assert provider.exactly(len(body)) == body
        sending.join()
        sending = sent(provider, [answer_head(len(answer), *answered), answer])
        response = client.until(HEAD_END)
        assert client.exactly(len(answer)) == answer
        sending.join()
        return request, response
    finally:
        side.end(bytewise=False)


def sent(end: End, pieces: Sequence[bytes]) -> threading.Thread:
    """Send from a thread of its own, as the other end is read here."""
    sending = threading.Thread(target=end.send, args=pieces)
    sending.start()
    return sending


def received(end: End, size: int) -> int:
    """Read so many bytes, keep none, and return their checksum."""
    seen = 0
    while size:
        data = end.socket.recv(min(size, 1 << 18))
        assert data
        seen, size = zlib.crc32(data, seen), size - len(data)
    return seen


# --- amounts


@pytest.mark.timeout(400)
def test_a_gigabyte_in_both_directions_takes_no_memory(side: Side) -> None:
    wanted = 0
    for _ in range(GIGABYTE // len(PIECE)):
        wanted = zlib.crc32(PIECE, wanted)
    gigabyte = [PIECE] * (GIGABYTE // len(PIECE))
    side.begin()
    client, provider = side.connected(OPENAI)
    client.socket.settimeout(120)
    provider.socket.settimeout(120)
    with one_row(side) as row, bounded(side):
        client.send(head(GIGABYTE))
        provider.until(HEAD_END)
        assert len(provider.got) == provider.got.find(HEAD_END) + len(HEAD_END)
        for end, other in ((client, provider), (provider, client)):
            if end is provider:
                provider.send(answer_head(GIGABYTE, "Content-Type: application/json"))
                client.until(HEAD_END)
            sending = sent(end, gigabyte)
            assert received(other, GIGABYTE) == wanted
            sending.join()
    side.end(bytewise=False)
    assert (row["request_bytes"], row["response_bytes"], row["status_code"]) == (GIGABYTE, GIGABYTE, 200)
    assert (row["model"], row["response_model"]) == (None, None)


ENDLESS = {
    "events": b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n' * 2000,
    "one event": b"data: " + b"x" * 100_000,
    "empty lines": b"\n" * 100_000,
    "comments": b": ping\n\n" * 10_000,
    "usage": b'data: {"choices":[],"usage":{"prompt_tokens":1,"a%d":1}}\n\n' * 2000,
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_stream_without_an_end_takes_no_memory_and_its_end_by_the_client_is_recorded(side: Side, what: str) -> None:
    piece, count = ENDLESS[what], 400
    side.begin()
    client, provider = side.connected(OPENAI)
    body = question(stream=True)
    with one_row(side) as row, bounded(side):
        client.send(head(len(body)) + body)
        provider.until(body)
        provider.send(answer_head(None, "Content-Type: text/event-stream"))
        client.until(HEAD_END)
        chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
        sending = sent(provider, [chunk] * count)
        client.socket.settimeout(60)
        received(client, len(piece) * count)
        sending.join()
        client.leave()
    side.end(bytewise=False)
    assert (row["error_type"], row["status_code"], row["model"]) == ("client_disconnect", 200, "gpt-5.5")
    assert row["response_bytes"] >= len(piece) * count


BOMBS = [("gzip",), ("br",), ("zstd",), ("deflate",), ("gzip", "gzip"), ("br", "zstd"), ("zstd", "gzip", "br")]


@pytest.mark.parametrize("direction", ["request", "answer", "stream", "error"])
@pytest.mark.parametrize("names", BOMBS, ids="+".join)
def test_a_bomb_passes_as_it_is_and_is_not_unpacked(side: Side, names: tuple[str, ...], direction: str) -> None:
    data, encoding = bomb(*names), f"Content-Encoding: {', '.join(names)}"
    kind = "Content-Type: text/event-stream" if direction == "stream" else "Content-Type: application/json"
    with one_row(side) as row, bounded(side):
        if direction == "request":
            exchange(side, data, b'{"model":"m"}', asked=[encoding])
        else:
            exchange(side, question(stream=direction == "stream"), data, answered=[encoding, kind])
    assert row["response_model" if direction != "request" else "model"] is None
    assert row["request_bytes" if direction == "request" else "response_bytes"] == len(data)
    counted = rows(
        side, "SELECT sum(value) AS n FROM recorder_counters WHERE name IN ('body_too_large', 'undecodable')"
    )
    assert counted[0]["n"] > 0


# --- headers


@pytest.mark.parametrize(
    "headers",
    [
        [f"x-{n}: {'v' * 20}" for n in range(5000)],
        ["x-same: value"] * 5000,
        [f"x-key-{n}: secret-{n}" for n in range(2000)],
        ["Cookie: " + "; ".join(f"c{n}=value-{n}" for n in range(5000))],
        [f"x-huge: {'v' * 500_000}"],
        [f"User-Agent: {'v' * 100_000}", f"x-llm-origin: {'w' * 100_000}", f"traceparent: {'0' * 100_000}"],
        [f"Authorization: Bearer {'k' * 100_000}"],
    ],
    ids=["many", "of one name", "keys", "cookies", "huge", "labels", "a huge key"],
)
def test_header_bombs_pass_as_they_are(side: Side, headers: list[str]) -> None:
    said = b'{"error":{"message":"no such key"}}'
    with one_row(side) as row, bounded(side):
        request, response = exchange(side, question(), said, asked=headers, answered=headers)
    for line in headers:
        if not line.startswith("x-llm-origin"):
            assert f"\r\n{line}\r\n".encode() in request
        assert f"\r\n{line}\r\n".encode() in response
    assert row["model"] == "gpt-5.5"
    assert all(len(value) <= 256 for value in row.values() if isinstance(value, str))


# --- lies and ends


@pytest.mark.parametrize("more", [1, 1000, 1 << 40])
def test_an_answer_that_is_shorter_than_it_says_ends_early_for_the_client_too(side: Side, more: int) -> None:
    answer = b'{"model":"m","choices":['
    side.begin()
    client, provider = side.connected(OPENAI)
    with one_row(side) as row:
        client.send(head(len(question())) + question())
        provider.until(question())
        provider.send(answer_head(len(answer) + more, "Content-Type: application/json") + answer)
        client.until(HEAD_END)
        assert client.exactly(len(answer)) == answer
        provider.leave()
        assert client.to_the_end() == b""
    side.end(bytewise=False)
    assert (row["success"], row["error_type"]) == (0, "upstream_disconnect")
    assert row["response_bytes"] == len(answer)


def test_an_answer_that_is_longer_than_it_says_ends_where_it_said(side: Side) -> None:
    answer = b'{"model":"m","choices":[]}'
    side.begin()
    client, provider = side.connected(OPENAI)
    with one_row(side) as row:
        client.send(head(len(question())) + question())
        provider.until(question())
        provider.send(
            answer_head(len(answer), "Content-Type: application/json") + answer + b"HTTP/1.1 200 OK\r\n\r\nmore"
        )
        client.until(HEAD_END)
        assert client.exactly(len(answer)) == answer
        provider.leave()
    side.end(bytewise=False)
    assert (row["success"], row["response_model"], row["response_bytes"]) == (1, "m", len(answer))


def test_a_request_that_is_shorter_than_it_says_is_a_client_that_left(side: Side) -> None:
    side.begin()
    client, provider = side.connected(OPENAI)
    with one_row(side) as row:
        client.send(head(1 << 40) + question())
        provider.until(question())
        client.leave()
    side.end(bytewise=False)
    assert (row["status_code"], row["error_type"], row["request_bytes"]) == (499, "client_disconnect", len(question()))


NONSENSE = {
    "no HTTP": b"\x00\xff" * 50 + b"\r\n\r\n",
    "a status that is none": b"HTTP/1.1 abc So\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length beyond 64 bits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\nx",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_an_answer_that_is_no_http_is_a_failure_and_the_next_call_goes_on(side: Side, what: str) -> None:
    side.begin()
    client, provider = side.connected(OPENAI)
    with one_row(side) as row:
        client.send(head(len(question())) + question())
        provider.until(question())
        provider.send(NONSENSE[what])
        provider.leave()
        client.to_the_end()
    side.end(bytewise=False)
    assert row["success"] == 0
    with one_row(side) as row:
        exchange(side, question(), b'{"model":"m"}')
    assert row["success"] == 1


def test_bytes_that_are_no_request_leave_no_row_and_no_noise(side: Side) -> None:
    (before,) = rows(side, "SELECT count(*) AS n FROM completion_requests")
    numbers = random.Random(5)
    for _ in range(50):
        side.begin()
        client = side.follow(End(socket.create_connection(("127.0.0.1", side.proxy.port))))
        client.send(numbers.randbytes(numbers.randrange(1, 3000)) + b"\r\n\r\n")
        client.leave()
        side.end(bytewise=False)
    with one_row(side):
        exchange(side, question(), b'{"model":"m"}')
    (after,) = rows(side, "SELECT count(*) AS n FROM completion_requests")
    assert after["n"] == before["n"] + 1
