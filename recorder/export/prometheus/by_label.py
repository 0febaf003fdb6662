"""Totals by the labels of calls: of the names that were asked for, each with a bounded number of values.

They begin when a name is asked for first: calls from before are not in them. The first values of a name keep theirs;
once there are enough, every new one is `other` for good, as with other labels of Prometheus (totals.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from llm_metrics_proxy.recorder.reporting import printable

MOST_VALUES: Final = 100  # of a name, besides `other`

_OTHER: Final = "other"
_LONGEST: Final = 100  # characters of a value
_MOST_REMEMBERED: Final = 5_000  # texts of the column
_TOO_MUCH: Final = 2**53  # from here on floats do not count
_NUMBERS: Final = (int, float)
_LABELS: Final = ("name", "value")
_decode = msgspec.json.Decoder(dict[str, str]).decode


class LabelTotals(msgspec.Struct):
    """Calls with one value of one label."""

    name: str
    value: str
    calls: int = 0
    failures: int = 0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    cost: float = 0.0
    plan_cost: float = 0.0
    priceless: int = 0


class ByLabel:
    """The totals of some names; for one thread."""

    def __init__(self, names: Sequence[str], known: Iterable[LabelTotals] = ()) -> None:
        """`known` are those that were counted before, of whatever names."""
        self._names = tuple(names)
        self._totals = {(one.name, one.value): one for one in known}
        self._remembered: dict[str, tuple[LabelTotals, ...]] = {}

    @property
    def all(self) -> list[LabelTotals]:
        """All that was ever counted."""
        return list(self._totals.values())

    def add_call(self, labels: object, success: object, input_tokens: object, output_tokens: object) -> None:
        """Add a call with the column `labels`."""
        for totals in self._of(labels):
            totals.calls += 1
            totals.failures += not success
            totals.input_tokens += _known(input_tokens)
            totals.output_tokens += _known(output_tokens)

    def add_cost(self, labels: object, cost: object, of_plan: object) -> None:
        """Add the cost of a call."""
        for totals in self._of(labels):
            if cost.__class__ not in _NUMBERS:
                totals.priceless += 1
            elif of_plan:
                totals.plan_cost += _known(cost)
            else:
                totals.cost += _known(cost)

    def of_calls(self) -> Iterator[Metric]:
        """The metrics of calls."""
        calls = CounterMetricFamily("llm_label_calls", "Calls with a label.", labels=(*_LABELS, "outcome"))
        tokens = CounterMetricFamily("llm_label_tokens", "Tokens of calls with a label.", labels=(*_LABELS, "type"))
        for one in self._shown():
            calls.add_metric((one.name, one.value, "success"), one.calls - one.failures)
            calls.add_metric((one.name, one.value, "failure"), one.failures)
            tokens.add_metric((one.name, one.value, "input"), one.input_tokens)
            tokens.add_metric((one.name, one.value, "output"), one.output_tokens)
        yield from (calls, tokens)

    def of_costs(self) -> Iterator[Metric]:
        """The metrics of costs."""
        cost = CounterMetricFamily("llm_label_cost_dollars", "Dollars of calls with a label; at least.", labels=_LABELS)
        plan = CounterMetricFamily(
            "llm_label_plan_cost_dollars", "What calls of plans with a label would have cost.", labels=_LABELS
        )
        priceless = CounterMetricFamily(
            "llm_label_calls_without_cost", "Calls with a label whose cost is not known.", labels=_LABELS
        )
        for one in self._shown():
            for family, value in ((cost, one.cost), (plan, one.plan_cost), (priceless, one.priceless)):
                family.add_metric((one.name, one.value), value)
        yield from (cost, plan, priceless)

    def _shown(self) -> Iterator[LabelTotals]:
        return (one for one in self._totals.values() if one.name in self._names)

    def _of(self, labels: object) -> tuple[LabelTotals, ...]:
        """The totals that a call with these labels belongs to."""
        if not self._names or not isinstance(labels, str):
            return ()
        found = self._remembered.get(labels)
        if found is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[labels] = tuple(self._found(labels))
        return found

    def _found(self, labels: str) -> Iterator[LabelTotals]:
        try:
            said = _decode(labels)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        for name in self._names:
            if value := said.get(name):
                yield self._one(name, printable(value[:_LONGEST])[:_LONGEST])

    def _one(self, name: str, value: str) -> LabelTotals:
        if (name, value) not in self._totals and sum(known == name for known, _ in self._totals) >= MOST_VALUES:
            value = _OTHER
        return self._totals.setdefault((name, value), LabelTotals(name, value))


def _known(value: Any) -> float:  # noqa: ANN401 - whatever the row has
    return value if value.__class__ in _NUMBERS and 0 <= value < _TOO_MUCH else 0.0
