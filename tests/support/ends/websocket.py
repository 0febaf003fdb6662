"""The two ends of a WebSocket, which a test drives frame by frame."""

import json
import queue
import socket
import ssl
import threading
from contextlib import suppress
from typing import Self

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Message, Request, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate

from tests.support.certificates import Authority
from tests.support.rig import PATIENCE


class Peer:
    """One end of a WebSocket, driven by the test."""

    def __init__(self, connection: socket.socket, kind: ConnectionType) -> None:
        self.socket, self._ws, self._events = connection, WSConnection(kind), list[Event]()

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
    """A provider that accepts every WebSocket and hands it to the test."""

    def __init__(self, authority: Authority) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._context = authority.server_context()
        self._accepted: queue.Queue[Peer] = queue.Queue()
        self._thread = threading.Thread(target=self._accept)
        self.deflate = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            with suppress(ssl.SSLError):
                try:
                    connection = self._listening.accept()[0]
                except OSError:
                    return
                peer = Peer(self._context.wrap_socket(connection, server_side=True), ConnectionType.SERVER)
                peer.socket.settimeout(PATIENCE)
                assert isinstance(peer.next(), Request)
                extensions: list[Extension] = [PerMessageDeflate()] if self.deflate else []
                peer.send(AcceptConnection(extensions=extensions))
                self._accepted.put(peer)

    def accepted(self) -> Peer:
        return self._accepted.get(timeout=PATIENCE)
