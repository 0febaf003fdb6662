"""The provider of all calls, in the driver's own event loop: it does what the call says that a header names."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from http.client import responses
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from tests.support.provider.scenario import End, Framing, Scenario
from tests.support.traffic.calls import HOSTS, Call
from tests.support.traffic.websocket import serve

NUMBER = "x-soak-number"
_LONGEST_LINE = 1 << 16


class Provider:
    """Listens on a free port, as a context manager; `calls` are those that may come."""

    def __init__(self, folder: Path, calls: Mapping[str, Call]) -> None:
        authority = trustme.CA()
        self.ca = folder / "provider-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*HOSTS).configure_cert(self._context)
        self._calls = calls
        self._server: asyncio.Server | None = None
        self.port = 0
        self.served = 0

    async def __aenter__(self) -> Self:
        """Start to answer."""
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self._context, limit=_LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Cut what is still open."""
        if self._server is not None:
            self._server.close()
            self._server.close_clients()
            await self._server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # the other side may leave at any moment
            while await self._answer(reader, writer):
                pass
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False: the connection ends here."""
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if line)
        await reader.readexactly(int(fields.get("content-length", 0)))
        call = self._calls[fields[NUMBER]]
        self.served += 1
        if call.turns:
            await serve(head, reader, writer)
            return False
        return await _play(call.answer, reader, writer)


async def _play(answer: Scenario, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    loop = asyncio.get_running_loop()
    began, chunked = loop.time(), answer.framing is Framing.CHUNKED
    if answer.head_at_ms is not None:
        writer.write(head_of(answer))
    for step in answer.steps:
        if (wait := began + step.at_ms / 1000 - loop.time()) > 0:
            await asyncio.sleep(wait)
        writer.write(b"%x\r\n%b\r\n" % (len(step.data), step.data) if chunked else step.data)
        await writer.drain()
    if answer.end is End.HANG:
        await reader.read(1)
    elif answer.end is End.CLEAN and chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    if answer.end is End.CUT:
        await asyncio.sleep(0)  # what was written goes before the end
    return answer.end is End.CLEAN


def head_of(answer: Scenario) -> bytes:
    """Return an answer's status line and headers."""
    length = sum(len(step.data) for step in answer.steps)
    framing = ("transfer-encoding", "chunked") if answer.framing is Framing.CHUNKED else ("content-length", str(length))
    lines = [f"{name}: {value}" for name, value in (*answer.headers, framing)]
    return "\r\n".join([f"HTTP/1.1 {answer.status} {responses[answer.status]}", *lines, "", ""]).encode()
