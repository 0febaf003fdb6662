"""The streams and the throughput that one proxy carries, and several that record into one file.

Client and provider need cores of their own as well: on a machine with few of them, several proxies show less than they
could do.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec

from tests.trials.bench.commands import Close, Open, Report, Run
from tests.trials.bench.load import LoadClient
from tests.trials.bench.measure import Figures, must_be_whole, rows_of, warm_up
from tests.trials.bench.process import cpu_seconds
from tests.trials.bench.provider import Provider
from tests.trials.bench.systems import OURS, SYSTEMS, Running, started
from tests.trials.bench.traffic import Answer

_OURS = next(system for system in SYSTEMS if system.name == OURS)


class Load(msgspec.Struct, frozen=True):
    """`connections` altogether, shared out evenly to `processes`, each of which asks `count` times."""

    title: str
    processes: int
    answer: Answer
    connections: int
    count: int


class Carried(msgspec.Struct):
    """A load, and its figures: medians of the rounds; a percentile is that of the client that saw the worst."""

    load: Load
    figures: Figures


_STREAMS = "streams of 50 events/s"
_SMALL = "small JSON"
_BURSTS = "streams without pauses"
LOADS = (
    *(Load(_STREAMS, 1, Answer.PACED, streams, 5) for streams in (25, 50, 75, 100)),
    Load(_STREAMS, 2, Answer.PACED, 100, 5),
    *(Load(_SMALL, processes, Answer.SMALL, 32, 40) for processes in (1, 2)),
    *(Load(_BURSTS, processes, Answer.BURST, 16, 12) for processes in (1, 2)),
)


def carried(folder: Path, rounds: int, tell: Callable[[str], None], loads: tuple[Load, ...] = LOADS) -> list[Carried]:
    """Measure each load `rounds` times.

    Raises:
        BenchFailedError: an answer was wrong or a row is missing.
    """
    found: list[list[Figures]] = [[] for _ in loads]
    for number in range(rounds):
        for processes in sorted({load.processes for load in loads}):
            with Provider(folder) as provider, ExitStack() as stack:
                clients: list[LoadClient] = []
                proxies: list[Running] = []
                for place in range(processes):
                    own = folder / f"capacity-{number}-{processes}-{place}"
                    first = proxies[0].database if proxies else None
                    proxies.append(stack.enter_context(started(_OURS, own, provider, database=first)))
                    clients.append(stack.enter_context(LoadClient(folder)))
                    warm_up(clients[-1], proxies[-1])
                for place, load in enumerate(loads):
                    if load.processes == processes:
                        figures = _measured(clients, proxies, load)
                        found[place].append(figures)
                        rate = figures["requests_per_s"]
                        tell(f"  capacity  {processes} x {load.connections} {load.title}: {rate:.4g} requests/s")
                _see_that_all_rows_are_there(proxies)
    return [
        Carried(load, {name: median(one[name] for one in figures) for name in figures[0]})
        for load, figures in zip(loads, found, strict=True)
    ]


def _measured(clients: list[LoadClient], proxies: list[Running], load: Load) -> Figures:
    share = load.connections // load.processes

    def ask(client: LoadClient, running: Running) -> Report:
        report = client.do(Run(load.answer, share, load.count, 0))
        running.sent += report.requests
        running.events += report.events
        return report

    for client, running in zip(clients, proxies, strict=True):
        client.do(Open(running.target, share))
    used = [cpu_seconds(running.pid or 0) for running in proxies]
    with ThreadPoolExecutor(load.processes) as together:
        reports = list(together.map(ask, clients, proxies))
    used = [cpu_seconds(running.pid or 0) - before for running, before in zip(proxies, used, strict=True)]
    for client in clients:
        client.do(Close())
    seconds = max(report.figures["seconds"] for report in reports)
    figures = {
        "requests_per_s": sum(report.requests for report in reports) / seconds,
        "events_per_s": sum(report.events for report in reports) / seconds,
        "cores": sum(used) / seconds,
    }
    for name in ("p99_ms", "ttft_p50_ms", "ttft_p99_ms", "delay_p50_ms", "delay_p99_ms"):
        if name in reports[0].figures:
            figures[name] = max(report.figures[name] for report in reports)
    return figures


def _see_that_all_rows_are_there(proxies: list[Running]) -> None:
    """See that the one file has the rows of all proxies."""
    first = proxies[0]
    first.sent = sum(running.sent for running in proxies)
    first.events = sum(running.events for running in proxies)
    must_be_whole(rows_of(first), "".join(running.proxy.log for running in proxies if running.proxy))
