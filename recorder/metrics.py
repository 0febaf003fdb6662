"""What `CompletionRequestsDAO.get_metrics` answers, and how it is put together from the groups that SQL returns.

Unknown stays None: a sum or a mean over no known value is None, never 0. No SQL here.
"""

from collections.abc import Iterable

import msgspec

SUMMED = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
)
AVERAGED = ("response_time_ms", "time_to_first_token_ms", "time_to_last_token_ms", "tokens_per_second")
MEASURED = SUMMED + AVERAGED


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of some set of calls. Sums and means are over the calls for which the value is known."""

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
    mean_response_time_ms: float | None
    mean_time_to_first_token_ms: float | None
    mean_time_to_last_token_ms: float | None
    mean_tokens_per_second: float | None


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a period: over all, and by model and origin. The key None stands for an unknown one."""

    overall: Tally
    error_types: dict[str | None, int]  # of the calls that failed
    by_model: dict[str | None, Tally]
    by_origin: dict[str | None, Tally]


class Group(msgspec.Struct, frozen=True):
    """Calls that share model, origin, error type, success and streaming, as SQL returns them."""

    model: str | None
    origin: str | None
    error_type: str | None
    success: bool
    is_streaming: bool
    requests: int
    known: list[int]  # in the order of MEASURED: how many calls have a value
    totals: list[float]  # and the sum of those


class _Sums:
    def __init__(self) -> None:
        self.requests = self.streamed = self.successes = 0
        self.known = [0] * len(MEASURED)
        self.totals = [0.0] * len(MEASURED)

    def add(self, group: Group) -> None:
        self.requests += group.requests
        self.streamed += group.requests if group.is_streaming else 0
        self.successes += group.requests if group.success else 0
        for index, known in enumerate(group.known):
            self.known[index] += known
            self.totals[index] += group.totals[index]

    def tally(self) -> Tally:
        measured = dict(zip(MEASURED, zip(self.known, self.totals, strict=True), strict=True))
        tokens = {name: round(total) if known else None for name, (known, total) in measured.items()}
        means = {name: total / known if known else None for name, (known, total) in measured.items()}
        priced, cost = measured["cost_usd"]
        return Tally(
            requests=self.requests,
            streamed=self.streamed,
            not_streamed=self.requests - self.streamed,
            successes=self.successes,
            failures=self.requests - self.successes,
            prompt_tokens=tokens["prompt_tokens"],
            completion_tokens=tokens["completion_tokens"],
            total_tokens=tokens["total_tokens"],
            cached_tokens=tokens["cached_tokens"],
            cache_write_tokens=tokens["cache_write_tokens"],
            reasoning_tokens=tokens["reasoning_tokens"],
            cost_usd=cost if priced else None,
            mean_response_time_ms=means["response_time_ms"],
            mean_time_to_first_token_ms=means["time_to_first_token_ms"],
            mean_time_to_last_token_ms=means["time_to_last_token_ms"],
            mean_tokens_per_second=means["tokens_per_second"],
        )


def combine(groups: Iterable[Group]) -> Metrics:
    """Add the groups up to the figures of the whole period."""
    overall = _Sums()
    error_types: dict[str | None, int] = {}
    by_model: dict[str | None, _Sums] = {}
    by_origin: dict[str | None, _Sums] = {}
    for group in groups:
        overall.add(group)
        by_model.setdefault(group.model, _Sums()).add(group)
        by_origin.setdefault(group.origin, _Sums()).add(group)
        if not group.success:
            error_types[group.error_type] = error_types.get(group.error_type, 0) + group.requests
    return Metrics(
        overall=overall.tally(),
        error_types=error_types,
        by_model={model: sums.tally() for model, sums in by_model.items()},
        by_origin={origin: sums.tally() for origin, sums in by_origin.items()},
    )
