"""The tier, the region and the tools of a call: each at its own price, as published, or no cost and the reason."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from llm_metrics_proxy.recorder.prices import notes, price_file, price_list, published
from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import Cost, cost_of
from llm_metrics_proxy.recorder.prices.terms import tier_word
from tests.unit.prices.priced import NOWHERE, call, usd

AT = {"timestamp": "2026-11-20T12:00:00.000Z", "billed": '{"input_tokens":1000,"output_tokens":100}'}
OPENAI = {"provider": "openai", "host": "api.openai.com:443", "endpoint": "/v1/responses", "model": "gpt-5.5"}
GEMINI = {"provider": "gcp.gemini", "host": "generativelanguage.googleapis.com:443", "model": "gemini-3.5-flash"}
VERTEX = {"provider": "gcp.vertex_ai", "host": "us-east5-aiplatform.googleapis.com:443", "endpoint": "/v1/x"}
CLAUDE = {"provider": "anthropic", "host": "api.anthropic.com:443", "model": "claude-opus-5-5"}
BEDROCK = {"provider": "aws.bedrock", "model": "openai.gpt-oss-120b-1:0"}
MISTRAL = {"provider": "mistral_ai", "host": "api.mistral.ai:443", "model": "mistral-large-2512"}
GROQ = {"provider": "groq", "host": "api.groq.com:443", "model": "llama-3.3-70b-versatile"}


def of(fields: dict[str, str]) -> Call:
    return call(**AT | fields)


@pytest.mark.parametrize(
    ("fields", "times"),
    [
        (OPENAI | {"service_tier": "default"}, 1),
        (OPENAI | {"service_tier": "auto"}, 1),
        (OPENAI | {"service_tier": "flex"}, 0.5),
        (OPENAI | {"service_tier": "priority"}, 2.5),
        (OPENAI | {"service_tier": "fast"}, 2.5),
        (OPENAI | {"service_tier": "flex", "timestamp": "2026-07-01T00:00:00.000Z"}, 0.5),  # the list begins in October
        (OPENAI | {"usage": '{"service_tier":"flex"}'}, 0.5),  # as older rows have it
        (OPENAI | {"host": "eu.api.openai.com:443"}, 1.1),
        (OPENAI | {"region": "us", "service_tier": "flex"}, 0.55),
        (OPENAI | {"host": "eu.api.openai.com:443", "model": "gpt-4o"}, 1),
        (GEMINI | {"service_tier": "flex"}, 0.5),
        (GEMINI | {"service_tier": "ON_DEMAND_PRIORITY"}, 1.8),
        (GEMINI | {"service_tier": "ON_DEMAND"}, 1),
        (GEMINI | {"usage": '{"trafficType":"ON_DEMAND_FLEX"}'}, 0.5),
        (VERTEX | {"model": "claude-opus-5"}, 1.1),
        (VERTEX | {"model": "claude-opus-5", "endpoint": "/v1/projects/p/locations/global/x"}, 1),
        (VERTEX | {"model": "claude-sonnet-4@20250514"}, 1),
        (VERTEX | {"model": "claude-3-7-sonnet@20250219"}, 1),
        (VERTEX | {"model": "gemini-2.5-flash"}, 1),
        (VERTEX | {"model": "gemini-3.5-flash", "host": "aiplatform.us.rep.googleapis.com", "region": "us"}, 1.1),
        (CLAUDE | {"usage": '{"inference_geo":"us","input_tokens":1000,"output_tokens":100}'}, 1.1),
        (CLAUDE | {"region": "global"}, 1),
        (CLAUDE | {"usage": '{"inference_geo":"not_available"}'}, 1),
        (CLAUDE | {"service_tier": "batch"}, 0.5),
        (CLAUDE | {"usage": '{"speed":"fast"}'}, 2),
        (MISTRAL | {"host": "api.eu.mistral.ai:443"}, 1.1),
        (MISTRAL | {"service_tier": "standard"}, 1),
        (GROQ | {"service_tier": "flex"}, 1),
        (GROQ | {"service_tier": "on_demand"}, 1),
    ],
)
def test_a_tier_and_a_region_have_their_own_price(fields: dict[str, str], times: float) -> None:
    plain = replace(of(fields), service_tier="", region="", usage=None, host="", timestamp=AT["timestamp"])
    ordinary, found = cost_of(plain, OwnPrices()), cost_of(of(fields), OwnPrices())
    assert ordinary.usd
    assert found.usd == pytest.approx(times * ordinary.usd, rel=1e-12)
    assert (found.complete, found.note) == (1, None)


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        (OPENAI | {"service_tier": "ultrafast"}, notes.NO_TIER),
        (OPENAI | {"service_tier": "scale"}, notes.NO_TIER),
        (OPENAI | {"service_tier": "priority", "timestamp": "2026-07-01T00:00:00.000Z"}, notes.NO_TIER),
        (OPENAI | {"provider": "azure.ai.openai", "service_tier": "priority"}, notes.NO_TIER),
        (BEDROCK | {"service_tier": "flex"}, notes.NO_TIER),
        (BEDROCK | {"service_tier": "reserved"}, notes.NO_TIER),
        (BEDROCK | {"service_tier": "optimized"}, notes.NO_TIER),
        (VERTEX | {"model": "gemini-2.5-flash", "service_tier": "PROVISIONED_THROUGHPUT"}, notes.NO_TIER),
        (MISTRAL | {"service_tier": "priority"}, notes.NO_TIER),
        (CLAUDE | {"service_tier": "priority"}, notes.NO_TIER),
        (CLAUDE | {"region": "eu"}, notes.NO_REGION),
        (OPENAI | {"region": "eu", "model": "gpt-live-1"}, notes.NO_REGION),
    ],
)
def test_a_tier_or_a_region_without_a_price_leaves_no_cost_and_says_so(fields: dict[str, str], note: str) -> None:
    assert cost_of(of(fields), OwnPrices()) == Cost(None, None, None, note)


@pytest.mark.parametrize(
    ("fields", "billed", "fee"),
    [
        (OPENAI, '"web_searches":3', 0.03),
        (OPENAI | {"service_tier": "flex"}, '"web_searches":3', 0.03),  # no tier and no region multiplies a fee
        (OPENAI, '"web_searches_preview":2', 0.02),
        (OPENAI | {"model": "gpt-4.1"}, '"web_searches_preview":2', 0.05),
        (OPENAI, '"storage_searches":2', 0.005),
        (OPENAI | {"model": "gpt-5.3-codex"}, '"storage_searches":2', 0.005),
        (CLAUDE | {"region": "us"}, '"web_searches":2', 0.02),
        (VERTEX | {"model": "claude-opus-5"}, '"web_searches":2', 0.02),
        (GEMINI, '"web_searches":3,"grounded_prompts":1', 0.042),
        (GEMINI | {"model": "gemini-2.5-flash"}, '"web_searches":3,"grounded_prompts":1', 0.035),
        (GEMINI | {"model": "gemini-2.5-flash"}, '"web_searches":3', 0.035),
        (GEMINI, '"web_searches":0', 0),
        (OPENAI, '"other_models":[{"model":"gpt-image-2","input_tokens":24,"output_tokens":6208}]', 0.18636),
        (CLAUDE, '"other_models":[{"model":"claude-opus-4-7","input_tokens":1000,"output_tokens":100}]', 0.0075),
    ],
)
def test_what_is_billed_beside_the_tokens_is_added(fields: dict[str, str], billed: str, fee: float) -> None:
    row = of(fields)
    without = cost_of(row, OwnPrices()).usd or 0
    found = cost_of(replace(row, billed=AT["billed"].replace("}", f",{billed}}}", 1)), OwnPrices())
    assert found.usd == pytest.approx(without + fee, rel=1e-9)
    assert (found.complete, found.note) == (1, None)


@pytest.mark.parametrize(
    ("model", "usd"),
    [("gpt-4o-search-preview", 0.025), ("gpt-5-search-api", 0.01), ("gpt-4o", 0)],
)
def test_a_model_that_always_searches_does_so_where_it_cites_nothing(model: str, usd: float) -> None:
    searched = of(OPENAI | {"model": model, "billed": '{"input_tokens":0,"output_tokens":0}'})
    assert cost_of(searched, OwnPrices()).usd == pytest.approx(usd)


def test_the_fee_for_an_own_key_comes_on_top_where_the_providers_bill_is_not_told() -> None:
    said = '{"prompt_tokens":1000,"completion_tokens":100,"cost":0.0002,"is_byok":true}'
    fields = {"provider": "openrouter", "model": "openai/gpt-4o", "billed": '{"input_tokens":1000,"output_tokens":100}'}
    without, found = (cost_of(of(fields | {"usage": usage}), OwnPrices()) for usage in ("{}", said))
    assert without.usd
    assert found.usd == pytest.approx(without.usd + 0.0002)


def test_googles_chats_write_the_maker_before_the_models_name() -> None:
    costs = {cost_of(of(VERTEX | {"model": f"{maker}gemini-2.5-pro"}), OwnPrices()) for maker in ("", "google/")}
    assert len(costs) == 1
    assert costs.pop().usd


@pytest.mark.parametrize(
    ("fields", "billed", "expected"),
    [
        (GROQ, '"web_searches":3', (None, notes.NO_FEE)),
        (OPENAI, '"image_generations":1', (None, notes.NO_FEE)),
        (OPENAI, '"containers":2', (0, notes.NO_FEE)),  # of the least size
        (CLAUDE, '"code_executions":1', (0, notes.NO_FEE)),  # however long it took
        (OPENAI, '"other_models":[{"input_tokens":24,"output_tokens":6208}]', (0, notes.OTHER_MODEL)),
        (OPENAI, '"other_models":[{"model":"nobodys","input_tokens":24}]', (0, notes.OTHER_MODEL)),
    ],
)
def test_what_lacks_a_fee_or_another_models_tokens_says_so(
    fields: dict[str, str], billed: str, expected: tuple[int | None, str]
) -> None:
    found = cost_of(replace(of(fields), billed=AT["billed"].replace("}", f",{billed}}}", 1)), OwnPrices())
    assert (found.complete, found.note) == expected
    assert (found.usd is None) == (expected[0] is None)


def test_a_fee_that_depends_on_what_was_not_told_is_lacking() -> None:
    row = of(
        {"provider": "perplexity", "host": "api.perplexity.ai", "model": "sonar"}
    )  # by how much of the web it read
    found = cost_of(row, OwnPrices())
    assert found == Cost(usd((1000, 1), (100, 1)), found.source, 0, notes.NO_FEE)


def test_sound_without_a_price_of_its_own_is_not_charged_as_text() -> None:
    spoken = '{"input_tokens":820,"output_tokens":410,"input_audio_tokens":700}'
    for model in ("gpt-4o-audio-preview", "gpt-4o-mini-audio-preview"):
        assert cost_of(of(OPENAI | {"model": model, "billed": spoken}), OwnPrices()).note == notes.NO_PRICE
    drawn = '{"input_tokens":8,"output_tokens":410,"output_image_tokens":400}'
    assert cost_of(of(OPENAI | {"model": "gpt-5.5", "billed": drawn}), OwnPrices()).note == notes.NO_PRICE
    assert cost_of(of(OPENAI | {"model": "gpt-image-2", "billed": drawn}), OwnPrices()).complete == 1


def test_an_hours_cache_is_not_charged_as_that_of_five_minutes() -> None:
    kept = '{"input_tokens":820,"output_tokens":4,"cache_write_tokens":700,"cache_write_1h_tokens":700}'
    row = of({"provider": "minimax", "model": "MiniMax-M2", "billed": kept})
    assert cost_of(row, OwnPrices()).note == notes.NO_PRICE
    assert cost_of(replace(row, billed=kept.replace("_1h", "_5m")), OwnPrices()).complete == 1


# --- the user's own prices


def test_an_own_price_is_that_of_its_tier(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        """
        [[price]]
        model = "gpt-5.5"
        input = 1
        output = 10
        [[price]]
        model = "gpt-5.5"
        tier = "priority"
        input = 3
        output = 30
        """
    )
    own = price_file.load(file, NOWHERE)
    for tier, cost in (("", usd((1000, 1), (100, 10))), ("priority", usd((1000, 3), (100, 30)))):
        assert cost_of(of(OPENAI | {"service_tier": tier}), own) == Cost(cost, "file", 1)
    assert cost_of(of(OPENAI | {"service_tier": "flex"}), own).usd == usd((1000, 0.5), (100, 5))  # as published
    assert cost_of(of(OPENAI | {"service_tier": "scale"}), own).note == notes.NO_TIER


def test_an_alias_lends_the_prices_of_another_model(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        """
        [[alias]]
        model = "prod-*"
        provider = "azure.ai.openai"
        as = "gpt-5.5"
        [[alias]]
        model = "*"
        provider = "custom"
        list = "anthropic"
        [[alias]]
        model = "cheap"
        as = "gpt-5.5"
        list = "openai"
        """
    )
    own = price_file.load(file, NOWHERE)
    expected = cost_of(of(OPENAI), OwnPrices())
    assert cost_of(of({"provider": "azure.ai.openai", "model": "prod-1"}), own) == expected
    assert cost_of(of({"provider": "custom", "model": "cheap", "host": "localhost:4000"}), own) == expected
    claude = cost_of(of({"provider": "custom", "model": "claude-opus-5-5", "host": "localhost:4000"}), own)
    assert claude == cost_of(of(CLAUDE), OwnPrices())
    assert cost_of(of({"provider": "openai", "model": "prod-1"}), own).note == notes.NO_PRICE


# --- whose list


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.githubcopilot.com", "github-copilot"),
        ("api.individual.githubcopilot.com", "github-copilot"),
        ("api.business.githubcopilot.com:443", "github-copilot"),
        ("api.z.ai", "zai"),
        ("opencode.ai", None),
        ("ai-gateway.vercel.sh", None),
    ],
)
def test_an_accounts_host_and_a_reseller_find_their_list_or_none(host: str, name: str | None) -> None:
    found = price_list.provider_of(call(provider="some", host=host, endpoint="/v1/chat/completions"))
    assert (found and found.id) == name


# --- the table of what providers publish


def test_each_published_line_is_of_a_provider_of_the_list_dated_and_with_its_source() -> None:
    for line in published.lines():
        assert price_list.provider_named(line.provider), line
        assert line.kind in (published.TIER, published.REGION, published.FEE, published.FEE_AT_LEAST)
        assert Decimal(0) <= line.value <= 3, line
        assert not line.since or date.fromisoformat(line.since)
        assert re.fullmatch(r"https://[a-z0-9.-]+/\S*", line.source), line


def test_words_for_tiers_are_told_from_those_for_the_ordinary_one() -> None:
    assert {tier_word(word) for word in ("Standard", "default", "auto", "ON_DEMAND", "", "standard_only")} == {""}
    assert tier_word("SERVICE_TIER_FLEX") == tier_word("ON_DEMAND_FLEX") == "flex"
