"""The clients: each makes exchanges one after the other, and compares what comes with what the provider sent."""

import asyncio
import random
import ssl
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.provider.scenario import End
from tests.support.traffic.http1 import LONGEST_HEAD, chunk, has_body, head, read_body, read_head
from tests.trials.hostile.answers import NUMBER
from tests.trials.hostile.exchange import Exchange
from tests.trials.hostile.kinds import drawn
from tests.trials.hostile.plants import PASSWORD

_USERS = 12
# Of the connections with TLS are used again. The others are not: where a script changes the provider's address,
# mitmproxy itself loses answers on kept ones, whatever the addon.
_KEPT = 0.97
_PATIENCE = 60.0
_BAD_GATEWAY = 502
_CREDENTIALS = ("Proxy-Authorization", b"Basic " + b64encode(f"tester:{PASSWORD}".encode()))

type Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Traffic:
    """All exchanges of a run. `running` is where the provider looks; `rows` says how many each must leave."""

    port: int
    context: ssl.SSLContext
    running: dict[str, Exchange]
    rows: dict[str, int] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def flow(self, first: int, count: int, seed: int) -> None:
        """Make the exchanges `first` to `first + count - 1` of the seed."""
        left = iter(range(first, first + count))
        async with asyncio.TaskGroup() as users:
            for _ in range(_USERS):
                users.create_task(self._user(left, seed))

    async def _user(self, left: Iterator[int], seed: int) -> None:
        kept: dict[str, Connection] = {}
        for number in left:
            numbers = random.Random(f"{seed} {number}")
            exchange, name = drawn(numbers), f"h-{number}"
            self.running[name], self.rows[name] = exchange, exchange.rows
            place = exchange.host
            try:
                async with asyncio.timeout(_PATIENCE):
                    connection = kept.pop(place, None) or await self._connected(exchange, numbers)
                    if (
                        await self._made(exchange, name, connection, numbers)
                        and exchange.tls
                        and numbers.random() < _KEPT
                    ):
                        kept[place] = connection
                    else:
                        connection[1].transport.abort()
            except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self.wrong.append(f"{exchange.kind} {name}: {type(error).__name__} {error}")
            del self.running[name]
            self.kinds[exchange.kind] += 1
        for _, writer in kept.values():
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connected(self, exchange: Exchange, numbers: random.Random) -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=LONGEST_HEAD)
        if exchange.tls:
            address = f"{exchange.host}:443"
            credentials = [_CREDENTIALS] if numbers.random() < 0.5 else []
            writer.write(head(f"CONNECT {address} HTTP/1.1", [("Host", address.encode()), *credentials]))
            await read_head(reader)
            await writer.start_tls(self.context, server_hostname=exchange.host)
        return reader, writer

    async def _made(self, exchange: Exchange, name: str, connection: Connection, numbers: random.Random) -> bool:
        """Make an exchange; False if the connection cannot be used again."""
        reader, writer = connection
        target = exchange.path if exchange.tls else f"http://{exchange.host}{exchange.path}"
        framing = (
            ("Transfer-Encoding", b"chunked")
            if exchange.chunked
            else ("Content-Length", str(len(exchange.body)).encode())
        )
        credentials = [_CREDENTIALS] if not exchange.tls and numbers.random() < 0.5 else []
        mine = [("Host", exchange.host.encode()), (NUMBER, name.encode()), ("session_id", name.encode()), framing]
        writer.write(head(f"POST {target} HTTP/1.1", [*mine, *exchange.headers, *credentials]))
        if exchange.chunked:
            writer.write((chunk(exchange.body) if exchange.body else b"") + b"0\r\n\r\n")
        else:
            writer.write(exchange.body)
        first, headers = await read_head(reader)
        status, body, cut = int(first.split(" ")[1]), bytearray(), False
        if exchange.silent:
            self._expect(exchange, name, status == _BAD_GATEWAY, first)
            return False
        until = len(exchange.answered) if exchange.ends is End.HANG else None
        try:
            if has_body(status):
                await read_body(reader, headers, body, until=until)
        except (asyncio.IncompleteReadError, ConnectionError):
            cut = True
        same = (status, bytes(body), cut) == (exchange.status, exchange.answered, exchange.ends is End.CUT)
        self._expect(exchange, name, same, f"{first}, {len(body)} of {len(exchange.answered)} bytes, cut: {cut}")
        reusable = "content-length" in headers or "transfer-encoding" in headers or not has_body(status)
        return same and exchange.ends is End.CLEAN and reusable

    def _expect(self, exchange: Exchange, name: str, kept: bool, found: str) -> None:  # noqa: FBT001 - it reads as a sentence
        if not kept:
            self.wrong.append(f"{exchange.kind} {name}: {found}")
