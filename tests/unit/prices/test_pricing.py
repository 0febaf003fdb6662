"""What a call costs: what genai-prices makes of the very usage that the provider reported, and no guess beyond that."""

import json
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llm_metrics_proxy.addon.providers import quantities
from llm_metrics_proxy.recorder.prices import notes
from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.newer_list import source
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import Cost, cost_of
from tests.unit.prices.priced import CACHED, MOMENT, SONNET, call, price, usd
from tests.unit.reading.test_conformance import _CASES, _at_once, _Case

# Which of genai-prices' own extractors reads the usage of which recorded cases, and where in an answer it stands.
EXTRACTORS = {
    "anthropic/": ("anthropic", "default"),
    "azure/embeddings": ("azure", "embeddings"),
    "azure/responses": ("azure", "responses"),
    "bedrock/converse": ("aws", "default"),
    "bedrock/invoke_claude": ("aws", "anthropic"),
    "cohere/chat_v2": ("cohere", "default"),
    "cohere/generate": ("cohere", "default"),
    "cohere/embed": ("cohere", "default"),
    "openai/chat": ("openai", "chat"),
    "openai/completions": ("openai", "chat"),
    "openai/embeddings": ("openai", "embeddings"),
    "openai/images": ("openai", "images"),
    "openai/responses": ("openai", "responses"),
    "openai/transcription": ("openai", "responses"),
}
# Cases of which genai-prices says nothing: the stream broke off before its output was counted, or no such model exists.
LACKING = {
    "anthropic/messages_stream_client_left": notes.NO_OUTPUT,
    "anthropic/messages_stream_error_event": notes.NO_OUTPUT,
    "anthropic/messages_stream_truncated": notes.NO_OUTPUT,
    "bedrock/invoke_claude_before_messages_stream": notes.NO_PRICE,
    "cohere/embed_plain": notes.NO_PRICE,
}
LOWER_BOUNDS = {"anthropic/messages_stream_client_left", "anthropic/messages_stream_truncated"}
# Cases whose usage alone does not say what they cost: tiers, regions, ages of a cache, other models, calls of tools, a
# stream that says the input once.
MORE_THAN_USAGE = {
    "anthropic/messages_plain_code_execution",
    "anthropic/messages_plain_compaction",
    "anthropic/messages_plain_fast_us",
    "anthropic/messages_stream_advisor",
    "anthropic/messages_stream_cut_before_the_output",
    "bedrock/converse_plain_tier",
    "bedrock/converse_stream_latency",
    "openai/chat_plain_cache_ages",
    "openai/chat_plain_search_model",
    "openai/chat_plain_tier",
    "openai/chat_stream_search_model",
    "openai/images_plain_svg",
    "openai/responses_plain_cache_ages",
    "openai/responses_plain_tools",
    "openai/responses_plain_web_search_preview",
    "openai/responses_stream_tier",
    "openai/responses_stream_tools_in_items_alone",
}


GPT_4O = '{"prompt_tokens": 1000, "completion_tokens": 100}'
KNOWN: dict[str, Any] = {"provider": "openai", "model": "gpt-4o"}
# Cases whose bill is made up, and no product of their tokens.
MADE_UP = {
    "openai_compatible/chat_plain_perplexity_deep_research",
    "openai_compatible/openrouter_images",
    "openai_compatible/openrouter_own_key",
    "openai_compatible/openrouter_own_key_stream_of_messages",
}


def recorded(name: str) -> tuple[_Case, Call]:
    case = _Case(name)
    row, _ = case.run("identity", [case.request.body], _at_once(case, "identity"))
    return case, Call(**{name: getattr(row, name) for name in Call.__struct_fields__})


def directly(answer: dict[str, Any], provider_id: str, flavor: str, models: tuple[str | None, ...]) -> float | None:
    """By genai-prices alone, without anything of ours; None if it cannot."""
    try:
        said = genai_prices.extract_usage(answer, provider_id=provider_id, api_flavor=flavor)
    except ValueError:
        return None
    for model in filter(None, models):
        try:
            found = genai_prices.calc_price(
                said.usage, model, provider_id=provider_id, genai_request_timestamp=datetime.fromisoformat(MOMENT)
            )
        except LookupError:
            continue
        return float(found.total_price)
    return None


