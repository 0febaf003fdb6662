"""The provider: it answers each request with the bytes of its exchange, and looks at what came."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import trustme

from tests.support.traffic.http1 import LONGEST_HEAD, chunk, has_body, head, read_body, read_head
from tests.trials.hostile.exchange import Ends, Exchange, Framing
from tests.trials.hostile.ordinary import TLS_HOSTS

NUMBER = "x-hostile-number"
_FORBIDDEN = ("proxy-authorization", "x-llm-origin")


class Provider:
    """Listens on two free ports, as a context manager. `running` are the exchanges that may come, by number."""

    def __init__(self, folder: Path, running: Mapping[str, Exchange]) -> None:
        authority = trustme.CA()
        self.ca = folder / "provider-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*TLS_HOSTS).configure_cert(self._context)
        self._running = running
        self._servers: list[asyncio.Server] = []
        self.tls_port = self.plain_port = 0
        self.wrong: list[str] = []

    async def __aenter__(self) -> Self:
        """Start to answer."""
        for context in (self._context, None):
            self._servers.append(
                await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=context, limit=LONGEST_HEAD)
            )
        self.tls_port, self.plain_port = (server.sockets[0].getsockname()[1] for server in self._servers)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cut what is still open."""
        for server in self._servers:
            server.close()
            server.close_clients()
            await server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # the other side may leave at any moment
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False: the connection ends here."""
        _, headers = await read_head(reader)
        exchange, body = self._running[headers[NUMBER]], bytearray()
        await read_body(reader, {"content-length": "0"} | headers, body, until=None)
        if body != exchange.body or any(name in headers for name in _FORBIDDEN):
            self.wrong.append(f"{exchange.kind} {headers[NUMBER]}: the provider got another request")
        if exchange.silent:
            return False
        length = sum(map(len, exchange.answer)) + exchange.more_promised
        framing = {
            Framing.LENGTH: [("content-length", str(length).encode())] if has_body(exchange.status) else [],
            Framing.CHUNKED: [("transfer-encoding", b"chunked")],
            Framing.CLOSE: [("connection", b"close")],
        }[exchange.framing]
        writer.write(head(f"HTTP/1.1 {exchange.status} So", [*exchange.answer_headers, *framing]))
        for piece in exchange.answer:
            writer.write(chunk(piece) if exchange.framing is Framing.CHUNKED else piece)
            await writer.drain()
            await asyncio.sleep(0)
        if exchange.ends is Ends.LEFT:
            await reader.read(1)
            return False
        if exchange.ends is Ends.WELL and exchange.framing is Framing.CHUNKED:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return exchange.ends is Ends.WELL and exchange.framing is not Framing.CLOSE
