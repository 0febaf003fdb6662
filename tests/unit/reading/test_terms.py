"""The region whose prices hold, and who pays, as far as a call's address and key tell."""

import json

import pytest

from llm_metrics_proxy.addon.providers.hosts import name_of
from llm_metrics_proxy.addon.providers.terms import billing_of, key_in, region_of
from llm_metrics_proxy.addon.providers.usage import cost_in, tier_of
from tests.unit.reading.test_conformance import _at_once, _Case


@pytest.mark.parametrize(
    ("host", "path", "region"),
    [
        ("api.openai.com", "/v1/responses", None),
        ("eu.api.openai.com", "/v1/responses", "eu"),
        ("US.api.openai.com", "/v1/responses", "us"),
        ("mtls-eu.api.openai.com", "/v1/responses", "eu"),
        ("mtls.api.openai.com", "/v1/responses", None),
        ("us-api.together.xyz", "/v1/chat/completions", "us"),
        ("api.together.ai", "/v1/chat/completions", None),
        ("api.eu.mistral.ai", "/v1/chat/completions", "eu"),
        ("codestral.mistral.ai", "/v1/fim/completions", None),
        ("us-east5-aiplatform.googleapis.com", "/v1/projects/p/locations/us-east5/publishers/anthropic", "us-east5"),
        ("aiplatform.eu.rep.googleapis.com", "/v1/projects/p/locations/eu/publishers/anthropic", "eu"),
        ("aiplatform.googleapis.com", "/v1/projects/p/locations/us-central1/publishers/google", "us-central1"),
        ("aiplatform.googleapis.com", "/v1/projects/p/locations/global/publishers/google", None),
        ("claude.googleapis.com", "/v1/projects/p/locations/us/workspaces/w/invoke/v1/messages", "us"),
        ("gateway.example", "/v1/projects/p/locations/us/publishers/google", None),
        ("bedrock-runtime.eu-central-1.amazonaws.com", "/model/m/converse", None),
    ],
)
def test_a_region_is_named_where_prices_depend_on_it(host: str, path: str, region: str | None) -> None:
    assert region_of(host, path) == region


ANTHROPIC, CHAT = "api.anthropic.com", "/v1/chat/completions"


def billing(host: str, path: str = CHAT, *, model: str = "m", query: str = "", **headers: str) -> str | None:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    name, _, port = host.partition(":")
    return billing_of(
        provider=name_of(name, int(port or 443)),
        host=name,
        path=path,
        query=query,
        key=key_in(sent),
        models=(model, None),
    )


def test_a_plan_is_known_by_its_address_or_by_its_key() -> None:
    assert billing(ANTHROPIC, "/v1/messages", authorization="Bearer sk-ant-oat01-x") == "subscription"
    assert billing(ANTHROPIC, "/v1/messages", x_api_key="sk-ant-oat01-x") == "subscription"
    assert billing("api.minimax.io", authorization="Bearer sk-cp-x") == "subscription"
    for address in (
        "chatgpt.com/backend-api/codex/responses",
        "cloudcode-pa.googleapis.com/v1internal:generateContent",
        "daily-cloudcode-pa.sandbox.googleapis.com/v1internal:generateContent",
        "api.githubcopilot.com/chat/completions",
        "api.business.githubcopilot.com/chat/completions",
        "api.z.ai/api/coding/paas/v4/chat/completions",
        "ark.cn-beijing.volces.com/api/coding/v3/chat/completions",
        "api.kimi.com/coding/v1/messages",
        "coding-intl.dashscope.aliyuncs.com/v1/chat/completions",
        "token-plan.cn-beijing.maas.aliyuncs.com/compatible-mode/v1/chat/completions",
        "token-plan-sgp.xiaomimimo.com/anthropic/v1/messages",
        "api.lkeap.cloud.tencent.com/plan/v3/chat/completions",
        "api.stepfun.ai/step_plan/v1/chat/completions",
        "gov.chatgpt.com/backend-api/codex/responses",
        "copilot-api.acme.ghe.com/chat/completions",
        "cli-chat-proxy.grok.com/v1/responses",
        "opencode.ai/zen/go/v1/chat/completions",
        "ollama.com/api/chat",
    ):
        host, _, path = address.partition("/")
        assert billing(host, "/" + path, authorization="Bearer key") == "subscription", address
    assert billing("chatgpt.com.example", "/backend-api/codex/responses", authorization="Bearer key") is None


