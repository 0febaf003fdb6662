"""Figures of sets of calls, from one pass over the rows in SQL: the numbers of `llm-top` and `llm-report`.

Unknown stays None: a sum or a percentile over no known value is None, never 0. Percentiles are exact. The other modules
here are for long periods: the roll-up, and `CompletionRequestsDAO.get_metrics`, which reads it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, Self

import msgspec

from llm_metrics_proxy.migrations import classes
from llm_metrics_proxy.recorder.percentile import Number, nearest_rank

# What a SELECT has to have as its last columns, over columns named as in completion_requests.
# The values of the percentiles come as JSON: twice as fast as rows of them. (SQLite writes it with 15 digits.) BETWEEN
# leaves out what no measurement is: text, infinities. sum() would end in an error when absurd values overflow 64 bits,
# total() does not; but it is 0 over nothing, where the answer is NULL.
SUMS: Final = f"""
    count(*), total(NOT success),
    iif(count(prompt_tokens), total(prompt_tokens), NULL),
    iif(count(completion_tokens), total(completion_tokens), NULL),
    total(success AND prompt_tokens IS NULL AND completion_tokens IS NULL),
    iif(count(cached_tokens), total(cached_tokens), NULL),
    iif(count(cached_tokens), total(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), NULL),
    iif(count(cost_usd) FILTER (WHERE billing IS NOT 'subscription'),
        total(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), NULL),
    iif(count(cost_usd) FILTER (WHERE billing IS 'subscription'),
        total(cost_usd) FILTER (WHERE billing IS 'subscription'), NULL),
    total((success OR cost_note IS NOT NULL) AND cost_usd IS NULL),
    count(cost_usd) FILTER (WHERE cost_note IS NOT NULL),
    max(timestamp),
    json_group_array(cost_note) FILTER (WHERE cost_note IS NOT NULL),
    json_group_array(coalesce(error_class, {classes.SQL_OF_ERROR})) FILTER (WHERE NOT success),
    json_group_array(time_to_first_token_ms) FILTER (WHERE time_to_first_token_ms BETWEEN 0 AND 1e12),
    json_group_array(tokens_per_second) FILTER (WHERE tokens_per_second BETWEEN 0 AND 1e12)
"""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Sums are over what is known. The names are keys of JSON documents: add, never rename."""

    name: str | None  # of the model, origin or provider; None if that is unknown
    requests: int
    errors: int
    time_to_first_token_p50_ms: Number | None
    time_to_first_token_p95_ms: Number | None
    time_to_first_token_count: int  # of the calls for which it is known
    tokens_per_second_p50: Number | None
    prompt_tokens: int | None
    completion_tokens: int | None
    without_tokens: int  # successful calls of which no tokens are known
    cached_tokens: int | None
    cached_of_tokens: int | None  # the prompt tokens of the calls of which cached_tokens are known
    cost_usd: float | None  # what is billed
    without_cost: int  # calls of which no cost is known, though something was or may have been billed
    last_at: str
    plan_cost_usd: float | None  # what the calls of plans would have cost: nobody pays it
    lower_bounds: int  # calls that cost more than is known
    cost_notes: dict[str, int]  # of calls without a cost or with a lower bound: how many, by the word that says why
    error_classes: dict[str, int]  # of calls that failed: how many, by the class of the cause


class Sums(NamedTuple):
    """The parts of figures, in the order of SUMS: those of several groups can be added up."""

    requests: int
    errors: float
    prompt_tokens: float | None
    completion_tokens: float | None
    without_tokens: float
    cached_tokens: float | None
    cached_of_tokens: float | None
    cost_usd: float | None
    plan_cost_usd: float | None
    without_cost: float
    lower_bounds: float
    last_at: str
    cost_notes: dict[str, int]
    error_classes: dict[str, int]
    first_tokens: list[Number]  # in ascending order, as the next
    rates: list[Number]

    @classmethod
    def of(cls, columns: Sequence[Any]) -> Self:
        """The sums in a row of SUMS."""
        *sums, notes, errors, first_tokens, rates = columns
        by_word, by_class = (Counter(map(str, json.loads(words))) for words in (notes, errors))
        return cls._make([*sums, by_word, by_class, sorted(json.loads(first_tokens)), sorted(json.loads(rates))])

    @classmethod
    def added(cls, groups: Sequence[Self]) -> Self:
        """The sums of all groups together; there is at least one."""
        columns: list[tuple[Any, ...]] = list(zip(*groups, strict=True))
        *sums, last_at, notes, errors, first_tokens, rates = columns
        by_word, by_class = Counter[str](), Counter[str]()
        for words, failures in zip(notes, errors, strict=True):
            by_word.update(words)
            by_class.update(failures)
        merged = (sorted(chain.from_iterable(lists)) for lists in (first_tokens, rates))
        return cls._make([*map(_sum, sums), max(last_at), by_word, by_class, *merged])

    def figures(self, name: str | None) -> Figures:
        """The figures, under a name."""
        return Figures(
            name=name,
            requests=self.requests,
            errors=round(self.errors),
            time_to_first_token_p50_ms=nearest_rank(self.first_tokens, 50),
            time_to_first_token_p95_ms=nearest_rank(self.first_tokens, 95),
            time_to_first_token_count=len(self.first_tokens),
            tokens_per_second_p50=nearest_rank(self.rates, 50),
            prompt_tokens=_whole(self.prompt_tokens),
            completion_tokens=_whole(self.completion_tokens),
            without_tokens=round(self.without_tokens),
            cached_tokens=_whole(self.cached_tokens),
            cached_of_tokens=_whole(self.cached_of_tokens),
            cost_usd=self.cost_usd,
            without_cost=round(self.without_cost),
            last_at=self.last_at,
            plan_cost_usd=self.plan_cost_usd,
            lower_bounds=round(self.lower_bounds),
            cost_notes=dict(Counter(self.cost_notes).most_common()),
            error_classes=dict(Counter(self.error_classes).most_common()),
        )


def most_requests_first(figures: Iterable[Figures]) -> tuple[Figures, ...]:
    """Sorted for a table."""
    return tuple(sorted(figures, key=lambda one: (-one.requests, one.name or "")))


def _sum(values: Iterable[Number | None]) -> Number | None:
    """The sum of what is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
