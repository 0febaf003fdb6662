"""What was promised, and whether it was kept."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.support.process_watch import Watched, slope
from tests.support.traffic.calls import Outcome
from tests.support.traffic.users import Traffic

WARM = 0.3  # of the calls pass before the growth counts
_MOST_SLOPE = 0.5  # MB in 1,000 calls more than the no-op addon
_MOST_NOISE = 4.0  # MB over the whole run that are no growth, in a short one
_MOST_PEAK = 20.0  # MB more than the no-op addon: 7 at idle, and copies of bodies of some MB while they are read
_MOST_FILES = 3
_MOST_THREADS = 2
_SHOWN = 5
_LOG_SHOWN = 1000  # characters


@dataclass(frozen=True)
class Promise:
    """One promise, whether it was kept, and the figures."""

    what: str
    kept: bool
    found: str


@dataclass(frozen=True)
class Result:
    """One proxy's run."""

    traffic: Traffic
    watched: Watched
    exit_code: int
    log: str


def rows_of(database: Path) -> tuple[dict[str, list[Outcome]], dict[str, int]]:
    """Return the rows by origin, and the recorder's counters."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        columns = "origin, success, status_code, error_type, total_tokens"
        for origin, *outcome in connection.execute(f"SELECT {columns} FROM completion_requests ORDER BY id"):  # noqa: S608
            found[str(origin)].append((outcome[0], outcome[1], outcome[2], outcome[3]))
        counters = connection.execute("SELECT name, sum(value) FROM recorder_counters GROUP BY name").fetchall()
    return found, dict(counters)


def promises(floor: Result, ours: Result, database: Path) -> list[Promise]:
    """Judge a run."""
    found, counters = rows_of(database)
    return [
        *(_answers(result) for result in (floor, ours)),
        _rows(ours.traffic.expected, found),
        _outcomes(ours.traffic.expected, found),
        _counters(counters),
        _slopes(floor.watched, ours.watched),
        _peaks(floor.watched, ours.watched),
        _held("open files at the end", "files", _MOST_FILES, floor.watched, ours.watched),
        _held("threads at the end", "threads", _MOST_THREADS, floor.watched, ours.watched),
        *(_ended_well(result) for result in (floor, ours)),
    ]


def _answers(result: Result) -> Promise:
    wrong, calls = result.traffic.wrong, result.traffic.calls
    said = "; ".join(wrong[:_SHOWN])
    return Promise(f"{result.traffic.name}: every answer as sent", not wrong, said or f"{calls} of {calls}")


def _rows(expected: dict[str, tuple[Outcome, ...]], found: dict[str, list[Outcome]]) -> Promise:
    off = [
        f"{number}: {len(found.get(number, []))} instead of {len(expected.get(number, ()))}"
        for number in expected.keys() | found.keys()
        if len(found.get(number, [])) != len(expected.get(number, ()))
    ]
    count = sum(map(len, expected.values()))
    return Promise("every call has its rows, once", not off, _some(off) or f"{count} rows of {len(expected)} calls")


def _outcomes(expected: dict[str, tuple[Outcome, ...]], found: dict[str, list[Outcome]]) -> Promise:
    off = []
    for number, outcomes in expected.items():
        for wanted, outcome in zip(outcomes, found.get(number, []), strict=False):
            if outcome[:3] != wanted[:3] or wanted[3] not in (None, outcome[3]):
                off.append(f"{number}: {outcome} instead of {wanted}")
    return Promise("every row says how the call ended", not off, _some(off) or "all")


def _counters(counters: dict[str, int]) -> Promise:
    bad = [f"{name} {n}" for name, n in counters.items() if n and ("dropped" in name or "error" in name)]
    if counters.get("received") != counters.get("written"):
        bad.append(f"{counters.get('received')} received, {counters.get('written')} written")
    return Promise("nothing dropped, no fault counted", not bad, _some(bad) or f"{counters.get('written')} written")


def _slopes(floor: Watched, ours: Watched) -> Promise:
    warm = [watched.warm(WARM) for watched in (floor, ours)]
    without, with_us = (slope(samples) for samples in warm)
    span = warm[1][-1].calls - warm[1][0].calls
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
    well = result.exit_code == 0 and "Traceback" not in result.log and "A fault in" not in result.log
    found = f"exit code {result.exit_code}{'' if well else f', its log: {result.log[-_LOG_SHOWN:]!r}'}"
    return Promise(f"{result.traffic.name}: it ends well and logs no fault", well, found)


def _some(off: list[str]) -> str:
    more = f" and {len(off) - _SHOWN} more" if len(off) > _SHOWN else ""
    return "; ".join(off[:_SHOWN]) + more
