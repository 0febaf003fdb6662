"""The cost of an export of history: `python -m tests.trials.bench.exporting DATABASE ... [--rounds 6] [--rate ROWS]`.

Each DATABASE is a file that fill.py made. The rows of all go into one local PostgreSQL, as it is by default, at the
same time. Then a proxy records into the first of them, and its calls are timed in turns, with an export from the
first row on beside it and without: the medians of the rounds, and of their ratios. With --apart the export and its
server have a core of their own then, as where the server is another machine.
"""

import argparse
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.exporting.postgres_server import Server
from tests.support.proxy import clean_environment
from tests.trials.bench.load import LoadClient
from tests.trials.bench.measure import measured, warm_up
from tests.trials.bench.provider import Provider
from tests.trials.bench.systems import OURS, SYSTEMS, Running, started
from tests.trials.bench.workloads import WORKLOADS

_COMMAND = (
    sys.executable,
    "-c",
    "from llm_metrics_proxy.recorder.commands.cli import main; main()",
    "export",
    "postgres",
    "--again",
)
_TIMED = {"small1": ("p50_ms", "p99_ms"), "paced50": ("ttft_p50_ms", "ttft_p99_ms", "delay_p99_ms")}


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials.bench.exporting", description="Measure an export of history."
    )
    parser.add_argument("database", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=6, help="0: no calls are timed")
    parser.add_argument("--rate", type=int, help="rows a second, at most")
    parser.add_argument("--apart", action="store_true", help="not on the core of the proxy")
    wanted = parser.parse_args()
    rate = ["--rate", str(wanted.rate)] if wanted.rate else []  # else the command's own
    cores = sorted(os.sched_getaffinity(0))
    here, there = (cores[:1], cores[1:]) if wanted.apart else (cores, cores)
    os.sched_setaffinity(0, there)
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary, Server(durable=True) as server:
        folder = Path(temporary)
        _whole(wanted.database, server.dsn(server.database()), folder, rate)
        if not wanted.rounds:
            return 0
        os.sched_setaffinity(0, here)
        exporter = ["taskset", "--cpu-list", ",".join(map(str, there)), *_COMMAND]
        with Provider(folder) as provider, LoadClient(folder) as client:
            (ours,) = (system for system in SYSTEMS if system.name == OURS)
            with started(ours, folder / "proxy", provider, database=wanted.database[0].absolute()) as running:
                warm_up(client, running)
                _beside(client, running, folder, wanted, [*exporter, server.dsn(server.database()), *rate])
    return 0


def _whole(databases: list[Path], dsn: str, folder: Path, rate: list[str]) -> None:
    rows = 0
    for database in databases:
        with closing(sqlite3.connect(database)) as connection:
            rows += connection.execute("SELECT count(*) FROM completion_requests").fetchone()[0]
    began = time.monotonic()
    commands = [[*_COMMAND, dsn, "--db", str(database), *rate] for database in databases]
    exports = [subprocess.Popen(command, env=clean_environment(folder)) for command in commands]
    codes = [export.wait() for export in exports]
    seconds = time.monotonic() - began
    print(
        f"{rows:,} rows of {len(databases)} files in {seconds:.1f} s, {rows / seconds:,.0f} rows/s, exit codes {codes}"
    )


def _beside(
    client: LoadClient, running: Running, folder: Path, wanted: argparse.Namespace, exporter: list[str]
) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    workloads = [one for one in WORKLOADS if one.name in _TIMED]
    for number in range(wanted.rounds):
        for workload in workloads:
            with _exporting([*exporter, "--db", str(wanted.database[0])], folder):
                beside = measured(client, running, workload)
            alone = measured(client, running, workload)
            for name in _TIMED[workload.name]:
                found.setdefault(f"{workload.name} {name}", []).append((alone[name], beside[name]))
        print(f"round {number + 1} of {wanted.rounds}", file=sys.stderr)
    print(f"{'':24} {'without':>9} {'with':>9} {'ratio':>7} {'range':>14}")
    for name, pairs in found.items():
        ratios = sorted(beside / alone for alone, beside in pairs)
        medians = [statistics.median(values) for values in zip(*pairs, strict=True)]
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        print(f"{name:24} {medians[0]:9.2f} {medians[1]:9.2f} {statistics.median(ratios):7.2f} {spread:>14}")


@contextmanager
def _exporting(command: list[str], folder: Path) -> Iterator[None]:
    process = subprocess.Popen(command, env=clean_environment(folder), stdout=subprocess.DEVNULL)
    time.sleep(1)  # it has begun by then
    try:
        yield
    finally:
        if process.poll() is not None:
            print("The export ended within a round: take a larger database.", file=sys.stderr)
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
