"""`make bench`: measure, print the summary, and write the results where told. Loopback only, about 40 minutes.

`make bench ARGS=micro` runs the micro-benchmarks alone, `ARGS=capacity` what one proxy carries and several do;
`ARGS="--from FILE"` measures nothing and shows what a file holds. The exit code is 1 if anything failed: a wrong
answer, or a call of ours without its row. Goals that are not met are in the summary, and change it only for
`--must MEASURE`.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from shutil import rmtree
from types import FrameType

import msgspec

from tests.support.proxy import ProxyFailedError
from tests.trials.bench import page
from tests.trials.bench.capacity import carried
from tests.trials.bench.goals import GOALS, Standing, standing
from tests.trials.bench.load import BenchFailedError
from tests.trials.bench.microbench import micro, missing
from tests.trials.bench.peers.catalogue import PEERS, Peer, peers, prepared
from tests.trials.bench.plot import svg
from tests.trials.bench.rounds import Bench, Results
from tests.trials.bench.summary import summary
from tests.trials.bench.systems import SYSTEMS
from tests.trials.bench.workloads import WORKLOADS

_MICRO, _CAPACITY = "micro", "capacity"
_CAPACITY_ROUNDS = 3
_QUICK_ROUNDS, _ROUNDS = 1, 6


def main() -> int:
    """Return the exit code."""
    options = _options()
    if options.pages:
        page.write()
        return 0
    if options.source is not None:
        results = page.read(options.source)
    else:
        signal.signal(signal.SIGTERM, _interrupt)
        folder = Path(tempfile.mkdtemp(prefix="llm-metrics-bench-"))
        results = _measure(folder, options)
        if results.failures:
            print(f"What it left is in {folder}", file=sys.stderr)
        else:
            rmtree(folder, ignore_errors=True)
    print(summary(results), end="")
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    if options.svg is not None:
        options.svg.write_text(svg(results))
    missed = [goal for goal in GOALS if goal.measure in options.must and standing(results, goal) is not Standing.MET]
    return bool(results.failures or missed)


def _options() -> argparse.Namespace:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m tests.trials.bench", description="Measure what the proxy costs.")
    parser.add_argument("what", nargs="?", choices=[_MICRO, _CAPACITY], help="this part alone")
    parser.add_argument(
        "--only", action="append", choices=[*names, _MICRO, _CAPACITY], help="this alone; may be repeated"
    )
    parser.add_argument("--rounds", type=int, help=f"default {_ROUNDS}")
    parser.add_argument("--share", type=float, default=1.0, help="of the requests of each workload; default 1.0")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests, one round: does it all work?")
    parser.add_argument(
        "--must", action="append", default=[], choices=[goal.measure for goal in GOALS], help="a goal that counts"
    )
    names = [*(system.name for system in SYSTEMS), *(peer.name for peer in PEERS)]
    parser.add_argument(
        "--systems", nargs="+", choices=names, metavar="NAME", help=f"these alone, of: {', '.join(names)}"
    )
    parser.add_argument("--no-peers", action="store_true", help="install nothing, measure mitmproxy and ours alone")
    parser.add_argument("--optimised", type=Path, metavar="PYTHON", help="an optimised Python to measure beside this")
    parser.add_argument("--pages", action="store_true", help="print the committed records into the documentation, only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the picture there")
    parser.add_argument("--from", type=Path, metavar="FILE", dest="source", help="take the results from there instead")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if not 0 < options.share <= 1:
        parser.error("--share must be above 0 and at most 1")
    options.only = [options.what] if options.what else options.only
    options.rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    return options


def _measure(folder: Path, options: argparse.Namespace) -> Results:
    chosen = [workload for workload in WORKLOADS if not options.only or workload.name in options.only]
    not_run: dict[str, str] = {}
    systems = [*SYSTEMS, *prepared(_peers(options) if chosen else (), not_run)]
    systems = [system for system in systems if not options.systems or system.name in options.systems]
    chosen = [one.quick() if options.quick else one.shared(options.share) for one in chosen]
    bench = Bench(folder, chosen, systems, _tell)
    results = bench.results
    results.quick, results.not_run = options.quick, not_run
    try:
        if not options.only or _MICRO in options.only:
            _add_micro(folder, results)
        if chosen:
            bench.run(options.rounds)
        if not options.only or _CAPACITY in options.only:
            results.capacity = carried(folder, min(options.rounds, _CAPACITY_ROUNDS), _tell)
    except (BenchFailedError, ProxyFailedError) as error:
        results.failures.append(f"capacity: {error}")
    except KeyboardInterrupt:
        results.failures.append("interrupted")
    return results


def _peers(options: argparse.Namespace) -> list[Peer]:
    """Return the peers that are wanted."""
    if options.no_peers:
        return []
    every = peers(options.optimised)
    return [one for one in every if (one.name in options.systems if options.systems else one.usual)]


def _add_micro(folder: Path, results: Results) -> None:
    if (reason := missing()) is not None:
        results.not_run[_MICRO] = reason
        return
    _tell("micro-benchmarks")
    results.micro, failure = micro(folder)
    if failure:
        results.failures.append(f"micro-benchmarks:\n{failure[-3000:]}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