@pytest.mark.parametrize(
    "name", [name for name in _CASES if name.startswith(tuple(EXTRACTORS)) and name not in MORE_THAN_USAGE]
)
def test_a_recorded_call_costs_what_genai_prices_makes_of_its_usage(name: str) -> None:
    case, row = recorded(name)
    provider_id, flavor = next(found for prefix, found in EXTRACTORS.items() if name.startswith(prefix))
    answer = {"usage": json.loads(row.usage or "{}")}
    if case.response is not None and b'"usage":' in case.response.body and case.response.body.startswith(b'{"'):
        answer = json.loads(case.response.body)  # the whole answer, as the provider sent it
        answer.pop("model", None)
    expected = directly(answer, provider_id, flavor, (row.response_model, row.model))
    found = cost_of(row, OwnPrices())
    if expected is not None:
        assert found[:4] == (expected, source(), 1, None)
    elif name in LOWER_BOUNDS:
        assert (found.complete, found.note) == (0, LACKING[name])
        assert found.usd
    else:
        assert found.usd is None
        assert found.note == (LACKING.get(name) if row.usage else found.note)
    assert (expected is None) == (row.usage is None or name in LACKING)


@pytest.mark.parametrize("name", _CASES)
def test_a_call_costs_the_same_whether_or_not_it_was_stored_with_what_it_is_billed_for(name: str) -> None:
    _, row = recorded(name)
    assert cost_of(row, OwnPrices()) == cost_of(replace(row, billed=None), OwnPrices())


def test_what_is_billed_counts_before_what_the_provider_said_and_that_before_the_columns() -> None:
    columns = {"prompt_tokens": 3000, "completion_tokens": 300}
    row = call(
        provider="openai", model="gpt-4o", usage=GPT_4O, **columns, billed='{"input_tokens":10,"output_tokens":5}'
    )
    assert price(row) == usd((10, 2.5), (5, 10))
    assert price(replace(row, billed=None)) == usd((1000, 2.5), (100, 10))
    assert price(replace(row, billed=None, usage=None)) == usd((3000, 2.5), (300, 10))


@pytest.mark.parametrize(
    ("billed", "note"),
    [
        ('{"input_tokens":-1,"output_tokens":5}', notes.CONTRADICTORY),
        ('{"input_tokens":5,"output_tokens":5,"cache_read_tokens":9}', notes.CONTRADICTORY),
        ('{"input_tokens":5,"output_tokens":5,"cache_read_tokens":-9}', notes.CONTRADICTORY),
        ('{"input_tokens":5,"output_tokens":5,"output_reasoning_tokens":9}', notes.CONTRADICTORY),
        ('{"output_tokens":5}', notes.NO_INPUT),
        ('{"output_tokens":1e300,"input_tokens":1}', notes.CONTRADICTORY),
        ('{"output_tokens":5,"input_tokens":5,"cache_write_12h_tokens":3}', notes.NO_PRICE),
        ('{"output_tokens":5,"input_tokens":5,"image_generations":1}', notes.NO_FEE),
        ("{}", notes.NO_USAGE),
    ],
)
def test_what_cannot_be_billed_has_no_cost_and_says_why(billed: str, note: str) -> None:
    found = cost_of(call(provider="openai", model="gpt-4o", billed=billed), OwnPrices())
    assert found == Cost(None, None, None, note)


def test_input_whose_output_was_not_counted_is_a_lower_bound() -> None:
    row = call(provider="openai", model="gpt-4o", billed='{"input_tokens":1000,"cache_read_tokens":400}')
    lower = Cost(usd((600, 2.5), (400, 1.25)), source(), 0, notes.NO_OUTPUT)
    assert cost_of(row, OwnPrices())[:4] == lower[:4]
    left = replace(row, success=0, error_type="client_disconnect", usage_source="partial")
    assert cost_of(left, OwnPrices())[:4] == lower[:4]
    failed = replace(left, error_type="overloaded_error")  # which the provider says itself, and does not bill
    assert cost_of(failed, OwnPrices()) == Cost(None, None, None, notes.NO_OUTPUT)


