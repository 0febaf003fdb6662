"""The most that the proxy may cost, as data, and how the results compare with it."""

import enum
from dataclasses import dataclass

from tests.trials.bench.comparison import Compared, How, Spread, compared
from tests.trials.bench.rounds import Results
from tests.trials.bench.systems import OURS

# Beside the workloads: the micro-benchmarks, what became of the calls' rows, and what one process carries.
MICRO, ROWS, CAPACITY = "micro", "rows", "capacity"


@dataclass(frozen=True)
class Goal:
    """A measure of our addon, and its limit; `naive` is what an addon of an afternoon was once measured at.

    A goal of the capacity is for so many `connections`.
    """

    measure: str
    workload: str
    figure: str
    how: How
    limit: float
    at_least: bool = False
    naive: str = ""
    connections: int = 0


class Standing(enum.StrEnum):
    """A goal beside the result."""

    MET = "met"
    NOT_MET = "NOT MET"
    NOT_MEASURED = "not measured"


GOALS = (
    Goal("events/s, 200-event bursts, C=16", "burst16", "events_per_s", How.RATIO, 0.92, at_least=True, naive="0.68"),
    Goal("CPU per burst event", "burst16", "cpu_us_per_event", How.RATIO, 1.10, naive="1.36"),
    Goal("requests/s, small JSON, C=32", "small32", "requests_per_s", How.RATIO, 0.92, at_least=True, naive="0.64"),
    Goal("added p50, small JSON, C=1, ms", "small1", "p50_ms", How.ADDED, 0.2, naive="1.5"),
    Goal("added TTFT p50, 50 streams at 20 ms, ms", "paced50", "ttft_p50_ms", How.ADDED, 0.5),
    Goal("added TTFT p99, same, ms", "paced50", "ttft_p99_ms", How.ADDED, 3.0),
    Goal("event delay p99, same", "paced50", "delay_p99_ms", How.RATIO, 1.10, naive="1.2"),
    Goal("one OpenAI event: split, decode, account, us", MICRO, "openai_event_us", How.VALUE, 1.5, naive="3.8"),
    Goal("5 MB request, longest hold of the loop, ms", "hold", "typical_hold_ms", How.VALUE, 3.0, naive="9-10"),
    Goal("same, the worst request of a round, ms", "hold", "worst_hold_ms", How.VALUE, 3.0),
    Goal("same, longest call into our code, ms", MICRO, "request_5m_longest_call_ms", How.VALUE, 3.0),
    Goal("rows/s through the DAO, to bare executemany", MICRO, "dao_rows_ratio", How.VALUE, 0.8, at_least=True),
    Goal("rows/s through the DAO", MICRO, "dao_rows_per_s", How.VALUE, 20_000, at_least=True, naive="280-980"),
    Goal("loop lateness p99 while 100k rows drain, ms", MICRO, "drain_late_p99_ms", How.VALUE, 5.0),
    Goal("added peak RSS, 15,000 requests, MB", "memory", "peak_rss_mb", How.ADDED, 12.0),
    Goal("p99 under a foreign lock, to p99 without", "locked", "locked_p99_quotient", How.RATIO, 1.10),
    Goal(
        "event delay p99, 75 streams at 20 ms in one process, ms",
        CAPACITY,
        "delay_p99_ms",
        How.VALUE,
        20,
        connections=75,
    ),
    Goal(
        "requests/s, small JSON, C=32, in one process",
        CAPACITY,
        "requests_per_s",
        How.VALUE,
        400,
        at_least=True,
        connections=32,
    ),
    Goal("rows lost", ROWS, "lost", How.VALUE, 0),
    Goal("events of streams not counted in their row", ROWS, "events_lost", How.VALUE, 0),
)

REACH = (
    Goal("16 streams without pauses: events/s", "burst16", "events_per_s", How.RATIO, 3.0, at_least=True),
    Goal("CPU of such an event", "burst16", "cpu_us_per_event", How.RATIO, 0.40),
    Goal("small calls, 32 at a time: requests/s", "small32", "requests_per_s", How.RATIO, 1.6, at_least=True),
    Goal("small call, one at a time: p50", "small1", "p50_ms", How.RATIO, 0.65),
    Goal("50 streams of 50 events/s: first token p99", "paced50", "ttft_p99_ms", How.RATIO, 0.9),
    Goal("the same: event delay p99", "paced50", "delay_p99_ms", How.RATIO, 0.9),
    Goal("the same: CPU of an event", "paced50", "cpu_us_per_event", How.RATIO, 0.70),
    Goal("request of 200 KB: requests/s", "body200k", "requests_per_s", How.RATIO, 1.1, at_least=True),
    Goal("added peak RSS, 15,000 requests, MB", "memory", "peak_rss_mb", How.ADDED, 15.0),
)
"""What the fast path is to reach. No promise: what is not met is said where the figures are shown."""


def reached(results: Results, goal: Goal) -> Compared | None:
    """Return what was measured of a goal; None if it was not."""
    if goal.workload == MICRO:
        return _alone([results.micro[goal.figure]] if goal.figure in results.micro else [])
    if goal.workload == ROWS:
        counts = [one.rows[OURS][goal.figure] for one in results.rounds if OURS in one.rows]
        return _alone([sum(counts)] if counts else [])
    if goal.workload == CAPACITY:
        alone = (one for one in results.capacity if one.load.processes == 1)
        return _alone([one.figures[goal.figure] for one in alone if one.load.connections == goal.connections])
    return compared(results, goal.workload, goal.figure, OURS, goal.how)


def standing(results: Results, goal: Goal) -> Standing:
    """Return how a goal stands."""
    found = reached(results, goal)
    if found is None:
        return Standing.NOT_MEASURED
    met = found.adjusted >= goal.limit if goal.at_least else found.adjusted <= goal.limit
    return Standing.MET if met else Standing.NOT_MET


def _alone(values: list[float]) -> Compared | None:
    found = Spread.of(values)
    return None if found is None else Compared(found, None, found.middle)
