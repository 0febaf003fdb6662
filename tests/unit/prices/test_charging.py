"""The arithmetic of the price list, which is worked out in advance, is that of genai-prices."""

from datetime import datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.recorder.prices import charging
from llm_metrics_proxy.recorder.prices.price_list import Found

MODELS = [(provider, model) for provider in get_snapshot().providers for model in provider.models]
MOMENTS = ("2025-01-31T23:59:59.999Z", "2026-11-20T12:34:56.789Z", "2026-06-01T01:00:00.000Z")
CONTEXTS: tuple[dict[str, str], ...] = ({}, {"service_tier": "flex"}, {"speed": "fast"}, {"processing": "batch"})
SETS: tuple[dict[str, float], ...] = (
    {"input_tokens": 1_234, "output_tokens": 567},
    {"input_tokens": 300_000, "output_tokens": 5, "cache_read_tokens": 1_000, "output_reasoning_tokens": 4},
    {"input_tokens": 150_000, "output_tokens": 1, "cache_write_tokens": 900, "cache_write_5m_tokens": 900},
    {"input_tokens": 900, "output_tokens": 80, "input_text_tokens": 600, "input_audio_tokens": 300},
    {"input_tokens": 900, "output_tokens": 80, "input_image_tokens": 300, "output_image_tokens": 70},
    {"audio_seconds": 12.5, "input_audio_seconds": 12.5},
    {"input_tokens": 90, "output_tokens": 8, "web_searches": 3, "storage_searches": 1},
)


def test_every_model_of_the_list_charges_what_genai_prices_charges() -> None:
    compared = 0
    for number, (provider, model) in enumerate(MODELS):
        found = Found(provider, model, model.id)
        for turn, counts in enumerate(SETS, number):  # each model with each set, in turn at these moments and tiers
            moment, context = MOMENTS[turn % len(MOMENTS)], CONTEXTS[turn % len(CONTEXTS)]
            expected = directly(provider, model, counts, moment, context)
            charged = charging.charge(found, counts, moment, context)
            assert (charged is None) == (expected is None), (provider.id, model.id, counts)
            if charged is not None and expected is not None:
                compared += 1
                assert charged.tokens + charged.fees == pytest.approx(expected, rel=Decimal("1e-12"))
    assert compared > len(MODELS)


@given(
    counts=st.dictionaries(st.sampled_from(sorted(charging.UNITS)), st.integers(0, 10**9), min_size=1),
    which=st.integers(0, len(MODELS) - 1),
)
def test_whatever_is_counted_is_charged_as_genai_prices_does_or_refused_as_it_is(
    counts: dict[str, float], which: int
) -> None:
    provider, model = MODELS[which]
    counts.pop("requests", None)
    if any(name.startswith("cache_") and name.endswith("_read_tokens") for name in counts) or provider.id == "groq":
        return  # these are told apart before
    charged = charging.charge(Found(provider, model, model.id), counts, MOMENTS[1])
    expected = directly(provider, model, counts, MOMENTS[1], {})
    if expected is None:
        assert charged is None
    elif charged is not None:
        assert charged.tokens + charged.fees == pytest.approx(expected, rel=Decimal("1e-12"))


def directly(
    provider: Provider, model: ModelInfo, counts: dict[str, float], moment: str, context: dict[str, str]
) -> Decimal | None:
    try:
        return model.calc_price(
            genai_prices.Usage(**counts),
            provider,
            genai_request_timestamp=datetime.fromisoformat(moment),
            price_context=context,
        ).total_price
    except ValueError:
        return None


def test_a_part_that_is_more_than_its_whole_is_lacking() -> None:
    provider = next(one for one in get_snapshot().providers if one.id == "cohere")
    model = provider.find_model("embed-v4.0")
    assert model is not None
    found = Found(provider, model, model.id)
    charged = charging.charge(found, {"input_tokens": 0, "input_image_tokens": 2_870}, MOMENTS[1])
    assert charged is not None
    assert charged.lacking == ("input_image_tokens",)


def test_a_quantity_that_the_price_does_not_cover_is_lacking() -> None:
    provider, model = next(one for one in MODELS if one[0].id == "groq" and one[1].id == "llama-3.3-70b-versatile")
    counts = {"input_tokens": 1, "output_tokens": 1, "web_searches": 2, "made_up": 1, "code_executions": 0}
    charged = charging.charge(Found(provider, model, model.id), counts, MOMENTS[1])
    assert charged is not None
    assert charged.lacking == ("made_up", "web_searches")
