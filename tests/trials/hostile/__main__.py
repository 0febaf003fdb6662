"""Run hostile traffic: `python -m tests.trials.hostile [--exchanges 100000] [--seed 1] [--json FILE] [--keep FOLDER]`.

Random exchanges with hostile clients and providers go through a real mitmdump: odd, deep and broken JSON, absurd
numbers, lies about encodings and lengths, bombs, strange headers, errors that quote the request's secrets. Recorded
calls and random conversations then go through two that differ in one option, `metrics_include_usage` or
`metrics_fast_path`, and must look the same. Random conversations with mitmproxy's layers in memory must look the same
with the by-pass and without it.
Exit code 1 if a promise was broken; the seed and the number in what was found repeat it: `--first N --exchanges 1`, or
`--first N --exchanges 0 --both-ways 1`, or `--first N --exchanges 0 --in-memory 1`.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from llm_metrics_proxy.recorder import backup
from tests.support.process_watch import Watched
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy
from tests.support.traffic.client import trusting
from tests.support.verdict import Promise, table, tried
from tests.trials import record
from tests.trials.hostile.answers import Answers
from tests.trials.hostile.both_ways import in_memory
from tests.trials.hostile.both_ways import trial as both_ways
from tests.trials.hostile.exchange import Exchange
from tests.trials.hostile.ordinary import NAMED
from tests.trials.hostile.traffic import Traffic
from tests.trials.hostile.verdict import promises, secrets

_WARM_UP = 0.02  # of the exchanges pass before memory counts
_SHOWN_SECONDS = 30
_EXCHANGES_FOR_A_PAIR = 50


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.trials.hostile", description="Run hostile traffic.")
    parser.add_argument("--exchanges", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a record of the run there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the database and the log there")
    parser.add_argument(
        "--both-ways",
        type=int,
        metavar="N",
        help="conversations to make with each of two values of an option and to compare; else 1 for 50 exchanges",
    )
    parser.add_argument(
        "--in-memory",
        type=int,
        metavar="N",
        help="conversations to make in memory, with the by-pass and without it; else as many as exchanges",
    )
    wanted = parser.parse_args()
    return tried("hostile", wanted.keep, lambda folder: _try(folder, wanted))


async def _try(folder: Path, wanted: argparse.Namespace) -> list[Promise]:
    began = time.monotonic()
    judged, kinds = await _run(folder, wanted) if wanted.exchanges else ([], Counter[str]())
    pairs = wanted.exchanges // _EXCHANGES_FOR_A_PAIR if wanted.both_ways is None else wanted.both_ways
    found, talks = list[tuple[list[Promise], int]](), Counter[str]()
    if pairs:
        found, talks = await both_ways.run(folder, first=wanted.first, count=pairs, seed=wanted.seed)
    rehearsed = wanted.exchanges if wanted.in_memory is None else wanted.in_memory
    if rehearsed:
        found.append(([_by_pass(wanted.first, rehearsed, wanted.seed)], rehearsed))
        talks["in memory"] += rehearsed
    compared = [promise for promises, _ in found for promise in promises]
    seconds = time.monotonic() - began
    print(table(judged + compared))
    counts = ", ".join(f"{count} {kind}" for kind, count in (kinds + talks).most_common())
    print(f"{wanted.exchanges:,} exchanges of seed {wanted.seed} in {seconds:.0f} s: {counts}")
    if wanted.json:
        checks = record.judged(judged, kinds.total())
        checks += [check for promises, tries in found for check in record.judged(promises, tries)]
        record.recorded("hostile", seconds, checks, kinds + talks, {"seed": wanted.seed}).write(wanted.json)
    return judged + compared


async def _run(folder: Path, wanted: argparse.Namespace) -> tuple[list[Promise], Counter[str]]:
    running: dict[str, Exchange] = {}
    answers = Answers(running)
    with Provider(answers.answer, remembers=False) as provider:
        ca = provider.authority.write(folder / "provider-ca.pem")
        options = [f"metrics_hosts={NAMED}"]
        proxy = Proxy(folder, provider.port, ca, options=options, environment={"COLUMNS": "400"})
        for quiet in ("termlog_verbosity=warn", "flow_detail=0"):  # it prints what mitmproxy does by default
            at = proxy.command.index(quiet)
            del proxy.command[at - 1 : at + 1]
        with proxy:
            traffic = Traffic(proxy.port, trusting(proxy.ca), running)
            watched = Watched(proxy.pid)
            warm_up = max(int(wanted.exchanges * _WARM_UP), min(wanted.exchanges, 100))
            await traffic.flow(wanted.first, warm_up, wanted.seed)
            looking = asyncio.create_task(_look(traffic, watched))
            await traffic.flow(wanted.first + warm_up, wanted.exchanges - warm_up, wanted.seed)
            await asyncio.sleep(1)
            looking.cancel()
            watched.look(traffic.kinds.total())
            saved = await asyncio.to_thread(backup.create, proxy.database, backup_dir=folder)
            beside = [*folder.glob("metrics.db*"), *folder.glob("metrics.db.spill/*")]
            judged = [secrets([path for path in beside if path.is_file() and path != saved])]
            code = await asyncio.to_thread(proxy.stop)
    judged += promises(traffic, answers.harmed, watched.samples, proxy.database, proxy.log)
    judged.append(Promise("the proxy ends well", code == 0, f"exit code {code}"))
    left = [path for path in folder.rglob("*") if path.is_file() and "mitmproxy" not in path.parts]  # all but the CA
    judged.append(await asyncio.to_thread(secrets, left))
    return judged, traffic.kinds


def _by_pass(first: int, count: int, seed: int) -> Promise:
    """Make so many conversations of the seed in memory, on all cores."""
    with ProcessPoolExecutor() as processes:
        made = processes.map(
            in_memory.difference, (f"{seed} {first + number}" for number in range(count)), chunksize=50
        )
        wrong = [f"m-{first + number}: {one}" for number, one in enumerate(made) if one]
    return Promise.unless(wrong, "the by-pass changes nothing", f"{count:,} conversations in memory, both ways")


async def _look(traffic: Traffic, watched: Watched) -> None:
    said = time.monotonic()
    while True:
        watched.look(traffic.kinds.total())
        if time.monotonic() - said > _SHOWN_SECONDS and sys.stderr.isatty():
            said = time.monotonic()
            print(f"{traffic.kinds.total():,} ...", file=sys.stderr)
        await asyncio.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
