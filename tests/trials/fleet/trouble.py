"""Troubles during the trial: exporters are killed, the server is killed, restarted and gone, and prices change."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Sequence

from tests.support.exporting.postgres_server import Server
from tests.trials.fleet.sidecar import Sidecar

_MOST_BETWEEN = 4.0  # seconds between two troubles


class Trouble:
    """Troubles at random, until it is cancelled; `seen` counts them."""

    def __init__(self, sidecars: Sequence[Sidecar], server: Server, numbers: random.Random, outage: float) -> None:
        """`outage` is how many seconds the server is away at the longest."""
        self.seen: Counter[str] = Counter()
        self.away_seconds = 0.0
        self._sidecars, self._server, self._numbers, self._outage = sidecars, server, numbers, outage
        self._kinds = {"exporters killed": self._kill, "server gone": self._away, "server restarted": self._restart}
        self._kinds["prices changed"] = self._prices

    async def go_on(self) -> None:
        """Make trouble, one after the other."""
        while True:
            await asyncio.sleep(self._numbers.uniform(0, _MOST_BETWEEN))
            kind = self._numbers.choices(tuple(self._kinds), weights=(8, 1, 2, 1))[0]
            await self._kinds[kind]()
            self.seen[kind] += 1

    async def _kill(self) -> None:
        for sidecar in self._numbers.sample(self._sidecars, self._numbers.randint(1, len(self._sidecars))):
            sidecar.kill()
        await asyncio.sleep(self._numbers.uniform(0, 2))
        for sidecar in self._sidecars:
            sidecar.follow()

    async def _away(self) -> None:
        seconds = self._numbers.choice((self._outage, self._numbers.uniform(0, self._outage)))
        self.away_seconds += seconds
        await asyncio.to_thread(self._server.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._server.start)

    async def _restart(self) -> None:
        await asyncio.to_thread(self._server.stop, signal.SIGINT)
        await asyncio.to_thread(self._server.start)

    async def _prices(self) -> None:
        await self._numbers.choice(self._sidecars).change_prices(self._numbers)
