"""What a cache saved and cost each call, worked out by hand, and as `whatif --cache 0` works it out."""

import json
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.recorder.prices.history import Span
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import Cost, cost_of
from llm_metrics_proxy.recorder.prices.recost import recost
from llm_metrics_proxy.recorder.prices.whatif import Otherwise, whatif
from tests.support.database import ask
from tests.unit.prices.priced import call, usd
from tests.unit.prices.recosted import Fill

AT = "2026-11-20T12:00:00.000Z"


def of(provider: str, model: str, counts: dict[str, int], **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
    billed = {"output_tokens": 100} | counts
    of_usage = {"usage": None, "prompt_tokens": counts["input_tokens"], "completion_tokens": 100}
    return {
        "timestamp": AT,
        "provider": provider,
        "model": model,
        "response_model": None,
        "billed": json.dumps(billed),
        **of_usage,
    } | fields


SONNET = {"input_tokens": 10_000, "cache_read_tokens": 6_000, "cache_write_tokens": 2_000}
CASES = {
    "reads and writes": (of("anthropic", "claude-sonnet-4-5", SONNET), usd((6_000, "2.7")), usd((2_000, "0.75"))),
    "kept for an hour": (
        of("anthropic", "claude-opus-5-5", SONNET | {"cache_write_1h_tokens": 2_000}),
        usd((6_000, "3.8")),
        usd((2_000, 4)),
    ),
    "an automatic cache": (
        of("openai", "gpt-4o", {"input_tokens": 1_000, "cache_read_tokens": 400}),
        usd((400, "1.25")),
        0,
    ),
    "another tier": (
        of("openai", "gpt-5.5", {"input_tokens": 1_000, "cache_read_tokens": 400}, service_tier="flex"),
        usd((400, "2.25")),
        0,
    ),
    "a region": (
        of("openai", "gpt-5.5", {"input_tokens": 1_000, "cache_read_tokens": 400}, region="eu"),
        usd((400, "4.95")),
        0,
    ),
    "long input": (
        of("openai", "gpt-5.5", {"input_tokens": 300_000, "cache_read_tokens": 200_000}),
        usd((200_000, 9)),
        0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_call_has_what_its_cache_saved_and_cost(name: str) -> None:
    fields, saved, spent = CASES[name]
    found = cost_of(call(**fields), OwnPrices())
    assert found.complete == 1
    assert found.cache_saved == pytest.approx(saved)
    assert found.cache_spent == pytest.approx(spent)


@pytest.mark.parametrize("name", CASES)
def test_whatif_says_the_same(name: str, fill: Fill) -> None:
    fields, saved, spent = CASES[name]
    path = priced(fill, fields)
    (line,) = whatif(path, OwnPrices(), Span(), Otherwise(no_cache=True)).lines
    assert line.saved_by_reads_usd == pytest.approx(saved)
    assert line.spent_on_writes_usd == pytest.approx(spent)
    (stored,) = ask(path, "SELECT cache_saved_usd, cache_spent_usd FROM completion_requests")
    assert stored == (pytest.approx(saved), pytest.approx(spent))


def test_a_call_without_a_cache_or_a_price_has_neither() -> None:
    for fields in (of("openai", "gpt-4o", {"input_tokens": 10}), of("openai", "made-up", SONNET)):
        found = cost_of(call(**fields), OwnPrices())
        assert (found.cache_saved, found.cache_spent) == (None, None)


def test_where_the_provider_states_the_cost_the_list_says_what_its_cache_saved() -> None:
    counts = {"input_tokens": 1_000, "cache_read_tokens": 400}
    row = call(**of("openai", "gpt-4o", counts, cached_tokens=400))
    found = cost_of(row, OwnPrices(), Cost(0.5, "provider", 1))
    assert found == Cost(0.5, "provider", 1, None, usd((400, "1.25")), 0)
    unlisted = cost_of(
        call(**of("openai", "made-up", counts, cached_tokens=400)), OwnPrices(), Cost(0.5, "provider", 1)
    )
    assert unlisted == Cost(0.5, "provider", 1)


def priced(fill: Fill, *calls: dict[str, Any]) -> Path:
    path = fill(*calls)
    recost(path, OwnPrices(), Span())
    return path