def test_a_refusal_lacks_nothing_and_an_answer_that_never_said_its_usage_does() -> None:
    refused = call(provider="openai", model="gpt-4o", success=0, error_type="rate_limit_exceeded")
    assert cost_of(refused, OwnPrices()) == Cost(None, None)
    for lost in ({"success": 1}, {"error_type": "client_disconnect"}):
        assert cost_of(replace(refused, **lost), OwnPrices()).note == notes.NO_USAGE


@pytest.mark.parametrize("billed", ["", "{", "[1]", '{"input_tokens":"5"}', '{"input_tokens":NaN}', "[" * 100_000])
def test_what_is_billed_is_read_anew_where_it_was_spoilt(billed: str) -> None:
    row = call(provider="openai", model="gpt-4o", usage=GPT_4O, billed=billed)
    assert price(row) == usd((1000, 2.5), (100, 10))


def test_a_quantity_that_nobody_has_a_price_of_leaves_no_cost() -> None:
    row = call(provider="openai", model="gpt-4o", billed='{"input_tokens":10,"output_tokens":5,"smells":7}')
    assert cost_of(row, OwnPrices()) == Cost(None, None, None, notes.NO_FEE)
    none = replace(row, billed='{"input_tokens":10,"output_tokens":5,"smells":0}')
    assert price(none) == usd((10, 2.5), (5, 10))


def test_quantities_are_named_as_the_list_names_them_or_are_known_to_have_no_unit() -> None:
    names = {value for name, value in vars(quantities).items() if name.isupper() and isinstance(value, str)}
    no_quantities = {quantities.TOTAL, quantities.OTHER_MODELS, quantities.MODEL}
    assert names - no_quantities - quantities.WITHOUT_UNIT <= unit_data.keys()
    assert quantities.WITHOUT_UNIT.isdisjoint(unit_data)


GEMINI = {
    "promptTokenCount": 9622,
    "candidatesTokenCount": 35,
    "thoughtsTokenCount": 136,
    "toolUsePromptTokenCount": 5,
    "cachedContentTokenCount": 9000,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9622}],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 9000}],
}
# Provider, model, usage, and what genai-prices reads it as: its provider, flavor, and where the usage stands.
REPORTED = [
    ("gcp.gemini", "gemini-2.5-flash", GEMINI, ("google", "default", "usageMetadata")),
    ("gcp.vertex_ai", "models/gemini-2.5-flash", GEMINI, ("google", "default", "usageMetadata")),
    (
        "openai",
        "gpt-realtime",
        {
            "input_tokens": 122,
            "output_tokens": 97,
            "input_token_details": {
                "text_tokens": 96,
                "audio_tokens": 26,
                "image_tokens": 0,
                "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": 28, "audio_tokens": 69},
        },
        ("openai", "realtime", "response.usage"),
    ),
    (
        "x_ai",
        "grok-4",
        {"prompt_tokens": 20, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 300}},
        ("x-ai", "chat", "usage"),
    ),
    ("groq", "llama-3.3-70b-versatile", {"prompt_tokens": 40, "completion_tokens": 8}, ("groq", "default", "usage")),
    ("openai", "whisper-1", {"type": "duration", "seconds": 4}, ("openai", "live", "usage")),
    (
        "deepseek",
        "deepseek-chat",
        {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 896}},
        ("deepseek", "chat", "usage"),
    ),
]


@pytest.mark.parametrize(("provider", "model", "usage", "reading"), REPORTED)
def test_audio_thoughts_and_seconds_are_charged_as_genai_prices_reads_them(
    provider: str, model: str, usage: dict[str, Any], reading: tuple[str, str, str]
) -> None:
    provider_id, flavor, path = reading
    answer: dict[str, Any] = usage
    for key in reversed(path.split(".")):
        answer = {key: answer}
    expected = directly(answer, provider_id, flavor, (model.removeprefix("models/"),))
    assert expected
    assert price(call(provider=provider, model=model, usage=json.dumps(usage))) == expected


