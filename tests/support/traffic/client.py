"""A client's connection through a proxy: one call after the other, each answer compared with what was sent."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Self

from wsproto.events import Request

from tests.support.provider.scenario import End
from tests.support.traffic import http1
from tests.support.traffic.calls import NUMBER, Call
from tests.support.traffic.websocket import ask

_PATIENCE = 30.0
_LIMIT = 1 << 16
_BAD_GATEWAY = 502


class WrongAnswerError(Exception):
    """The answer that came is not the one that was sent."""


def trusting(*authorities: Path) -> ssl.SSLContext:
    """Return what a client of both the opened and the tunnelled hosts trusts."""
    context = ssl.create_default_context()
    for authority in authorities:
        context.load_verify_locations(authority)
    return context


class Connection:
    """One connection to one host; `open` is False once it cannot be used again."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use `Connection.made`."""
        self.host = host
        self.open = True
        self._reader, self._writer = reader, writer

    @classmethod
    async def made(cls, port: int, host: str, context: ssl.SSLContext) -> Self:
        """Connect through the proxy at `port`."""
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT)
            writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise WrongAnswerError(head)
            await writer.start_tls(context, server_hostname=host)
        return cls(host, reader, writer)

    async def close(self) -> None:
        """End the connection as a client does that is done with it."""
        self.open = False
        self._writer.close()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    async def make(self, call: Call, number: str) -> float:
        """Make a call; return the milliseconds until its answer's end.

        Raises:
            WrongAnswerError, OSError, TimeoutError, asyncio.IncompleteReadError: it did not go as the call says.
        """
        began = time.monotonic()
        async with asyncio.timeout(_PATIENCE):
            if call.turns:
                await self._session(call, number)
            else:
                await self._exchange(call, number)
        return (time.monotonic() - began) * 1000

    async def _session(self, call: Call, number: str) -> None:
        self.open = False
        headers = [(NUMBER.encode(), number.encode()), (b"x-llm-origin", number.encode())]
        request = Request(call.host, call.path, extra_headers=headers)
        if not await ask(self._reader, self._writer, request, call.turns):
            raise WrongAnswerError(call.kind)

    async def _exchange(self, call: Call, number: str) -> None:
        fields = f"{NUMBER}: {number}\r\nx-llm-origin: {number}\r\nContent-Type: application/json"
        head = f"{call.method} {call.path} HTTP/1.1\r\nHost: {call.host}\r\n{fields}\r\n"
        self._writer.write(f"{head}Content-Length: {len(call.body)}\r\n\r\n".encode() + call.body)
        await self._writer.drain()
        answer, body = call.answer, bytearray()
        first, headers = await http1.read_head(self._reader)
        status = int(first.split()[1])
        if answer.head_at_ms is None:
            self.open = False
            _expect(call, status == _BAD_GATEWAY)
            return
        _expect(call, status == answer.status)
        cut = False
        try:
            await http1.read_body(self._reader, headers, body, until=call.leaves_after)
            if call.leaves_after is not None:
                self.open = False
                self._writer.transport.abort()
        except (asyncio.IncompleteReadError, ConnectionError):
            cut, self.open = True, False
        _expect(call, cut == (answer.end is End.CUT))
        _expect(call, body == b"".join(step.data for step in answer.steps))


def _expect(call: Call, kept: bool) -> None:  # noqa: FBT001 - it reads as a sentence
    if not kept:
        raise WrongAnswerError(call.kind)
