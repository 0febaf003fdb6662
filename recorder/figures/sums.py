"""Sums of calls in memory: numbers by hour and key, times counted in buckets by hour and dimension, costs, failures.

The roll-up and `CompletionRequestsDAO.get_metrics` are made of these. In keys '' stands for NULL, as in the roll-up.
`cost_usd` is what is billed: what the calls of a plan would have cost stands among the costs alone.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from llm_metrics_proxy.recorder.percentile import Number, stored_bucket_of

DIMENSIONS: Final = ("model", "origin", "provider")
KEYS: Final = {  # what calls are told apart by, and each as SQL of a row
    **{name: f"ifnull(CAST({name} AS TEXT), '')" for name in DIMENSIONS},
    "is_streaming": "is_streaming",
    "success": "success",
    "error_type": "ifnull(CAST(error_type AS TEXT), '')",
}
SUMMED: Final = (  # columns whose sums the roll-up has, each with the number of calls that knew it
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "response_time_ms",
    "time_to_first_token_ms",
    "time_to_last_token_ms",
    "tokens_per_second",
)
COST_KEYS: Final = {  # what costs are told apart by: a group with a note has lower bounds, and calls without a cost
    **{name: KEYS[name] for name in DIMENSIONS},
    "billing": "ifnull(CAST(billing AS TEXT), '')",
    "cost_note": "ifnull(CAST(cost_note AS TEXT), '')",
}
ERROR_KEYS: Final = {  # what failures are told apart by; a class of '' is that of the type alone
    **{name: KEYS[name] for name in DIMENSIONS},
    "error_class": "ifnull(CAST(error_class AS TEXT), '')",
    "error_type": KEYS["error_type"],
}
COST_SUMS: Final = ("calls", "cost_usd", "cost_usd_known")
PLAN: Final = "subscription"  # the value of `billing` whose costs nobody pays
BILLED: Final = f"iif(billing IS '{PLAN}', NULL, cost_usd)"
MEASURES: Final = ("time_to_first_token_ms", "response_time_ms", "tokens_per_second")
PERCENTS: Final = (50, 95, 99)
SUMS: Final = ("calls", *(column for name in SUMMED for column in (name, f"{name}_known")))

# The columns of a row that `values_of` takes.
MEASURED: Final = ", ".join((*(KEYS[name] for name in DIMENSIONS), *MEASURES))
# The columns of a row that `Sums.add_rows` takes.
ROW: Final = ", ".join(
    (
        "substr(CAST(timestamp AS TEXT), 1, 13)",
        *KEYS.values(),
        *(BILLED if name == "cost_usd" else name for name in SUMMED),
        *(COST_KEYS[name] for name in ("billing", "cost_note")),
        "cost_usd",
        ERROR_KEYS["error_class"],
    )
)
_NUMBERS = (int, float)  # a text or bytes in their place is no known value
_MEASURED = tuple((measure, SUMMED.index(measure)) for measure in MEASURES)

type Values = dict[tuple[str, str, str], list[Number]]  # by measure, dimension and value of that
type Key = tuple[str, str, str, str, int, int, str]  # a period and the values of KEYS
type CostKey = tuple[str, str, str, str, str, str]  # a period and the values of COST_KEYS
type ErrorKey = tuple[str, str, str, str, str, str]  # a period and the values of ERROR_KEYS
type Series = tuple[str, str, str, str]  # a period, a measure, a dimension and a value of that


class Sums:
    """`calls`: numbers in the order of `SUMS` by key; `costs`: of `COST_SUMS`; `errors`: calls that failed, by theirs.

    `times`: calls by bucket, by series.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self.calls: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0] * len(SUMS))
        self.costs: defaultdict[CostKey, list[float]] = defaultdict(lambda: [0.0] * len(COST_SUMS))
        self.errors: defaultdict[ErrorKey, int] = defaultdict(int)
        self.times: defaultdict[Series, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))

    def add_rows(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows of `completion_requests`, each with the columns of `ROW`."""
        for hour, model, origin, provider, streaming, success, error, *values, billing, note, cost, cause in rows:
            sums = self.calls[hour, model, origin, provider, streaming, success, error]
            if not success:
                self.errors[hour, model, origin, provider, cause, error] += 1
            sums[0] += 1
            at = 1
            for value in values:
                if value.__class__ in _NUMBERS:
                    sums[at] += value
                    sums[at + 1] += 1
                at += 2
            costs = self.costs[hour, model, origin, provider, billing, note]
            costs[0] += 1
            if cost.__class__ in _NUMBERS:
                costs[1] += cost
                costs[2] += 1
            for measure, index in _MEASURED:
                value = values[index]
                if value.__class__ in _NUMBERS:
                    bucket = stored_bucket_of(value)
                    self.times[hour, measure, "model", model][bucket] += 1
                    self.times[hour, measure, "origin", origin][bucket] += 1
                    self.times[hour, measure, "provider", provider][bucket] += 1

    def add_calls(self, key: Key, sums: Iterable[float]) -> None:
        """Add numbers in the order of `SUMS` to a key."""
        known = self.calls[key]
        for at, value in enumerate(sums):
            known[at] += value

    def add_costs(self, key: CostKey, sums: Iterable[float]) -> None:
        """Add numbers in the order of `COST_SUMS` to a key."""
        known = self.costs[key]
        for at, value in enumerate(sums):
            known[at] += value

    def add_times(self, series: Series, counts: Mapping[int, int]) -> None:
        """Add numbers of calls by bucket to a series."""
        known = self.times[series]
        for bucket, calls in counts.items():
            known[bucket] += calls

    def add(self, other: "Sums") -> None:
        """Add all that the other has."""
        for key, sums in other.calls.items():
            self.add_calls(key, sums)
        for cost_key, costs in other.costs.items():
            self.add_costs(cost_key, costs)
        for error_key, calls in other.errors.items():
            self.errors[error_key] += calls
        for series, counts in other.times.items():
            self.add_times(series, counts)

    def subtract(self, other: "Sums") -> None:
        """Take away all that the other has, and forget what is nothing then."""
        for key, sums in other.calls.items():
            self.add_calls(key, (-value for value in sums))
        for cost_key, costs in other.costs.items():
            self.add_costs(cost_key, (-value for value in costs))
        for error_key, calls in other.errors.items():
            self.errors[error_key] -= calls
        for series, counts in other.times.items():
            self.add_times(series, {bucket: -calls for bucket, calls in counts.items()})
        _forget(self.calls, lambda sums: not any(sums))
        _forget(self.costs, lambda costs: not any(costs))
        _forget(self.errors, lambda calls: not calls)
        _forget(self.times, lambda counts: not any(counts.values()))

    def by(self, length: int) -> "Sums":
        """The same by longer periods, named by the first `length` characters of an hour."""
        longer = Sums()
        for (hour, model, origin, provider, streaming, success, error_type), sums in self.calls.items():
            longer.add_calls((hour[:length], model, origin, provider, streaming, success, error_type), sums)
        for (hour, model, origin, provider, billing, note), costs in self.costs.items():
            longer.add_costs((hour[:length], model, origin, provider, billing, note), costs)
        for (hour, model, origin, provider, cause, error_type), calls in self.errors.items():
            longer.errors[hour[:length], model, origin, provider, cause, error_type] += calls
        for (hour, measure, dimension, value), counts in self.times.items():
            longer.add_times((hour[:length], measure, dimension, value), counts)
        return longer


def _forget[K, V](sums: dict[K, V], is_nothing: Callable[[V], bool]) -> None:
    for key in [key for key, value in sums.items() if is_nothing(value)]:
        del sums[key]


def values_of(rows: Iterable[tuple[Any, ...]]) -> Values:
    """The measures' values themselves, in ascending order; each row has the columns of `MEASURED`.

    The values of all calls have the dimension and the value ''.
    """
    values: defaultdict[tuple[str, str, str], list[Number]] = defaultdict(list)
    for model, origin, provider, *measured in rows:
        of = (("", ""), ("model", model), ("origin", origin), ("provider", provider))
        for measure, value in zip(MEASURES, measured, strict=True):
            if value.__class__ in _NUMBERS:
                for dimension, name in of:
                    values[measure, dimension, name].append(value)
    for known in values.values():
        known.sort()
    return dict(values)


def sums_of(connection: sqlite3.Connection, select: str, parameters: tuple[object, ...]) -> Sums:
    """The sums of the rows that `select` finds, each with the columns of `ROW`."""

    def added(rows: Iterable[tuple[Any, ...]]) -> Sums:
        sums = Sums()
        sums.add_rows(rows)
        return sums

    return read(connection, select, parameters, added)


def read[T](
    connection: sqlite3.Connection,
    select: str,
    parameters: tuple[object, ...],
    take: Callable[[Iterable[tuple[Any, ...]]], T],
) -> T:
    """The result of `take` for the rows that `select` finds, also where a text is no UTF-8."""
    try:
        return take(connection.execute(select, parameters))
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        # No recorder writes such a text. Read again like this, since it takes longer.
        kept, connection.text_factory = connection.text_factory, _lenient
        try:
            return take(connection.execute(select, parameters))
        finally:
            connection.text_factory = kept


def _lenient(raw: bytes) -> str:
    return raw.decode(errors="replace")
