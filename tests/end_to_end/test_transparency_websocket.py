"""WebSockets: the upgrade and every frame are what they are through a proxy whose addon does nothing but stream."""

import json
from collections.abc import Iterator

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from tests.support.ends.connection import End
from tests.support.ends.two_proxies import Side, Sides, both
from tests.support.rig import OPENAI
from tests.support.waiting import eventually

HEAD_END = b"\r\n\r\n"
UPGRADE = (
    f"HTTP/1.1\r\nHost: {OPENAI}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nx-Odd-CASE: 1\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOpenAI-Beta: realtime=v1\r\n"
    "Sec-WebSocket-Protocol: realtime, other\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n"
).encode()
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nx-Odd-CASE: 2\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: realtime\r\nSet-Cookie: c=3\r\n\r\n"
)
PATHS = pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime?model=gpt", "/v1/other"])


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with both(tmp_path_factory.mktemp("websocket")) as started:
        yield started


class Frames:
    """Writes frames to an end, and reads them there."""

    def __init__(self, end: End, kind: ConnectionType) -> None:
        self._end, self._connection = end, Connection(kind)
        self._events: list[Event] = []

    def send(self, *events: Event) -> None:
        for event in events:
            self._end.send(self._connection.send(event))

    def next(self) -> Event:
        while not self._events:
            self._connection.receive_data(self._end.some() or None)
            self._events += self._connection.events()
        return self._events.pop(0)


def upgraded(side: Side, path: str) -> tuple[Frames, Frames]:
    client, provider = side.connected(OPENAI)
    client.send(f"GET {path} ".encode() + UPGRADE)
    side.note(provider.until(HEAD_END))
    provider.send(ACCEPTED)
    side.note(client.until(HEAD_END))
    return Frames(client, ConnectionType.CLIENT), Frames(provider, ConnectionType.SERVER)


@PATHS
def test_the_upgrade_and_every_frame_are_the_same_on_both_sides(sides: Sides, path: str) -> None:
    frames: list[Event] = [
        TextMessage(json.dumps({"type": "response.create", "model": "gpt"})),
        TextMessage('{"type":', message_finished=False),
        TextMessage("", message_finished=False),
        TextMessage(' "none"}'),
        BytesMessage(bytes(range(256)) * 400),
        Ping(b"1"),
        TextMessage("x" * 70_000),
    ]
    for side in sides.without_bytes():  # masks are drawn at random
        client, provider = upgraded(side, path)
        for sender, receiver in ((client, provider), (provider, client)):
            for frame in frames:
                sender.send(frame)
                if getattr(frame, "message_finished", True):
                    side.note(receiver.next())
                    while not getattr(side.seen[-1], "message_finished", True):
                        side.note(receiver.next())
        provider.send(CloseConnection(4321, "enough"))
        side.note(client.next())


@PATHS
def test_a_message_reaches_the_other_side_before_the_next_is_sent(sides: Sides, path: str) -> None:
    for side in sides.without_bytes():
        client, provider = upgraded(side, path)
        for number in range(5):
            for sender, receiver in ((client, provider), (provider, client)):
                sender.send(TextMessage(str(number)))
                assert receiver.next() == TextMessage(str(number))


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"503 Busy"])
def test_an_upgrade_that_is_refused_is_refused_alike(sides: Sides, status: bytes) -> None:
    for side in sides:
        client, provider = side.connected(OPENAI)
        client.send(b"GET /v1/responses " + UPGRADE)
        provider.until(HEAD_END)
        provider.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")
        client.until(b"{}")


@pytest.mark.parametrize("who", ["client", "provider"])
def test_a_side_that_leaves_without_a_word_is_gone_for_the_other(sides: Sides, who: str) -> None:
    for side in sides.without_bytes():
        client, provider = side.connected(OPENAI)
        client.send(b"GET /v1/responses " + UPGRADE)
        provider.until(HEAD_END)
        provider.send(ACCEPTED)
        client.until(HEAD_END)
        leaving, staying = (client, provider) if who == "client" else (provider, client)
        leaving.leave()
        side.note(len(staying.to_the_end()))


def test_what_is_compared_here_is_recorded(sides: Sides) -> None:
    for side in sides.without_bytes():
        client, provider = upgraded(side, "/v1/responses")
        client.send(TextMessage(json.dumps({"type": "response.create", "model": "looked-at"})))
        provider.next()
        for kind in ("response.created", "response.completed"):
            provider.send(TextMessage(json.dumps({"type": kind, "response": {"id": "r", "status": "completed"}})))
            client.next()
    rows = "SELECT success FROM completion_requests WHERE model = 'looked-at'"
    assert eventually(lambda: sides.query(rows)) == [(1,)]
