"""The answer of `CompletionRequestsDAO.get_metrics`, put together from `Sums`. No SQL here.

Unknown stays None: a sum, a mean or a percentile over no known value is None, never 0. Counts, sums and costs are
exact. Percentiles are exact where the calls' values are given, else within `recorder.percentile.RELATIVE_ERROR`.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

from llm_metrics_proxy.recorder.figures.sums import DIMENSIONS, KEYS, MEASURES, PERCENTS, SUMS, Sums, Values
from llm_metrics_proxy.recorder.percentile import nearest_rank, percentiles


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
    cost_usd: float | None
    priced: int  # calls whose cost is known
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
    by_model: dict[str | None, Figures]
    by_origin: dict[str | None, Figures]
    by_provider: dict[str | None, Figures]


class _Set:
    """Calls that belong together, while they are added up."""

    def __init__(self) -> None:
        self.streamed = self.successes = 0
        self.sums = [0.0] * len(SUMS)
        self.times = {measure: Counter[int]() for measure in MEASURES}

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
    by: dict[str, defaultdict[str, _Set]] = {name: defaultdict(_Set) for name in DIMENSIONS}
    for (_, *key), values in sums.calls.items():
        of = dict(zip(KEYS, key, strict=True))
        for one in (overall, *(by[name][str(of[name])] for name in DIMENSIONS)):
            one.sums = [had + value for had, value in zip(one.sums, values, strict=True)]
            one.streamed += round(values[0]) if of["is_streaming"] else 0
            one.successes += round(values[0]) if of["success"] else 0
        if not of["success"]:
            error_types[str(of["error_type"]) or None] += round(values[0])
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
        by_model=figures("model"),
        by_origin=figures("origin"),
        by_provider=figures("provider"),
    )