def test_the_words_of_geminis_other_apis_are_understood() -> None:
    live = {
        "promptTokenCount": 1267,
        "responseTokenCount": 103,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1267}],
        "responseTokensDetails": [{"modality": "TEXT", "tokenCount": 22}, {"modality": "AUDIO", "tokenCount": 81}],
    }
    spoken = {key.replace("response", "candidates"): value for key, value in live.items()}
    model = "gemini-2.5-flash-native-audio-preview-09-2025"
    expected = directly({"usageMetadata": spoken}, "google", "default", (model,))
    assert expected
    assert price(call(provider="gcp.gemini", model=model, usage=json.dumps(live))) == expected
    interaction = {
        "total_input_tokens": 300,
        "total_output_tokens": 13,
        "total_thought_tokens": 207,
        "total_tool_use_tokens": 10,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 100}, {"modality": "audio", "tokens": 200}],
    }
    found = price(call(provider="gcp.gemini", model="gemini-2.5-flash", usage=json.dumps(interaction)))
    assert found == usd((110, 0.30), (200, 1.00), (220, 2.50))


# --- nothing is charged twice

SAID = {"input_tokens": 12, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 2000, "output_tokens": 9}
ONCE = usd((12, 3), (2000, 0.30), (100, 3.75), (9, 15))


@pytest.mark.parametrize(
    "usage",
    [
        SAID,
        {"inputTokens": 12, "cacheReadInputTokens": 2000, "cacheWriteInputTokens": 100, "outputTokens": 9},
        {"inputTokens": 12, "cacheReadInputTokenCount": 2000, "cacheWriteInputTokenCount": 100, "outputTokens": 9},
        {"words": "of an API that nobody knows"},
        None,
    ],
)
def test_tokens_of_a_cache_are_charged_once_and_at_their_own_price(usage: dict[str, Any] | None) -> None:
    assert price(call(**SONNET, **CACHED, usage=usage and json.dumps(usage))) == ONCE


def test_what_is_kept_longer_in_a_cache_costs_more() -> None:
    ages = {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60}
    found = price(call(**SONNET, **CACHED, usage=json.dumps(SAID | {"cache_creation": ages})))
    assert found == usd((12, 3), (2000, 0.30), (40, 3.75), (60, 6), (9, 15))


def test_another_providers_anthropic_format_keeps_its_cache() -> None:
    row = call(**SONNET | {"provider": "openrouter", "model": "anthropic/claude-sonnet-4.5"}, **CACHED)
    assert price(replace(row, usage=json.dumps(SAID))) == ONCE


def test_an_output_that_was_not_counted_is_not_taken_for_none() -> None:
    counted = call(provider="openai", model="gpt-4o", prompt_tokens=19, usage='{"prompt_tokens": 19}')
    assert cost_of(counted, OwnPrices()).complete == 0
    embedded = replace(counted, operation="embeddings", model="text-embedding-3-small")
    assert price(embedded) == usd((19, 0.02))


@pytest.mark.parametrize("name", _CASES)
def test_a_cost_that_the_provider_states_is_what_the_list_makes_of_its_usage(name: str) -> None:
    case = _Case(name)
    event, _ = case.run("identity", [case.request.body], _at_once(case, "identity"))
    row = Call(**{name: getattr(event, name) for name in Call.__struct_fields__})
    stated = Cost(event.cost_usd, event.cost_source, event.cost_complete)
    if stated.source != "provider":
        return
    assert cost_of(row, OwnPrices(), stated)[:4] == (event.cost_usd, "provider", 1, None)
    listed = cost_of(row, OwnPrices())
    if listed.complete and name not in MADE_UP:
        assert listed.usd == pytest.approx(event.cost_usd, rel=0.01)


def test_an_answer_that_broke_off_has_what_was_counted_until_then_as_a_lower_bound() -> None:
    cut = call(**KNOWN, usage=GPT_4O, success=0, error_type="client_disconnect", usage_source="partial")
    assert cost_of(cut, OwnPrices())[:4] == (usd((1000, 2.5), (100, 10)), source(), 0, notes.NO_OUTPUT)
    unbilled = json.dumps(json.loads(GPT_4O) | {"cost": {"total_cost": 0}})  # Perplexity's, until the last chunk
    assert cost_of(replace(cut, usage=unbilled), OwnPrices()) == Cost(None, None, None, notes.NO_OUTPUT)


