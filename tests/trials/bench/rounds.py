"""The rounds: in each, every system is started once, and each workload goes through all of them in turn.

So what the machine does besides hits all alike, and a ratio within a round means more than any figure. The order is
another one each time.
"""

import platform
import sqlite3
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from os import cpu_count
from pathlib import Path

import msgspec

from tests.support.proxy import ProxyFailedError
from tests.trials.bench import build
from tests.trials.bench.capacity import Carried
from tests.trials.bench.load import BenchFailedError, LoadClient
from tests.trials.bench.measure import Figures, measured, must_be_whole, rows_of, warm_up
from tests.trials.bench.provider import Provider
from tests.trials.bench.systems import DIRECT, Running, System, started
from tests.trials.bench.workloads import Workload

type Tell = Callable[[str], None]


class Round(msgspec.Struct):
    """By workload and system; `rows` by system."""

    figures: dict[str, dict[str, Figures]] = {}
    rows: dict[str, Figures] = {}


class Results(msgspec.Struct):
    """All that was measured; the form of the JSON file."""

    machine: dict[str, str | int | None]
    titles: dict[str, str] = {}
    """Of the systems, by name, in the order of the tables."""
    notes: dict[str, str] = {}
    quick: bool = False
    """Too few requests for the figures to mean anything."""
    rounds: list[Round] = []
    micro: Figures = {}
    capacity: list[Carried] = []
    not_run: dict[str, str] = {}
    failures: list[str] = []


def machine() -> dict[str, str | int | None]:
    """Return what the figures depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": cpu_count(),
        "cpu": names[0] if names else platform.processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "build": build.own_build(),
        "mitmproxy": version("mitmproxy"),
        "msgspec": version("msgspec"),
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "byteorder": sys.byteorder,
    }


class Bench:
    """Rounds of `workloads` through `systems`; everything that they write lies in `folder`."""

    def __init__(self, folder: Path, workloads: Sequence[Workload], systems: Sequence[System], tell: Tell) -> None:
        self._folder = folder
        self._workloads = workloads
        self._systems = systems
        self._tell = tell
        self.results = Results(
            machine(),
            titles={system.name: system.title for system in systems},
            notes={system.name: system.note for system in systems if system.note},
        )

    def run(self, rounds: int) -> None:
        """Measure; what fails is in the results' `failures`, and ends the rounds."""
        with (
            Provider(self._folder) as provider,
            LoadClient(self._folder) as client,
            LoadClient(self._folder) as other,
        ):
            for number in range(rounds):
                self._tell(f"round {number + 1} of {rounds}")
                self.results.rounds.append(Round())
                try:
                    self._together(number, provider, client, other)
                    self._alone(number, provider, client, other)
                except (BenchFailedError, ProxyFailedError) as error:
                    self.results.failures.append(f"round {number + 1}: {error}")
                    return

    def _together(self, number: int, provider: Provider, client: LoadClient, other: LoadClient) -> None:
        due = [one for one in self._workloads if number < one.most_rounds and not (one.watched or one.alone)]
        if not due:
            return
        with ExitStack() as stack:
            running = []
            for system in self._systems:
                folder = self._folder / f"{number}-{system.name}"
                if one := self._tried(system, partial(stack.enter_context, started(system, folder, provider))):
                    running.append(one)
            for one in running:
                self._tried(one.system, partial(warm_up, client, one))
            for place, workload in enumerate(due):
                taking_part = [one for one in running if not workload.systems or one.system.name in workload.systems]
                for one in _rotated(taking_part, number + place):
                    self._measure(client, other, one, workload)
                self._compare_with_direct(workload)
            for one in running:
                self._count_rows(one)

    def _alone(self, number: int, provider: Provider, client: LoadClient, other: LoadClient) -> None:
        """Run the workloads that need a proxy of their own."""
        for workload in self._workloads:
            if number >= workload.most_rounds or not (workload.watched or workload.alone):
                continue
            systems = [one for one in self._systems if not workload.systems or one.name in workload.systems]
            for system in _rotated(systems, number):
                folder = self._folder / f"{number}-{system.name}-{workload.name}"
                with started(system, folder, provider, watched=workload.watched) as running:
                    warm_up(client, running)
                    self._measure(client, other, running, workload)
                    self._count_rows(running)

    def _measure(self, client: LoadClient, other: LoadClient, running: Running, workload: Workload) -> None:
        asked = workload.shared(running.system.share)
        figures = self._tried(running.system, lambda: measured(client, running, asked, other))
        if figures is None:
            return
        self.results.rounds[-1].figures.setdefault(workload.name, {})[running.system.name] = figures
        main = workload.shown[0]
        self._tell(f"  {workload.name:10} {running.system.name:9} {main} {figures.get(main, 0):.4g}")

    def _tried[T](self, system: System, do: Callable[[], T]) -> T | None:
        """Do something; if it fails with somebody else's program, go on without that, as it is no failure of ours."""
        if system.name in self.results.not_run:
            return None
        try:
            return do()
        except BenchFailedError as error:
            if system.foreign is None:
                raise
            self.results.not_run[system.name] = str(error)
            self._tell(f"  {system.name}: {error}")
            return None

    def _compare_with_direct(self, workload: Workload) -> None:
        """Add what each system adds to the times that it takes without any proxy."""
        by_system = self.results.rounds[-1].figures[workload.name]
        direct = by_system.get(DIRECT, {})
        for figures in by_system.values():
            figures |= {
                f"{name.removesuffix('_ms')}_added_ms": figures[name] - direct[name]
                for name in ("p50_ms", "p99_ms", "ttft_p50_ms", "ttft_p99_ms")
                if name in direct and name in figures
            }

    def _count_rows(self, running: Running) -> None:
        if running.system.rows is None:
            return
        figures = rows_of(running)
        known = self.results.rounds[-1].rows.setdefault(running.system.name, {})
        for name, value in figures.items():
            known[name] = known.get(name, 0) + value
        if running.system.is_ours and running.proxy is not None:
            must_be_whole(figures, running.proxy.log)


def _rotated[T](items: Sequence[T], by: int) -> list[T]:
    by %= max(1, len(items))
    return [*items[by:], *items[:by]]
