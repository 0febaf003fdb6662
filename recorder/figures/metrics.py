"""Metrics of a period, the answer of `CompletionRequestsDAO.get_metrics`: all of one moment, put together from `Sums`.

A period is covered by whole months, days and hours of the roll-up; what is left at its ends is read from the rows.
Unknown stays None: a sum, a mean or a percentile over no known value is None, never 0. Counts, sums and costs are
exact. Percentiles of at most `EXACT_CALLS` calls whose rows are all there are exact; others are those of the roll-up's
counts, within `recorder.percentile.RELATIVE_ERROR`.
"""

import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from llm_metrics_proxy.migrations import classes
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.figures.sums import (
    COST_KEYS,
    COST_SUMS,
    DIMENSIONS,
    ERROR_KEYS,
    KEYS,
    MEASURED,
    MEASURES,
    PERCENTS,
    PLAN,
    ROW,
    SUMS,
    Sums,
    Values,
    read,
    sums_of,
    values_of,
)
from llm_metrics_proxy.recorder.percentile import nearest_rank, percentiles
from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.timestamps import bound


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of the calls for which the value is known."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of some set of calls. Sums, means and percentiles are over the calls for which the value is known."""

    requests: int
    streamed: int
    not_streamed: int
    successes: int
    failures: int
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None  # what is billed
    priced: int  # calls of which that is known
    plan_cost_usd: float | None  # what the calls of plans would have cost: nobody pays it
    lower_bounds: int  # calls that cost more than is known
    cost_notes: dict[str, int]  # of calls without a cost or with a lower bound: how many, by the word that says why
    mean_response_time_ms: float | None
    mean_time_to_first_token_ms: float | None
    mean_time_to_last_token_ms: float | None
    mean_tokens_per_second: float | None
    response_time_ms: Percentiles | None
    time_to_first_token_ms: Percentiles | None
    tokens_per_second: Percentiles | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of a period: over all, and by model, origin and provider. The key None stands for an unknown one."""

    overall: Figures
    percentiles_are_exact: bool  # else they are within 3.2 %
    error_types: dict[str | None, int]  # of the calls that failed
    error_classes: dict[str, int]  # the same by cause
    by_model: dict[str | None, Figures]
    by_origin: dict[str | None, Figures]
    by_provider: dict[str | None, Figures]


class _Set:
    """Calls that belong together, while they are added up."""

    def __init__(self) -> None:
        self.streamed = self.successes = 0
        self.sums = [0.0] * len(SUMS)
        self.times = {measure: Counter[int]() for measure in MEASURES}
        self.plan_cost, self.of_plans, self.lower_bounds = 0.0, 0, 0
        self.cost_notes = Counter[str]()

    def add_costs(self, billing: str, note: str, calls: float, cost: float, known: float) -> None:
        if billing == PLAN:
            self.plan_cost += cost
            self.of_plans += round(known)
        if note:
            self.lower_bounds += round(known)
            self.cost_notes[note] += round(calls)

    def figures(self, times: Values | None, dimension: str, value: str) -> Figures:
        """The figures of these calls, which have that value of the dimension; `times` has the times of each call."""
        sums = dict(zip(SUMS, self.sums, strict=True))
        requests = round(sums["calls"])

        def total(name: str) -> float | None:
            return sums[name] if sums[f"{name}_known"] else None

        def tokens(name: str) -> int | None:
            return None if (known := total(name)) is None else round(known)

        def mean(name: str) -> float | None:
            return None if (known := total(name)) is None else known / sums[f"{name}_known"]

        def spread(name: str) -> Percentiles | None:
            if times is None:
                return Percentiles(*percentiles(self.times[name], PERCENTS)) if self.times[name] else None
            known = times.get((name, dimension, value))
            found = (nearest_rank(known, percent) for percent in PERCENTS) if known else ()
            return Percentiles(*exact) if (exact := [one for one in found if one is not None]) else None

        return Figures(
            requests=requests,
            streamed=self.streamed,
            not_streamed=requests - self.streamed,
            successes=self.successes,
            failures=requests - self.successes,
            prompt_tokens=tokens("prompt_tokens"),
            completion_tokens=tokens("completion_tokens"),
            total_tokens=tokens("total_tokens"),
            cached_tokens=tokens("cached_tokens"),
            cache_write_tokens=tokens("cache_write_tokens"),
            reasoning_tokens=tokens("reasoning_tokens"),
            cost_usd=total("cost_usd"),
            priced=round(sums["cost_usd_known"]),
            plan_cost_usd=self.plan_cost if self.of_plans else None,
            lower_bounds=self.lower_bounds,
            cost_notes={note: calls for note, calls in self.cost_notes.most_common() if calls},
            mean_response_time_ms=mean("response_time_ms"),
            mean_time_to_first_token_ms=mean("time_to_first_token_ms"),
            mean_time_to_last_token_ms=mean("time_to_last_token_ms"),
            mean_tokens_per_second=mean("tokens_per_second"),
            response_time_ms=spread("response_time_ms"),
            time_to_first_token_ms=spread("time_to_first_token_ms"),
            tokens_per_second=spread("tokens_per_second"),
        )


def metrics_of(sums: Sums, times: Values | None = None) -> Metrics:
    """The figures of all that was added up; its periods do not matter. `times` are those of each call, if known."""
    overall = _Set()
    error_types: Counter[str | None] = Counter()
    error_classes: Counter[str] = Counter()
    for (*_, cause, error_type), failed in sums.errors.items():
        error_classes[cause or classes.of_error_type(error_type)] += failed
    by: dict[str, defaultdict[str, _Set]] = {name: defaultdict(_Set) for name in DIMENSIONS}
    for (_, *key), values in sums.calls.items():
        of = dict(zip(KEYS, key, strict=True))
        for one in (overall, *(by[name][str(of[name])] for name in DIMENSIONS)):
            one.sums = [had + value for had, value in zip(one.sums, values, strict=True)]
            one.streamed += round(values[0]) if of["is_streaming"] else 0
            one.successes += round(values[0]) if of["success"] else 0
        if not of["success"]:
            error_types[str(of["error_type"]) or None] += round(values[0])
    for (_, model, origin, provider, billing, note), costs in sums.costs.items():
        for one in (overall, by["model"][model], by["origin"][origin], by["provider"][provider]):
            one.add_costs(billing, note, *costs)
    for (_, measure, dimension, value), counts in sums.times.items():
        by[dimension][value].times[measure].update(counts)
        if dimension == DIMENSIONS[0]:  # each time is counted once in each dimension
            overall.times[measure].update(counts)

    def figures(dimension: str) -> dict[str | None, Figures]:
        return {value or None: one.figures(times, dimension, value) for value, one in by[dimension].items()}

    return Metrics(
        overall=overall.figures(times, "", ""),
        percentiles_are_exact=times is not None,
        error_types=dict(error_types),
        error_classes=dict(error_classes.most_common()),
        by_model=figures("model"),
        by_origin=figures("origin"),
        by_provider=figures("provider"),
    )


BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
END: Final = datetime(9999, 1, 1, tzinfo=UTC)  # so that there is a next one to each unit before it


@dataclass(frozen=True, slots=True)
class Cover:
    """Half-open ranges that do not overlap: of names of periods by span, and of timestamps."""

    periods: list[tuple[str, str, str]] = field(default_factory=list)  # span, from, to
    rest: list[tuple[str, str]] = field(default_factory=list)


def cover(start: datetime, end: datetime, *, hours_since: datetime) -> Cover:
    """Cover start <= t < end; hours are used only from `hours_since` on. All times are aware."""
    found = Cover()
    first, last = (min(moment.astimezone(UTC), END) for moment in (start, end))
    _cover(found, first, last, list(_UNITS), hours_since.astimezone(UTC))
    return found


def _cover(found: Cover, start: datetime, end: datetime, units: list[str], hours_since: datetime) -> None:
    if start >= end:
        return
    if not units:
        found.rest.append((bound(start), bound(end)))
        return
    unit, *smaller = units
    first = _floor(start, unit)
    if first < start:
        first = _next(first, unit)
    if unit == "hour":
        first = max(first, _next(_floor(hours_since, unit), unit))
    last = _floor(end, unit)
    if first >= last:
        _cover(found, start, end, smaller, hours_since)
        return
    length = _UNITS[unit]
    found.periods.append((unit, bound(first)[:length], bound(last)[:length]))
    _cover(found, start, first, smaller, hours_since)
    _cover(found, last, end, smaller, hours_since)


_UNITS = {"month": 7, "day": 10, "hour": 13}  # how much of a timestamp names one


def _floor(moment: datetime, unit: str) -> datetime:
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    return moment.replace(day=1 if unit == "month" else moment.day, hour=0, minute=0, second=0, microsecond=0)


def _next(moment: datetime, unit: str) -> datetime:
    if unit == "month":
        return _floor(moment + timedelta(days=32), "month")
    return moment + timedelta(**{f"{unit}s": 1})


EXACT_CALLS: Final = 10_000  # of so many the percentiles are exact: reading their rows takes 40 ms
_HOURS_SURE = timedelta(days=1)  # less than what is kept: clocks differ

_CALLS = f"""
    SELECT {", ".join(KEYS)}, {", ".join(f"total({name})" for name in SUMS)} FROM rollup_calls
    WHERE span = ? AND period >= ? AND period < ? GROUP BY {", ".join(KEYS)}