def test_decisions_are_billed_by_their_input_alone() -> None:
    row = call(provider="openai", host="api.openai.com", endpoint="/v1/decisions", model="gpt-6-luna", usage=GPT_4O)
    found = cost_of(replace(row, timestamp="2026-11-20T00:00:00.000Z"), OwnPrices())
    chat = replace(row, timestamp="2026-11-20T00:00:00.000Z", endpoint="/v1/responses")
    without_output = replace(chat, usage=None, prompt_tokens=1000, completion_tokens=0)
    assert found == cost_of(without_output, OwnPrices())
    assert found.complete == 1


# --- when, which model, whose


def test_a_call_has_the_price_of_its_day() -> None:
    row = call(provider="openai", model="o3", usage=GPT_4O)
    assert price(replace(row, timestamp="2025-06-09T23:59:59.999Z")) == usd((1000, 10), (100, 40))
    assert price(replace(row, timestamp="2025-06-10T00:00:00.000Z")) == usd((1000, 2), (100, 8))


def test_the_terms_of_the_answer_count() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100, "cache_read_input_tokens": 0, "speed": "fast"}
    row = call(provider="anthropic", model="claude-opus-4-8", timestamp="2026-11-10T00:00:00.000Z")
    fast, standard = (replace(row, usage=json.dumps(usage | {"speed": speed})) for speed in ("fast", "standard"))
    expected = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=1000, output_tokens=100),
        "claude-opus-4-8",
        provider_id="anthropic",
        genai_request_timestamp=datetime.fromisoformat(row.timestamp),
        price_context={"speed": "fast"},
    )
    assert price(fast) == float(expected.total_price)
    assert price(fast) > price(standard)  # type: ignore[operator] # both are known


@pytest.mark.parametrize(
    ("fields", "as_if"),
    [
        ({"provider": "openai", "model": "gpt-4o", "response_model": "gpt-4o-2024-05-13"}, "gpt-4o-2024-05-13"),
        ({"provider": "openai", "model": "gpt-4o", "response_model": "never-heard-of"}, "gpt-4o"),
        ({"provider": "azure.ai.openai", "model": "prod", "response_model": "gpt-4o-2024-08-06"}, "gpt-4o"),
        ({"provider": "azure.ai.openai", "model": "gpt-4o", "response_model": "gpt-4o-2031-01-01"}, "gpt-4o"),
        ({"provider": "azure.ai.openai", "model": "gpt-4o", "response_model": "never-heard-of"}, None),
        ({"provider": "custom", "host": "api.openai.com:443", "endpoint": "/x", "model": "gpt-4o"}, "gpt-4o"),
    ],
)
def test_the_model_that_answered_counts(fields: dict[str, str], as_if: str | None) -> None:
    expected = as_if and price(call(provider="openai", model=as_if, usage=GPT_4O))
    assert price(call(**fields, usage=GPT_4O)) == expected


