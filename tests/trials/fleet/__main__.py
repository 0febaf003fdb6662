"""Try a fleet: `python -m tests.trials.fleet [--sidecars 8] [--seconds 300] [--rate 4] [--outage 60] [--seed 1]`.

Each sidecar is a mitmdump with the addon, real clients before it, and an exporter behind it; all export to one
PostgreSQL. Exporters are killed, the server is killed and away for up to a minute, and prices change, at random. At the
end each row must be at the server, once, with equal columns. Exit code 1 if a promise was broken. Everything lies in a
temporary folder, which is gone in the end unless --keep names one.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.support.exporting.postgres_server import Server
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy
from tests.support.traffic.calls import Call, answering
from tests.support.traffic.client import trusting
from tests.support.traffic.users import Traffic
from tests.support.verdict import Promise, table, tried
from tests.trials import record
from tests.trials.fleet.sidecar import Sidecar
from tests.trials.fleet.trouble import Trouble
from tests.trials.fleet.verdict import promises

_FIRST_SECONDS = 3.0  # an exporter that has just started may be asked to end


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials.fleet", description="Export from many hosts amid failures."
    )
    parser.add_argument("--sidecars", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=4, help="calls a second through each sidecar")
    parser.add_argument("--outage", type=float, default=60, help="seconds that the server is away at the longest")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a record of the run there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the databases and the logs there")
    wanted = parser.parse_args()
    return tried("fleet", wanted.keep, lambda folder: _try(folder, wanted))


async def _try(folder: Path, wanted: argparse.Namespace) -> list[Promise]:
    began = time.monotonic()
    running: dict[str, Call] = {}
    with ExitStack() as stack:
        server = stack.enter_context(Server(durable=True))
        dsn = server.dsn(server.database())
        with Provider(answering(running), remembers=False) as provider:
            ca = provider.authority.write(folder / "provider-ca.pem")
            sidecars = []
            for number in range(wanted.sidecars):
                place = folder / f"host-{number}"
                place.mkdir()
                proxy = stack.enter_context(Proxy(place, provider.port, ca))
                traffic = Traffic(place.name, proxy.port, trusting(proxy.ca, ca), running)
                sidecars.append(Sidecar(place.name, place, proxy, traffic, dsn))
                stack.callback(sidecars[-1].kill)
            trouble = await _flow(sidecars, server, wanted)
            codes = [one.end() for one in sidecars]
        codes += await asyncio.gather(*(one.send_the_rest() for one in sidecars))
        judged = promises(sidecars, dsn, codes)
    kinds = ", ".join(f"{count} x {kind}" for kind, count in trouble.seen.most_common())
    print(f"seed {wanted.seed}, {wanted.seconds:g} s: {kinds}; the server was away for {trouble.away_seconds:.0f} s,")
    print(f"{sum(one.kills for one in sidecars)} exporters were killed")
    print(table(judged))
    if wanted.json:
        calls = sum((one.traffic.kinds for one in sidecars), Counter[str]())
        away = {"exporters_killed": sum(one.kills for one in sidecars), "server_away_seconds": trouble.away_seconds}
        found = {"seed": wanted.seed, "sidecars": len(sidecars), "troubles": dict(trouble.seen), **away}
        checks = record.judged(judged, calls.total())
        record.recorded("fleet", time.monotonic() - began, checks, calls, found).write(wanted.json)
    return judged


async def _flow(sidecars: list[Sidecar], server: Server, wanted: argparse.Namespace) -> Trouble:
    """Let the clients call while there is trouble, then wait until the server has what it can have."""
    numbers = random.Random(wanted.seed)
    trouble = Trouble(sidecars, server, numbers, wanted.outage)
    for one in sidecars:
        one.follow()
    making = asyncio.create_task(trouble.go_on())
    async with asyncio.TaskGroup() as clients:
        for number, one in enumerate(sidecars):
            flow = one.traffic.flow(seconds=wanted.seconds, rate=wanted.rate, seed=wanted.seed * 100 + number)
            clients.create_task(flow)
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)
    await asyncio.to_thread(server.start)
    for one in sidecars:
        one.follow()
    await asyncio.sleep(min(max(wanted.seconds / 10, _FIRST_SECONDS), 5))
    return trouble


if __name__ == "__main__":
    sys.exit(main())
