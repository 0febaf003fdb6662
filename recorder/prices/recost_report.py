"""What a run of recost found, by model and by reason; its size is bounded, however many names clients choose."""

from collections.abc import Iterable
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.pricing import STATED, Cost

OTHERS: Final = "(others)"

_MOST_NAMED: Final = 10_000  # models


class ModelCosts(msgspec.Struct):
    """The calls of one model that have a cost now, or had one before; a sum is None where none of them has one."""

    model: str
    calls: int = 0
    changed: int = 0
    lower_bounds: int = 0  # whose cost lacks something now
    usd_before: float | None = None
    usd_now: float | None = None


class Lacking(msgspec.Struct):
    """The calls of one model whose cost lacks something, for one reason: a word of notes.py, "" if none was found."""

    reason: str
    provider: str
    model: str
    calls: int = 0


class Recosted(msgspec.Struct, frozen=True):
    """calls = stated + without_usage + those of `models` that have a cost + those of `without_price`."""

    calls: int
    changed: int  # calls that got another cost, or the same from another source
    stated: int  # their cost is the provider's own word
    without_usage: int  # of which nothing was billed, or nothing said what
    models: tuple[ModelCosts, ...]  # those that cost most first
    without_price: tuple[Lacking, ...]  # have no cost; those with most calls first
    lower_bounds: tuple[Lacking, ...]  # have one that is more
    without_terms: int  # calls of before version 6 of the schema: nothing says which service tier served them
    stopped: bool
    slices: int
    longest_hold_ms: float


class Report:
    """Adds up calls, one by one, or what others have added up."""

    def __init__(self) -> None:
        """Nothing has been looked at yet."""
        self.calls = 0
        self.changed = 0
        self.stated = 0
        self.without_usage = 0
        self.models: dict[str, ModelCosts] = {}
        self.without_price: dict[tuple[str, str, str], Lacking] = {}
        self.lower_bounds: dict[tuple[str, str, str], Lacking] = {}

    def add(self, call: Call | None, before: Cost, now: Cost) -> None:
        """Count a call; `call` is None if it cannot be read."""
        self.calls += 1
        self.changed += now[:2] != before[:2]
        name = (call and (call.model or call.response_model)) or ""
        if now.source == STATED:
            self.stated += 1
            if now.usd != before.usd:
                self._count_with(name, before, now)
            return
        if now.usd is None:
            self._count_without(call, name, now)
        elif now.note:
            _count(self.lower_bounds, _key(now.note, call, name))
        if now.usd is not None or before.usd is not None:
            self._count_with(name, before, now)

    def add_all(self, other: "Report") -> None:
        """Count the calls that another report has counted."""
        self.calls += other.calls
        self.changed += other.changed
        self.stated += other.stated
        self.without_usage += other.without_usage
        for added in other.models.values():
            costs = self._costs_of(added.model)
            costs.calls += added.calls
            costs.changed += added.changed
            costs.lower_bounds += added.lower_bounds
            costs.usd_before = _sum(costs.usd_before, added.usd_before)
            costs.usd_now = _sum(costs.usd_now, added.usd_now)
        for kept, lacking in (
            (self.without_price, other.without_price),
            (self.lower_bounds, other.lower_bounds),
        ):
            for key, one in lacking.items():
                _count(kept, key, one.calls)

    def result(self, *, stopped: bool, without_terms: int, slices: int, longest_hold_ms: float) -> Recosted:
        """All that was found."""
        return Recosted(
            calls=self.calls,
            changed=self.changed,
            stated=self.stated,
            without_usage=self.without_usage,
            models=tuple(sorted(self.models.values(), key=lambda one: (-(one.usd_now or 0), one.model))),
            without_price=_sorted(self.without_price.values()),
            lower_bounds=_sorted(self.lower_bounds.values()),
            without_terms=without_terms,
            stopped=stopped,
            slices=slices,
            longest_hold_ms=round(longest_hold_ms, 1),
        )

    def _count_with(self, name: str, before: Cost, now: Cost) -> None:
        costs = self._costs_of(name)
        costs.calls += 1
        costs.changed += now.usd != before.usd
        costs.lower_bounds += now.complete == 0
        costs.usd_before = _sum(costs.usd_before, before.usd)
        costs.usd_now = _sum(costs.usd_now, now.usd)

    def _costs_of(self, name: str) -> ModelCosts:
        if name not in self.models and len(self.models) >= _MOST_NAMED:
            name = OTHERS
        return self.models.setdefault(name, ModelCosts(name))

    def _count_without(self, call: Call | None, name: str, now: Cost) -> None:
        if call is None or (call.usage is None and call.prompt_tokens is None and call.completion_tokens is None):
            self.without_usage += 1
        else:
            _count(self.without_price, _key(now.note or "", call, name))


def _key(reason: str, call: Call | None, name: str) -> tuple[str, str, str]:
    return reason, (call and call.provider) or "", name


def _count(kept: dict[tuple[str, str, str], Lacking], key: tuple[str, str, str], calls: int = 1) -> None:
    if key not in kept and len(kept) >= _MOST_NAMED:
        key = ("", "", OTHERS)
    kept.setdefault(key, Lacking(*key)).calls += calls


def _sorted(found: Iterable[Lacking]) -> tuple[Lacking, ...]:
    return tuple(sorted(found, key=lambda one: (-one.calls, one.reason, one.provider, one.model)))


def _sum(known: float | None, stored: object) -> float | None:
    return (known or 0.0) + stored if isinstance(stored, float) else known
