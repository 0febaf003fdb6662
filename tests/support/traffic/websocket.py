"""WebSockets of the Responses API: some turns, each a question, a few pieces of text and the usage."""

import asyncio
import json
import socket
from contextlib import closing

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Request, TextMessage
from wsproto.frame_protocol import CloseReason

from tests.support.ends.websocket import upgraded
from tests.support.provider import scenario

_PIECE = 1 << 16
_DELTAS = 3


def _said(number: int) -> list[dict[str, object]]:
    usage = {"input_tokens": 5, "output_tokens": 4, "total_tokens": 9}
    end = {"id": f"resp_{number}", "status": "completed", "usage": usage}
    return [
        {"type": "response.created", "response": {"id": f"resp_{number}", "status": "in_progress"}},
        *[dict[str, object](type="response.output_text.delta", delta=f"piece {piece}") for piece in range(_DELTAS)],
        {"type": "response.completed", "response": end},
    ]


def serve(request: scenario.Request, connection: socket.socket) -> None:
    """Be the provider: answer every question until the client closes."""
    with closing(connection):
        peer = upgraded(request, connection)
        peer.send(AcceptConnection())
        number = 0
        while isinstance(event := peer.next(), Message):
            number += event.message_finished
            for message in _said(number) if event.message_finished else ():
                peer.say(**message)
        if isinstance(event, CloseConnection) and event.code != CloseReason.ABNORMAL_CLOSURE:
            peer.send(event.response())


async def ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: Request,
    turns: int,
) -> bool:
    """Be the client; True if every message came as it was sent."""
    peer = _Client(reader, writer)
    await peer.send(request)
    same = isinstance(await peer.next(), AcceptConnection)
    for number in range(1, turns + 1):
        await peer.say(type="response.create", model="gpt-5.5", input="Why?")
        for message in _said(number):
            same &= await peer.heard() == json.dumps(message)
    await peer.send(CloseConnection(1000))
    await peer.next()
    return same


class _Client:
    """The client's end, in an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin before the upgrade."""
        self._ws, self._reader, self._writer = WSConnection(ConnectionType.CLIENT), reader, writer
        self._events: list[Event] = []

    def feed(self, data: bytes) -> None:
        """Take what was read already."""
        self._ws.receive_data(data)
        self._events += self._ws.events()

    async def send(self, event: Event) -> None:
        """Send one event."""
        self._writer.write(self._ws.send(event))
        await self._writer.drain()

    async def say(self, **message: object) -> None:
        """Send a message of JSON."""
        await self.send(TextMessage(json.dumps(message)))

    async def next(self) -> Event:
        """Return what comes next.

        Raises:
            ConnectionResetError: the other side has gone without a word.
        """
        while not self._events:
            data = await self._reader.read(_PIECE)
            if not data and self._ws.state is not ConnectionState.CLOSED:
                raise ConnectionResetError
            self.feed(data)
        return self._events.pop(0)

    async def heard(self) -> str | None:
        """Return the next message; None if it is the end."""
        text = ""
        while isinstance(event := await self.next(), TextMessage):
            text += event.data
            if event.message_finished:
                return text
        if isinstance(event, CloseConnection):
            await self.send(event.response())
        return None
