"""Totals of all calls, which only grow, by a few labels that are safe to show.

Rows are added one by one in the order of their ids, so that adding them again, in whatever pieces, gives the very same
numbers: a sum of floats that came out lower by its last bit would be a reset to Prometheus. A value that is no finite
number from 0 on is unknown. The first values of a label keep their names; once there are enough, every new one is
`other` for good, so no call ever moves from one series to another. Times are counted in histograms with Prometheus'
bounds; a percentile over them is Prometheus' own estimate, coarser than those of recorder/percentile.py.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from llm_metrics_proxy.migrations import classes
from llm_metrics_proxy.recorder.export.prometheus.by_label import ByLabel
from llm_metrics_proxy.recorder.prices.notes import WORDS
from llm_metrics_proxy.recorder.reporting import printable

OTHER: Final = "other"
UNKNOWN: Final = "unknown"
LONGEST: Final = 100  # characters of a label


class Labels:
    """The values that one label may have, at most so many besides `other`."""

    def __init__(self, most: int, known: Iterable[str] = ()) -> None:
        """`known` are those that have been given already."""
        self._most = most
        self._known = dict.fromkeys(known)

    @property
    def known(self) -> tuple[str, ...]:
        """In the order in which they came."""
        return tuple(self._known)

    def label(self, text: object) -> str:
        """The label for a text of a row."""
        value = _shown(text)
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known[value] = None
        return value


def _shown(text: object) -> str:
    if not isinstance(text, str) or not text:
        return UNKNOWN
    return printable(text[:LONGEST])[:LONGEST]


TIME_BOUNDS: Final = tuple(10 * 2**n for n in range(16))  # ms: those of OpenTelemetry's conventions, and two more
RATE_BOUNDS: Final = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 500, 1_000)  # tokens a second
TOKENS: Final = {  # labels of `type`, and the columns
    "input": "prompt_tokens",
    "output": "completion_tokens",
    "cached": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
}
OUTCOME_SUCCESS: Final = "success"

MOST: Final = {"provider": 40, "model": 100, "operation": 20, "error": 50}  # values of a label besides `other`
MOST_GROUPS: Final = 200  # of provider, model and operation
MOST_KINDS: Final = 600  # of group, outcome and streaming
_KIND_SERIES: Final = 1 + len(TIME_BOUNDS) + 3  # each histogram has a bucket for all, a sum and a count
_GROUP_SERIES: Final = sum(
    (len(TIME_BOUNDS) + 3, len(RATE_BOUNDS) + 3, len(TOKENS) + 3, len(WORDS) + 1, len(classes.ERROR_CLASSES))
)
MOST_SERIES: Final = (MOST_KINDS + 4) * _KIND_SERIES + (MOST_GROUPS + 1) * _GROUP_SERIES

# What `add_calls` and `add_costs` take. No text that is longer than a label can be.
_GROUP = ", ".join(f"substr(CAST({name} AS TEXT), 1, 101)" for name in ("provider", "model", "operation"))
_LABELS = "substr(CAST(labels AS TEXT), 1, 2000)"
CALL: Final = f"""{_GROUP}, success, substr(CAST(error_type AS TEXT), 1, 101), error_class, is_streaming,
    response_time_ms, time_to_first_token_ms, tokens_per_second, {_LABELS}, {", ".join(TOKENS.values())}"""
COST: Final = f"{_GROUP}, cost_usd, billing IS 'subscription', cost_note, {_LABELS}"

_TOO_MUCH = 2**53  # from here on floats do not count
_MOST_REMEMBERED = 5_000  # of the kinds that rows had, as they stand there
_NUMBERS = (int, float)

type GroupKey = tuple[str, str, str]  # provider, model, operation
type Row = tuple[Any, ...]


class Histogram(msgspec.Struct):
    """`counts[i]` values were at most the i-th bound and above the one before; the last were above all bounds."""

    counts: list[int]
    total: float = 0.0


class Group(msgspec.Struct):
    """Calls of one operation of a model. `cost` is dollars; `priceless` calls have none that is known.

    `lacking` are calls whose cost is a lower bound or unknown, by the word that says why.
    """

    key: GroupKey
    first_token: Histogram
    rate: Histogram
    tokens: list[float]
    cost: float = 0.0
    priceless: int = 0
    plan_cost: float = 0.0  # what calls of plans would have cost
    lacking: dict[str, int] = {}
    errors: dict[str, int] = {}  # failed calls, by class


class Kind(msgspec.Struct):
    """Calls of a group that ended alike; the times are ms."""

    key: GroupKey
    outcome: str
    streaming: bool
    duration: Histogram
    calls: int = 0


class Totals:
    """All of it, for one thread."""

    def __init__(
        self,
        labels: dict[str, Iterable[str]],
        groups: Iterable[Group],
        kinds: Iterable[Kind],
        by_label: ByLabel | None = None,
    ) -> None:
        """`labels` are those that were given, by the names of `MOST`."""
        self.by_label = by_label or ByLabel(())
        self.labels = {name: Labels(most, labels.get(name, ())) for name, most in MOST.items()}
        self.groups = {group.key: group for group in groups}
        self.kinds = {(kind.key, kind.outcome, kind.streaming): kind for kind in kinds}
        self._group_of_row: dict[Row, Group] = {}
        self._kind_of_row: dict[Row, tuple[Kind, Group, str | None]] = {}

    def add_calls(self, rows: Iterable[Row]) -> None:
        """Add rows of `CALL`."""
        remembered = self._kind_of_row
        for provider, model, operation, success, error, cause, streaming, ms, first_ms, rate, said, *tokens in rows:
            as_it_stands = provider, model, operation, success, error, cause, streaming
            found = remembered.get(as_it_stands)
            if found is None:
                found = self._kind(as_it_stands)
                _remember(remembered, as_it_stands, found)
            kind, group, failure = found
            kind.calls += 1
            if said is not None:
                self.by_label.add_call(said, success, tokens[0], tokens[1])
            if failure is not None:
                group.errors[failure] = group.errors.get(failure, 0) + 1
            if ms.__class__ in _NUMBERS and 0 <= ms < _TOO_MUCH:
                duration = kind.duration
                duration.counts[bisect_left(TIME_BOUNDS, ms)] += 1
                duration.total += ms
            if first_ms.__class__ in _NUMBERS and 0 <= first_ms < _TOO_MUCH:
                first_token = group.first_token
                first_token.counts[bisect_left(TIME_BOUNDS, first_ms)] += 1
                first_token.total += first_ms
            if rate.__class__ in _NUMBERS and 0 <= rate < _TOO_MUCH:
                group.rate.counts[bisect_left(RATE_BOUNDS, rate)] += 1
                group.rate.total += rate
            sums = group.tokens
            for index, count in enumerate(tokens):
                if count.__class__ in _NUMBERS and 0 <= count < _TOO_MUCH:
                    sums[index] += count

    def add_costs(self, rows: Iterable[Row]) -> None:
        """Add rows of `COST`, which `add_calls` had before."""
        remembered = self._group_of_row
        for provider, model, operation, cost, of_plan, note, said in rows:
            as_it_stands = provider, model, operation
            group = remembered.get(as_it_stands)
            if group is None:
                group = self._group(as_it_stands)
                _remember(remembered, as_it_stands, group)
            if said is not None:
                self.by_label.add_cost(said, cost, of_plan)
            if cost.__class__ in _NUMBERS and 0 <= cost < _TOO_MUCH:
                if of_plan:
                    group.plan_cost += cost
                else:
                    group.cost += cost
            else:
                group.priceless += 1
            if note is not None:
                word = note if note in WORDS else OTHER
                group.lacking[word] = group.lacking.get(word, 0) + 1

    def _group(self, as_it_stands: Row) -> Group:
        """The group that a row belongs to, or that of all others if there are too many."""
        provider, model, operation = as_it_stands
        key = (
            self.labels["provider"].label(provider),
            self.labels["model"].label(model),
            self.labels["operation"].label(operation),
        )
        if key not in self.groups and len(self.groups) >= MOST_GROUPS:
            key = (OTHER, OTHER, OTHER)
        if key not in self.groups:
            first_token, rate = _histogram(TIME_BOUNDS), _histogram(RATE_BOUNDS)
            self.groups[key] = Group(key, first_token, rate, [0.0] * len(TOKENS))
        return self.groups[key]

    def _kind(self, as_it_stands: Row) -> tuple[Kind, Group, str | None]:
        """What a row is counted in, and the class of its error if it failed."""
        *of_group, success, error, cause, streaming = as_it_stands
        group = self._group(tuple(of_group))
        outcome = OUTCOME_SUCCESS if success else self.labels["error"].label(error)
        key = group.key, outcome, bool(streaming)
        if key not in self.kinds and len(self.kinds) >= MOST_KINDS:
            key = (OTHER, OTHER, OTHER), OUTCOME_SUCCESS if success else OTHER, bool(streaming)
        if key not in self.kinds:
            self.kinds[key] = Kind(*key, _histogram(TIME_BOUNDS))
        return self.kinds[key], group, None if success else _class(cause, error)


def _class(cause: object, error: object) -> str:
    """The class of an error; a call from before version 7 of the schema has that of its type alone."""
    if cause is None:
        return classes.of_error_type(error) if isinstance(error, str) else OTHER
    return cause if isinstance(cause, str) and cause in classes.ERROR_CLASSES else OTHER


def _histogram(bounds: tuple[int, ...]) -> Histogram:
    return Histogram([0] * (len(bounds) + 1))


def _remember[K, V](remembered: dict[K, V], key: K, value: V) -> None:
    if len(remembered) >= _MOST_REMEMBERED:
        remembered.clear()
    remembered[key] = value
