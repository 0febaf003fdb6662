"""What a computation of costs has found: sums by model, and the models that have no price."""

from typing import Final

import msgspec

from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.pricing import Cost

STATED: Final = "provider"  # the source of costs that the provider itself stated
OTHERS: Final = "(others)"

_MOST_NAMED: Final = 10_000  # models: clients choose their names


class ModelCosts(msgspec.Struct):
    """The calls of one model that have a cost now, or had one before; a sum is None where none of them has one."""

    model: str
    calls: int = 0
    changed: int = 0
    usd_before: float | None = None
    usd_now: float | None = None


class WithoutPrice(msgspec.Struct):
    """The calls of one model that used something, and whose cost is not known."""

    provider: str
    model: str
    calls: int = 0


class Recosted(msgspec.Struct, frozen=True):
    """calls = stated + without_usage + those of `models` that have a cost + those of `without_price`."""

    calls: int
    changed: int  # calls that got another cost, or the same from another source
    stated: int  # their cost is the provider's own word, and stays
    without_usage: int
    models: tuple[ModelCosts, ...]  # those that cost most first
    without_price: tuple[WithoutPrice, ...]  # those with most calls first
    slices: int
    longest_hold_ms: float


class Report:
    """Adds up calls, one by one; its size is bounded."""

    def __init__(self) -> None:
        """Nothing has been looked at yet."""
        self._calls = 0
        self._changed = 0
        self._stated = 0
        self._without_usage = 0
        self._models: dict[str, ModelCosts] = {}
        self._without_price: dict[tuple[str, str], WithoutPrice] = {}

    def add(self, call: Call | None, before: Cost, now: Cost) -> bool:
        """Count a call, and tell whether its cost is to be changed; `call` is None if it cannot be read."""
        self._calls += 1
        if before.source == STATED:
            self._stated += 1
            return False
        differs = now != before
        self._changed += differs
        name = (call and (call.model or call.response_model)) or ""
        if now.usd is None:
            self._count_without(call, name)
        if now.usd is not None or before.usd is not None:
            self._count_with(name, before, now)
        return differs

    def result(self, *, slices: int, longest_hold_ms: float) -> Recosted:
        """All that was found."""
        return Recosted(
            calls=self._calls,
            changed=self._changed,
            stated=self._stated,
            without_usage=self._without_usage,
            models=tuple(sorted(self._models.values(), key=lambda one: (-(one.usd_now or 0), one.model))),
            without_price=tuple(
                sorted(self._without_price.values(), key=lambda one: (-one.calls, one.provider, one.model))
            ),
            slices=slices,
            longest_hold_ms=round(longest_hold_ms, 1),
        )

    def _count_with(self, name: str, before: Cost, now: Cost) -> None:
        if name not in self._models and len(self._models) >= _MOST_NAMED:
            name = OTHERS
        costs = self._models.setdefault(name, ModelCosts(name))
        costs.calls += 1
        costs.changed += now.usd != before.usd
        costs.usd_before = _sum(costs.usd_before, before.usd)
        costs.usd_now = _sum(costs.usd_now, now.usd)

    def _count_without(self, call: Call | None, name: str) -> None:
        if call is None or (call.usage is None and call.prompt_tokens is None and call.completion_tokens is None):
            self._without_usage += 1
            return
        kept, key = self._without_price, (call.provider or "", name)
        if key not in kept and len(kept) >= _MOST_NAMED:
            key = ("", OTHERS)
        kept.setdefault(key, WithoutPrice(*key)).calls += 1


def _sum(known: float | None, stored: object) -> float | None:
    return (known or 0.0) + stored if isinstance(stored, float) else known
