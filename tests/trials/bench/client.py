"""The load client, in a process of its own: it does what lines of JSON on its standard input say, and reports so.

`Open` connects, so that handshakes are not measured; `Run` asks; `Close` ends the connections. Every answer is checked,
byte for byte but for the stamps, after its time was taken. What goes wrong is reported as `Failed`.
"""

import asyncio
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from typing import cast, override

import msgspec

from tests.trials.bench.commands import Command, Failed, Open, Report, Run, Target
from tests.trials.bench.samples import Samples, check
from tests.trials.bench.traffic import END, HOST, INTERVAL_SECONDS, STAMP, Answer, head_and_length, request

_PATIENCE_SECONDS = 300.0


class _Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.answer = Answer.SMALL
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = 0
        self.first = 0
        self.delays: list[int] = []
        self._needed = 0
        self._searched = 0

    @override
    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        buffer = self.buffer
        buffer += data
        if self.answer is Answer.SMALL:
            if not self._needed and (head := head_and_length(buffer)):
                self._needed = head[0] + (head[1] or 0)
            if self._needed and len(buffer) >= self._needed:
                self._end(now)
            return
        if self.answer is Answer.PACED:
            for found in STAMP.finditer(buffer, self._searched):
                self._searched = found.end()
                self.first = self.first or now
                self.delays.append(now - int(found[1]))
        elif not self.first and STAMP.search(buffer):
            self.first = now
        if buffer.endswith(END):
            self._end(now)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"closed after {bytes(self.buffer[:300])!r}: {exc}"))
            self.done.exception()  # nobody may be waiting: then there is nothing to tell

    async def ask(self, request_bytes: bytes, answer: Answer) -> int:
        """Send the request, wait for the end of its answer, and return when it was sent."""
        assert self.transport is not None  # noqa: S101 - it is connected
        self.answer, self.first, self.delays = answer, 0, []
        self._needed = self._searched = 0
        self.buffer.clear()
        if self.done.done():
            self.done.result()
            self.done = asyncio.get_running_loop().create_future()
        sent = time.monotonic_ns()
        self.transport.write(request_bytes)
        await self.done
        return sent

    def _end(self, now: int) -> None:
        self.ended = now
        self.done.set_result(None)


class _Tunnel(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())

    @override
    def data_received(self, data: bytes) -> None:
        if not self.said.done():
            self.said.set_result(data)


class Client:
    """Does the commands."""

    def __init__(self) -> None:
        self._target = Target(0, None, tunnel=False)
        self._context: ssl.SSLContext | None = None
        self._open: list[_Connection] = []

    async def do(self, command: Command) -> Report:
        """Do a command."""
        if isinstance(command, Open):
            self._target = command.target
            self._close()
            ca = command.target.ca
            self._context = ssl.create_default_context(cafile=ca) if ca else None
            self._open = [await self._connected() for _ in range(command.connections)]
            return Report()
        if isinstance(command, Run):
            return await self._run(command)
        self._close()
        return Report()

    def _close(self) -> None:
        for connection in self._open:
            _close(connection)
        self._open = []

    async def _connected(self) -> _Connection:
        loop, target = asyncio.get_running_loop(), self._target
        if not target.tunnel:
            name = HOST if self._context else None
            transport, connection = await loop.create_connection(
                _Connection, "127.0.0.1", target.port, ssl=self._context, server_hostname=name
            )
            connection.transport = transport
            return connection
        assert self._context is not None  # noqa: S101 - a tunnel leads to TLS
        raw, tunnel = await loop.create_connection(_Tunnel, "127.0.0.1", target.port)
        said = await tunnel.said
        if not said.startswith(b"HTTP/1.1 200"):
            msg = f"CONNECT was answered with {said[:300]!r}"
            raise ConnectionError(msg)
        connection = _Connection()
        secured = await loop.start_tls(raw, connection, self._context, server_hostname=HOST)
        assert secured is not None  # noqa: S101 - it was not closed
        connection.transport = secured
        return connection

    async def _run(self, run: Run) -> Report:
        asked, samples = request(run.answer, run.body), Samples()
        stream_seconds = (run.answer.events + 1) * INTERVAL_SECONDS if run.answer is Answer.PACED else 0.0
        began = time.monotonic()
        ends = began + run.seconds

        async def keep_asking(number: int) -> None:
            # Streams that began together would send their events together for ever, which no users do.
            await asyncio.sleep(number * stream_seconds / run.concurrency)
            done = 0
            while time.monotonic() < ends if run.seconds else done < run.count:
                done += 1
                if self._open:
                    connection = self._open[number]
                    sent = await connection.ask(asked, run.answer)
                else:
                    sent = time.monotonic_ns()
                    connection = await self._connected()
                    await connection.ask(asked, run.answer)
                    _close(connection)
                samples.take(connection, sent)
                samples.count(check(connection.buffer, run.answer, rewritten=self._target.rewrites))

        await asyncio.gather(*(keep_asking(number) for number in range(run.concurrency)))
        return samples.report(run.answer, time.monotonic() - began)


def _close(connection: _Connection) -> None:
    if connection.transport is not None:
        connection.transport.close()


async def _serve(read: Callable[[], Awaitable[bytes]]) -> None:
    decoder = msgspec.json.Decoder[Command](Command)
    client = Client()
    while line := await read():
        report: Report | Failed
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                report = await client.do(decoder.decode(line))
        except (OSError, ValueError, TimeoutError) as error:
            report = Failed(f"{type(error).__name__}: {error}")
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await _serve(reader.readline)


if __name__ == "__main__":
    asyncio.run(_main())