def test_on_bedrock_the_region_is_in_the_model_that_was_asked_for() -> None:
    usage = '{"input_tokens": 1000, "output_tokens": 100}'
    row = call(provider="aws.bedrock", response_model="claude-sonnet-4-5-20250929", usage=usage)
    regional = price(replace(row, model="eu.anthropic.claude-sonnet-4-5-20250929-v1:0"))
    worldwide = price(replace(row, model="global.anthropic.claude-sonnet-4-5-20250929-v1:0"))
    assert regional == pytest.approx(1.1 * worldwide)  # type: ignore[operator] # both are known


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"provider": "openai", "model": "never-heard-of"}, notes.NO_PRICE),
        ({"provider": "openai"}, notes.NO_PRICE),
        (
            {"provider": "custom", "host": "localhost:4000", "endpoint": "/v1/chat/completions", "model": "gpt-4o"},
            notes.NO_PRICE,
        ),
        ({"provider": "ollama", "host": "localhost:11434", "model": "gpt-oss:20b"}, notes.NO_PRICE),
        ({"model": "gpt-4o"}, notes.NO_PRICE),
        ({"provider": "openai", "model": "whisper-1"}, notes.NO_PRICE),  # has a price, but none for tokens
        (KNOWN | {"usage": None}, notes.NO_USAGE),
        (KNOWN | {"usage": "{"}, notes.NO_USAGE),
        (KNOWN | {"usage": "[1]"}, notes.NO_USAGE),
        (KNOWN | {"usage": '{"prompt_tokens": -5, "completion_tokens": 1}'}, notes.CONTRADICTORY),
        (KNOWN | {"usage": '{"prompt_tokens": true, "completion_tokens": 1}'}, notes.CONTRADICTORY),
        (KNOWN | {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 120}, notes.CONTRADICTORY),
        (
            KNOWN
            | {"usage": '{"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}'},
            notes.CONTRADICTORY,
        ),
    ],
)
def test_what_is_not_known_has_no_cost_and_not_0_and_says_why(fields: dict[str, Any], note: str) -> None:
    assert cost_of(call(**{"usage": GPT_4O} | fields), OwnPrices()) == Cost(None, None, None, note)


_TEXTS = st.text(max_size=20) | st.sampled_from(
    ["gpt-4o", "claude" * 100, "models/" * 50, "\x1b[2J", "a/b", "ft:gpt-4o:x", "../..", "\0", "' OR 1=1 --"]
)
_NUMBERS = st.none() | st.integers(-(2**63), 2**63 - 1)
_COUNTS = st.integers() | st.floats() | st.none() | st.booleans() | st.text(max_size=3) | st.just(10**400)
_WORDS = """
    prompt_tokens completion_tokens input_tokens output_tokens inputTokens outputTokens billed_units promptTokenCount
    candidatesTokenCount promptTokensDetails input_token_details cache_read_input_tokens service_tier seconds speed
    input_tokens_by_modality total_input_tokens trafficType cached_tokens tokenCount modality
"""
_KEYS = st.sampled_from(_WORDS.split())
_SAID = st.dictionaries(
    _KEYS, st.recursive(_COUNTS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=3))
)


@given(
    provider=st.sampled_from(["openai", "anthropic", "gcp.gemini", "aws.bedrock", "cohere", "x_ai", "custom"]),
    models=st.tuples(_TEXTS, _TEXTS),
    host=_TEXTS,
    said=_SAID.map(json.dumps) | _TEXTS | st.just("[" * 100_000),
    counts=st.tuples(_NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS),
)
def test_whatever_stands_in_a_row_has_a_finite_cost_or_none(
    provider: str, models: tuple[str, str], host: str, said: str, counts: tuple[int | None, ...]
) -> None:
    prompt, completion, cached, written = counts
    row = call(
        provider=provider,
        model=models[0],
        response_model=models[1],
        host=host,
        endpoint=host,
        usage=said,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=written,
    )
    for one in (row, replace(row, model="gpt-4o"), replace(row, model="gemini-2.5-flash", timestamp=host)):
        found = price(one)
        assert found is None or 0 <= found < float("inf")


# --- no network, no weight


def test_pricing_never_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert price(call(**SONNET, **CACHED)) == ONCE
    assert not get_snapshot().from_auto_update


def test_the_proxys_process_never_imports_the_list() -> None:
    code = "import sys; from llm_metrics_proxy.addon import capture; "
    code += "from llm_metrics_proxy.recorder.commands import cli; "
    code += "from llm_metrics_proxy.recorder import recorder; print('genai_prices' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("digits", [13, 20, 400, 4000])
def test_an_absurd_usage_has_no_cost_instead_of_an_infinite_one(digits: int) -> None:
    said = f'{{"promptTokenCount":1{"0" * digits}}}'
    asked = call(
        provider="openai", model="gpt-5.5", host="api.openai.com:443", endpoint="/v1/chat/completions", usage=said
    )
    assert cost_of(asked, OwnPrices()) == Cost(None, None, None, notes.NO_USAGE)  # none that could be read
