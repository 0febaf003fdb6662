"""The two ends of a WebSocket, which a test drives frame by frame."""

import json
import queue
import socket

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Message, TextMessage
from wsproto.events import Request as Asked
from wsproto.extensions import Extension, PerMessageDeflate

from tests.support.provider.scenario import Request
from tests.support.provider.server import Takeover
from tests.support.waiting import PATIENCE


class Peer:
    """One end of a WebSocket, driven by the test."""

    def __init__(self, connection: socket.socket, kind: ConnectionType) -> None:
        self.socket, self._ws, self._events = connection, WSConnection(kind), list[Event]()

    def upgrade(self, headers: list[tuple[bytes, bytes]], target: str) -> None:
        """Take the request's head, which was read already."""
        self._ws.initiate_upgrade_connection(headers, target)
        self._events += self._ws.events()

    def send(self, *events: Event) -> None:
        for event in events:
            self.socket.sendall(self._ws.send(event))

    def say(self, **message: object) -> None:
        self.send(TextMessage(json.dumps(message)))

    def next(self) -> Event:
        while not self._events:
            self._ws.receive_data(self.socket.recv(1 << 20) or None)
            self._events += self._ws.events()
        return self._events.pop(0)

    def frames(self) -> list[str | bytes]:
        """Return the frames of the next message, whose end is the last."""
        frames: list[str | bytes] = [""]
        while True:
            event = self.next()
            assert isinstance(event, Message), event
            frames[-1] = event.data if frames[-1] in ("", b"") else frames[-1] + event.data
            if event.message_finished:
                return [bytes(frame) if isinstance(frame, bytearray) else frame for frame in frames]
            if event.frame_finished:
                frames.append("")


class Sockets:
    """Accepts every WebSocket, as the `answer` of a provider, and hands it to the test."""

    def __init__(self) -> None:
        self.deflate = False
        self._accepted: queue.Queue[Peer] = queue.Queue()

    def answer(self, _request: Request) -> Takeover:
        return self._accept

    def accepted(self) -> Peer:
        return self._accepted.get(timeout=PATIENCE)

    def _accept(self, request: Request, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        peer = upgraded(request, connection)
        extensions: list[Extension] = [PerMessageDeflate()] if self.deflate else []
        peer.send(AcceptConnection(extensions=extensions))
        self._accepted.put(peer)


def upgraded(request: Request, connection: socket.socket) -> Peer:
    """Return the provider's end of a WebSocket that `request` asks for, which has yet to be accepted."""
    peer = Peer(connection, ConnectionType.SERVER)
    peer.upgrade([(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers], request.target)
    assert isinstance(peer.next(), Asked)
    return peer
