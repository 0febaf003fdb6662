"""The users of one proxy: each makes calls one after the other, on new and on kept connections, with pauses between."""

import asyncio
import random
import ssl
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.support.traffic.calls import Call, Outcome, drawn
from tests.support.traffic.client import Connection, WrongAnswerError

USERS = 8
_KEPT = 0.75  # of the calls go over a connection that is there already, if there is one
_FAILED = (WrongAnswerError, OSError, TimeoutError, asyncio.IncompleteReadError)


@dataclass
class Traffic:
    """The calls of one proxy. `running` is where the provider looks; `expected` says which rows each call leaves."""

    name: str
    port: int
    context: ssl.SSLContext
    running: dict[str, Call]
    expected: dict[str, tuple[Outcome, ...]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    took_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    connections: int = 0

    @property
    def calls(self) -> int:
        """The number of calls that have ended."""
        return self.kinds.total()

    async def flow(self, *, seconds: float, rate: float, seed: int) -> None:
        """Let the users make `rate` calls a second together."""
        ends = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as users:
            for user in range(USERS):
                numbers = random.Random(seed * 1000 + user)
                users.create_task(self._user(user, numbers, ends, rate / USERS))

    async def _user(self, user: int, numbers: random.Random, ends: float, rate: float) -> None:
        loop = asyncio.get_running_loop()
        kept: dict[str, Connection] = {}
        due = loop.time()
        try:
            while (due := max(due + numbers.expovariate(rate), loop.time() - 1)) < ends:
                await asyncio.sleep(max(due - loop.time(), 0))
                call, keep = drawn(numbers), numbers.random() < _KEPT
                await self._make(call, f"{self.name}-{user}-{len(self.expected)}", kept, keep=keep)
        finally:
            for connection in kept.values():
                await connection.close()

    async def _make(self, call: Call, number: str, kept: dict[str, Connection], *, keep: bool) -> None:
        self.running[number] = call
        self.expected[number] = call.rows
        connection = kept.pop(call.host, None)
        try:
            if connection is not None and not keep:
                await connection.close()
                connection = None
            if connection is None:
                connection = await Connection.made(self.port, call.host, self.context)
                self.connections += 1
            self.took_ms[call.kind].append(await connection.make(call, number))
        except _FAILED as error:
            self.wrong.append(f"{call.kind}, {number}: {type(error).__name__} {error}")
            if connection is not None:
                connection.open = False
        if connection is not None and connection.open:
            kept[call.host] = connection
        elif connection is not None:
            await connection.close()
        self.kinds[call.kind] += 1
        del self.running[number]