def test_a_key_pays_by_use_in_whatever_header_it_is() -> None:
    assert billing(ANTHROPIC, "/v1/messages", x_api_key="sk-ant-api03-x") == "api_key"
    assert billing("api.openai.com", authorization="Bearer sk-proj-x") == "api_key"
    assert billing("made-up.openai.azure.com", api_key="0123") == "api_key"
    assert billing("generativelanguage.googleapis.com", x_goog_api_key="AIza") == "api_key"
    assert billing("generativelanguage.googleapis.com", query="alt=sse&key=AIza") == "api_key"
    assert billing("api.openai.com", sec_websocket_protocol="realtime, openai-insecure-api-key.ek_x") == "api_key"
    assert billing("opencode.ai", "/zen/v1/chat/completions", authorization="Bearer x") == "api_key"
    assert billing("api.openai.com") is None
    assert billing("gateway.example", authorization="Bearer x") is None, "nobody knows whom the gateway pays"


def test_what_nobody_pays_is_free() -> None:
    assert billing("openrouter.ai", model="qwen/qwen3-32b:free", authorization="Bearer x") == "free"
    assert billing("openrouter.ai", model="qwen/qwen3-32b", authorization="Bearer x") == "api_key"
    assert billing("opencode.ai", "/zen/v1/chat/completions", model="grok-code-free") == "free"
    assert billing("127.0.0.1:11434", "/api/chat", model="gpt-oss:20b") == "free"
    assert billing("127.0.0.1:11434", "/api/chat", model="gpt-oss:120b-cloud") == "subscription"
    assert billing("127.0.0.1:4000", authorization="Bearer x") is None, "it may be a gateway"


@pytest.mark.parametrize("key", ["sk-ant-oat01-0123456789abcdef", "sk-ant-api03-0123456789abcdef"])
def test_the_key_that_tells_who_pays_is_in_no_column(key: str) -> None:
    case = _Case("anthropic/messages_plain_login")
    case.request.headers["authorization"] = f"Bearer {key}"
    row, _ = case.run("identity", [case.request.body], _at_once(case, "identity"))
    assert row.billing in ("subscription", "api_key")
    assert "0123456789abcdef" not in json.dumps([getattr(row, name) for name in row.__struct_fields__])


@pytest.mark.parametrize(
    ("said", "tier"),
    [
        (["flex"], "flex"),
        (["auto"], None),
        ([None, "default"], "default"),
        (["standard", "fast"], "fast"),
        (["fast", "standard"], "fast"),
        (["ON_DEMAND", "PROVISIONED_THROUGHPUT"], "PROVISIONED_THROUGHPUT"),
        (["on_demand", "standard"], "on_demand"),
        ([5, {"type": "flex"}, "a text, in which a prompt is quoted"], None),
    ],
)
def test_the_tier_is_the_first_word_that_is_special(said: list[object], tier: str | None) -> None:
    assert tier_of(*said) == tier


def test_with_an_own_key_the_cost_is_the_fee_and_what_the_provider_bills() -> None:
    usage = {"cost": 0.25, "cost_details": {"upstream_inference_cost": 1.0}}
    assert cost_in(usage) == 0.25
    assert cost_in(usage | {"is_byok": False}) == 0.25
    assert cost_in(usage | {"is_byok": True}) == 1.25
    assert cost_in(usage | {"is_byok": True, "cost_details": {}}) is None
