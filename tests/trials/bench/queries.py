"""The time that the views and `get_metrics` take on a database that fill.py has made.

`python -m tests.trials.bench.queries PATH`.

Each is asked five times through a read-only connection, and the quickest counts: the pages are warm then, as those of
the last day are on a machine in use. Goals are for 10 million rows over 300 days. The figures of all time are compared
with those of every row, which takes minutes; `--quick` leaves that out.
"""

import argparse
import math
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.figures.metrics import Figures, Metrics, Percentiles, metrics_of
from llm_metrics_proxy.recorder.figures.sums import ROW, Sums
from llm_metrics_proxy.recorder.percentile import RELATIVE_ERROR
from llm_metrics_proxy.recorder.store.database import open_reader

_REPEATS = 5
# Without those that only others are made of.
_VIEWS = "SELECT name FROM sqlite_master WHERE type = 'view' AND name NOT GLOB '*_by_span' ORDER BY name"
_SIZES = """
    SELECT m.type || ' ' || m.name, sum(pgsize) FROM dbstat AS d JOIN sqlite_master AS m ON m.name = d.name
    GROUP BY 1 ORDER BY 2 DESC
"""
# What a question may take on 10 million rows, in ms; None: no goal.
_GOALS = {"get_metrics, last 24 h": 50.0, "get_metrics, all time": 500.0, "model_summary_all": 1000.0}
_LAST_24H_MS = 150.0


class Asked(msgspec.Struct, frozen=True):
    """A question, how long its answer took, and the goal."""

    question: str
    ms: float
    goal_ms: float | None


def ask(connection: sqlite3.Connection) -> list[Asked]:
    """Ask everything there is."""
    now = datetime.now(UTC)
    dao = CompletionRequestsDAO(connection)
    starts = {"last 24 h": now - timedelta(days=1), "last 7 d": now - timedelta(days=7), "all time": None}
    questions: dict[str, Callable[[], object]] = {
        f"get_metrics, {name}": partial(dao.get_metrics, start) for name, start in starts.items()
    }
    for (view,) in connection.execute(_VIEWS).fetchall():
        select = f"SELECT * FROM {view}"  # noqa: S608 - a view of ours
        questions[view] = partial(_all, connection, select)
    return [_timed(question, answer) for question, answer in questions.items()]


def differences(found: Metrics, expected: Metrics) -> list[str]:
    """Return the figures that differ: sums of fractions by more than doubles lose, percentiles by more than the sketch.

    The percentiles of few calls are exact on one side, and those of the roll-up's sketch on the other.
    """
    pairs = [("overall", found.overall, expected.overall)]
    for name in ("by_model", "by_origin", "by_provider"):
        one, other = getattr(found, name), getattr(expected, name)
        if one.keys() != other.keys():
            return [f"{name}: {sorted(map(str, one.keys() ^ other.keys()))}"]
        pairs += [(f"{name} {key}", one[key], other[key]) for key in one]
    return [
        f"{where}: {field.name} {getattr(one, field.name)} {getattr(other, field.name)}"
        for where, one, other in pairs
        for field in fields(Figures)
        if not _same(getattr(one, field.name), getattr(other, field.name))
    ] + ([] if found.error_types == expected.error_types else ["error_types"])


def _same(one: object, other: object) -> bool:
    if isinstance(one, Percentiles) and isinstance(other, Percentiles):
        pairs = zip(astuple(one), astuple(other), strict=True)
        return all(math.isclose(p, q, rel_tol=RELATIVE_ERROR) for p, q in pairs)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other


def _all(connection: sqlite3.Connection, select: str) -> list[object]:
    return connection.execute(select).fetchall()


def _timed(question: str, answer: Callable[[], object]) -> Asked:
    taken = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        answer()
        taken.append(time.perf_counter() - began)
    goal = _GOALS.get(question, _LAST_24H_MS if question.endswith("_last_24h") else None)
    return Asked(question, min(taken) * 1_000, goal)


def _of_all_rows(connection: sqlite3.Connection) -> Metrics:
    sums = Sums()
    sums.add_rows(connection.execute(f"SELECT {ROW} FROM completion_requests"))  # noqa: S608 - names of our own
    return metrics_of(sums.by(0))


def main() -> int:
    """Return the exit code: 1 if the roll-up is not what the rows say."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials.bench.queries", description="Time the views and get_metrics."
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--quick", action="store_true", help="do not compare with all rows, nor look at sizes")
    options = parser.parse_args()
    try:
        connection = open_reader(options.path)
    except RecorderError as error:
        print(error, file=sys.stderr)
        return 1
    with closing(connection):
        for one in ask(connection):
            goal = "" if one.goal_ms is None else f"{'met' if one.ms <= one.goal_ms else 'NOT MET'} ({one.goal_ms:g})"
            print(f"{one.question:34} {one.ms:10.1f} ms  {goal}")
        if options.quick:
            return 0
        sizes = dict(connection.execute(_SIZES).fetchall())
        total = sum(sizes.values())
        for name, size in sizes.items():
            print(f"{name:50} {size:15,} bytes {100 * size / total:6.2f} %")
        began = time.perf_counter()
        expected = _of_all_rows(connection)
        print(f"All rows, one by one: {time.perf_counter() - began:.1f} s")
        found = differences(CompletionRequestsDAO(connection).get_metrics(), expected)
        print("\n".join(found) or "The roll-up says the same as all rows.")
        return bool(found)


if __name__ == "__main__":
    sys.exit(main())
