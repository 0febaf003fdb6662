"""Promises of the soak: every call is recorded as it ended, and the process grows no more than one without us."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.process_watch import Watched, slope, warm
from tests.support.traffic import rows
from tests.support.traffic.users import Traffic
from tests.support.verdict import Promise, counters_in, faults_in, uncounted

WARM = 0.3  # of the calls pass before the growth counts
_MOST_SLOPE = 0.5  # MB in 1,000 calls more than the no-op addon
_MOST_NOISE = 4.0  # MB over the whole run that are no growth, in a short one
_MOST_PEAK = 20.0  # MB more than the no-op addon: 7 at idle, and copies of bodies of some MB while they are read
_MOST_FILES = 3
_MOST_THREADS = 2
_LOG_SHOWN = 1000  # characters


@dataclass(frozen=True)
class Result:
    """One proxy's run."""

    traffic: Traffic
    watched: Watched
    exit_code: int
    log: str


def promises(floor: Result, ours: Result, database: Path) -> list[Promise]:
    """Judge a run."""
    counters = counters_in(database)
    return [
        *(_answers(result) for result in (floor, ours)),
        *rows.promises(database, ours.traffic.expected),
        Promise.unless(
            uncounted(counters, stored=("written", "tunnelled", "limits")),
            "nothing dropped, no fault counted",
            f"{counters.get('written')} written",
        ),
        _slopes(floor.watched, ours.watched),
        _peaks(floor.watched, ours.watched),
        _held("open files at the end", "files", _MOST_FILES, floor.watched, ours.watched),
        _held("threads at the end", "threads", _MOST_THREADS, floor.watched, ours.watched),
        *(_ended_well(result) for result in (floor, ours)),
    ]


def _answers(result: Result) -> Promise:
    calls = result.traffic.calls
    return Promise.unless(result.traffic.wrong, f"{result.traffic.name}: every answer as sent", f"{calls} of {calls}")


def _slopes(floor: Watched, ours: Watched) -> Promise:
    rising = [warm(watched.samples, WARM) for watched in (floor, ours)]
    without, with_us = (slope(samples) for samples in rising)
    span = rising[1][-1].calls - rising[1][0].calls
    limit = max(_MOST_SLOPE, 1000 * _MOST_NOISE / max(span, 1))
    found = f"{with_us:+.2f} MB in 1,000 calls, no-op {without:+.2f} (may be {limit:.2f} more)"
    return Promise("memory grows no faster than the no-op's", with_us - without <= limit, found)


def _peaks(floor: Watched, ours: Watched) -> Promise:
    without, with_us = (max(sample.rss_mb for sample in watched.samples) for watched in (floor, ours))
    found = f"{with_us:.1f} MB, no-op {without:.1f} (may be {_MOST_PEAK:.0f} more)"
    return Promise("the most memory", with_us - without <= _MOST_PEAK, found)


def _held(what: str, name: str, most: int, floor: Watched, ours: Watched) -> Promise:
    grown = {}
    for kind, watched in (("no-op", floor), ("ours", ours)):
        first, last = getattr(watched.samples[0], name), getattr(watched.samples[-1], name)
        grown[kind] = (last - first, f"{kind} {first} -> {last}")
    kept = grown["ours"][0] <= max(grown["no-op"][0], 0) + most
    return Promise(what, kept, f"{grown['ours'][1]}, {grown['no-op'][1]}")


def _ended_well(result: Result) -> Promise:
    problems = [f"exit code {result.exit_code}"] if result.exit_code else []
    problems += faults_in(result.log)
    if problems:
        problems.append(f"its log: {result.log[-_LOG_SHOWN:]!r}")
    return Promise.unless(problems, f"{result.traffic.name}: it ends well and logs no fault", "exit code 0")