"""  # noqa: S608 - names of our own
_COSTS = f"""
    SELECT {", ".join(COST_KEYS)}, {", ".join(f"total({name})" for name in COST_SUMS)} FROM rollup_costs
    WHERE span = ? AND period >= ? AND period < ? GROUP BY {", ".join(COST_KEYS)}
"""  # noqa: S608
_ERRORS = f"""
    SELECT {", ".join(ERROR_KEYS)}, sum(calls) FROM rollup_errors
    WHERE span = ? AND period >= ? AND period < ? GROUP BY {", ".join(ERROR_KEYS)}
"""  # noqa: S608
_TIMES = """
    SELECT measure, dimension, value, counts FROM rollup_times WHERE span = ? AND period >= ? AND period < ?
"""
# + keeps SQLite from the index on timestamp: what is not in the roll-up yet are the last rows.
_ABOVE = f"SELECT {ROW} FROM completion_requests WHERE id > ? AND +timestamp >= ? AND +timestamp < ?"  # noqa: S608
_MEASURES = f"SELECT {MEASURED} FROM completion_requests WHERE timestamp >= ? AND timestamp < ? LIMIT ?"  # noqa: S608
_REST = f"SELECT {ROW} FROM completion_requests WHERE timestamp >= ? AND timestamp < ? AND id <= ?"  # noqa: S608


def metrics_between(
    connection: sqlite3.Connection, start: datetime, end: datetime, *, exact_calls: int = EXACT_CALLS
) -> Metrics:
    """The figures of the calls with start <= timestamp < end. Both times are aware.

    Percentiles are exact if there are at most `exact_calls` and none of their rows was pruned.
    """
    own_moment = not connection.in_transaction
    if own_moment:
        connection.execute("BEGIN")
    try:
        sums = _sums(connection, start, end)
        return metrics_of(sums, _times(connection, start, end, sums, exact_calls))
    finally:
        if own_moment:
            connection.execute("COMMIT")


def _times(connection: sqlite3.Connection, start: datetime, end: datetime, sums: Sums, at_most: int) -> Values | None:
    """The times of each call; None if there are too many, or if rows of the period were pruned."""
    calls = round(sum(of_key[0] for of_key in sums.calls.values()))
    if calls > at_most:
        return None
    rows = read(connection, _MEASURES, (bound(start), bound(end), at_most + 1), list)
    return values_of(rows) if len(rows) == calls else None


def _sums(connection: sqlite3.Connection, start: datetime, end: datetime) -> Sums:
    mark = watermarks.get(connection, watermarks.ROLLUP)
    covered = cover(start, end, hours_since=datetime.now(UTC) - rollup.HOURS_KEPT + _HOURS_SURE)
    sums = sums_of(connection, _ABOVE, (mark, bound(start), bound(end))).by(0)
    for begin, until in covered.rest:
        sums.add(sums_of(connection, _REST, (begin, until, mark)).by(0))
    for period in covered.periods:
        for row in connection.execute(_CALLS, period):
            model, origin, provider, streaming, success, error_type, *of_key = row
            sums.add_calls(("", model, origin, provider, streaming, success, error_type), of_key)
        for model, origin, provider, billing, note, *costs in connection.execute(_COSTS, period):
            sums.add_costs(("", model, origin, provider, billing, note), costs)
        for *error_key, failed in connection.execute(_ERRORS, period):
            sums.errors["", *error_key] += failed
        for measure, dimension, value, text in connection.execute(_TIMES, period):
            sums.add_times(("", measure, dimension, value), rollup.counts_of(text))
    return sums
