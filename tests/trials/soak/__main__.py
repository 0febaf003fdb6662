"""Mixed traffic for a long time: `python -m tests.trials.soak [--seconds 1200] [--rate 25] [--seed 1] [--json FILE]`.

The same calls go through a mitmdump with our addon and, beside it, through one whose addon only streams. At the end
every call must have left its rows, and our process may have grown no more than the other. Exit code 1 if a promise was
broken. Everything lies in a temporary folder, which is gone in the end unless --keep names one.
"""

import argparse
import asyncio
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.percentile import percentile
from tests.support.process_watch import Watched
from tests.support.provider.server import Provider
from tests.support.proxy import ADDON, ROOT, Proxy
from tests.support.traffic.calls import Call, answering
from tests.support.traffic.client import trusting
from tests.support.traffic.users import Traffic
from tests.support.verdict import Promise, tried
from tests.trials import record
from tests.trials.soak.report import figures, table
from tests.trials.soak.verdict import Result, promises

_FLOOR = ROOT / "tests" / "trials" / "bench" / "scripts" / "passthrough.py"
_FIRST_SECONDS = 3.0
_SETTLE_SECONDS = 15.0
_TICK = 0.05
_MOST_LATE_MS = 100.0


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials.soak", description="Run mixed traffic for a long time."
    )
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--rate", type=float, default=25, help="calls a second through each proxy")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a record of the run there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the database and the logs there")
    wanted = parser.parse_args()
    return tried("soak", wanted.keep, lambda folder: _soak(folder, wanted))


async def _soak(folder: Path, wanted: argparse.Namespace) -> list[Promise]:
    running: dict[str, Call] = {}
    began, cpu_at_first = time.monotonic(), time.process_time()
    with Provider(answering(running), remembers=False) as provider:
        ca = provider.authority.write(folder / "provider-ca.pem")
        with ExitStack() as stack:
            proxies, traffics, watched = list[Proxy](), list[Traffic](), list[Watched]()
            for name, addon in (("no-op", None), ("ours", ADDON)):
                place = folder / name
                place.mkdir()
                proxy = Proxy(place, provider.port, ca, addon=addon, scripts=[] if addon else [_FLOOR])
                proxies.append(stack.enter_context(proxy))
                traffics.append(Traffic(name, proxy.port, trusting(proxy.ca, ca), running))
                watched.append(Watched(proxy.pid))
            late = await _run(traffics, watched, wanted)
            codes = [await asyncio.to_thread(proxy.stop) for proxy in proxies]
    floor, ours = (Result(traffics[n], watched[n], codes[n], proxies[n].log) for n in (0, 1))
    p99 = percentile(late, 0.99)
    driver = f"its event loop p99 {p99:.1f} ms late, {time.process_time() - cpu_at_first:.1f} s of CPU"
    judged = promises(floor, ours, proxies[1].database)
    judged.append(Promise("the driver was no bottleneck", p99 <= _MOST_LATE_MS, driver))
    print(table(floor, ours, judged), flush=True)
    if wanted.json:
        checks = record.judged(judged, ours.traffic.calls)
        run = {"rate": wanted.rate, "seed": wanted.seed, **figures(floor, ours)}
        record.recorded("soak", time.monotonic() - began, checks, ours.traffic.kinds, run).write(wanted.json)
    return judged


async def _run(traffics: list[Traffic], watched: list[Watched], wanted: argparse.Namespace) -> list[float]:
    """Let it flow, and look once a second; return by how many ms the driver's event loop was late, tick by tick."""
    # The first calls open what stays open (the database, threads of the resolver): they are no growth.
    await _flow(traffics, min(_FIRST_SECONDS, wanted.seconds / 4), wanted.rate, wanted.seed)
    await _settled(watched)
    for one, traffic in zip(watched, traffics, strict=True):
        one.look(traffic.calls)
    late: list[float] = []
    looking = asyncio.create_task(_look(traffics, watched, late))
    await _flow(traffics, wanted.seconds, wanted.rate, wanted.seed + 1)
    looking.cancel()
    await _settled(watched)
    for one, traffic in zip(watched, traffics, strict=True):
        one.look(traffic.calls)
    return late


async def _flow(traffics: list[Traffic], seconds: float, rate: float, seed: int) -> None:
    await asyncio.gather(*(traffic.flow(seconds=seconds, rate=rate, seed=seed) for traffic in traffics))


async def _look(traffics: list[Traffic], watched: list[Watched], late: list[float]) -> None:
    loop = asyncio.get_running_loop()
    next_second = loop.time()
    while True:
        due = loop.time() + _TICK
        await asyncio.sleep(_TICK)
        late.append((loop.time() - due) * 1000)
        if loop.time() >= next_second:
            next_second += 1
            for one, traffic in zip(watched, traffics, strict=True):
                one.look(traffic.calls)


async def _settled(watched: list[Watched]) -> None:
    """Wait until neither process closes files any more, for a second."""
    ends = time.monotonic() + _SETTLE_SECONDS
    last: list[int] = []
    while time.monotonic() < ends:
        files = [one.now(0).files for one in watched]
        if files == last:
            return
        last = files
        await asyncio.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
