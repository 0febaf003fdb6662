"""Routes, requests, events, errors and usage of the wire formats, beyond what the recorded cases show."""

import json
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon import providers
from llm_metrics_proxy.addon.providers import match
from llm_metrics_proxy.addon.providers.anthropic_messages import MESSAGES
from llm_metrics_proxy.addon.providers.decode import Unparsed
from llm_metrics_proxy.addon.providers.errors import ProviderError, read_error
from llm_metrics_proxy.addon.providers.format import Answer, Output, WireFormat
from llm_metrics_proxy.addon.providers.hosts import provider_of
from llm_metrics_proxy.addon.providers.openai_chat import CHAT, COMPLETIONS
from llm_metrics_proxy.addon.providers.openai_embeddings import EMBEDDINGS
from llm_metrics_proxy.addon.providers.openai_responses import RESPONSES
from llm_metrics_proxy.addon.providers.quantities import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT
from llm_metrics_proxy.addon.providers.usage import Apart, UsageKeys, merge

_FORMATS = [  # named after the file and the variable that hold them
    pytest.param(wire_format, id=f"{module.removeprefix('llm_metrics_proxy.addon.providers.')}.{name}")
    for module, wire_formats in sorted(
        (module.__name__, vars(module)) for module in vars(providers).values() if isinstance(module, ModuleType)
    )
    for name, wire_format in wire_formats.items()
    if isinstance(wire_format, WireFormat) and name.isupper()
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
_WORDS = """
    type choices delta usage error message messages response content text model status finish_reason candidates parts
    done content_block interaction output_tokens prompt_tokens meta tokens bytes metadata input stream value x_groq code
"""
_LIKELY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "x", "response.completed", "message_start", "error"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_WORDS.split()), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("API.OpenAI.com", "openai"),
        ("api.openai.com.", "openai"),
        ("made-up.openai.azure.com", "azure.ai.openai"),
        ("made-up.cognitiveservices.azure.com", "azure.ai.openai"),
        ("made-up.services.ai.azure.com", "azure.ai.inference"),
        ("made-up.openai.azure.us", "azure.ai.openai"),
        ("claude.googleapis.com", "anthropic"),
        ("aws-external-anthropic.us-east-1.api.aws", "anthropic"),
        ("daily-cloudcode-pa.sandbox.googleapis.com", "gcp.gemini"),
        ("api.eu.mistral.ai", "mistral_ai"),
        ("api-inference.together.ai", "together"),
        ("us-api.together.xyz", "together"),
        ("copilot-proxy.githubusercontent.com", "github"),
        ("raw.githubusercontent.com", None),
        ("api.kimi.com", "moonshot_ai"),
        ("coding-intl.dashscope.aliyuncs.com", "alibaba"),
        ("ai.mongodb.com", "voyage"),
        ("api.meta.ai", "meta"),
        ("storage.googleapis.com", None),
        ("api.cloudflare.com", None),
        ("api.anthropic.com", "anthropic"),
        ("api.openai.com.evil.example", None),
        ("evil-api.openai.com.example", None),
        ("notapi-openai.com", None),
        ("platform.openai.com", None),
        ("openai.azure.com", None),
        ("console.anthropic.com", None),
        ("", None),
        ("127.0.0.1", None),
    ],
)
def test_a_host_is_a_provider_only_by_its_whole_name(host: str, provider: str | None) -> None:
    assert provider_of(host) == provider


@pytest.mark.parametrize(
    ("path", "wire_format", "model"),
    [
        ("/v1/chat/completions", CHAT, None),
        ("/chat/completions", CHAT, None),
        ("/v1/chat/completions/", CHAT, None),
        ("//openai//deployments/my-gpt/chat/completions", CHAT, "my-gpt"),
        ("/openai/deployments/my%20gpt/completions", COMPLETIONS, "my gpt"),
        ("/openai/deployments/e/embeddings", EMBEDDINGS, "e"),
        ("/openai/v1/responses", RESPONSES, None),
        ("/backend-api/codex/responses", RESPONSES, None),
        ("/v1/messages", MESSAGES, None),
        ("/anthropic/v1/messages", MESSAGES, None),
    ],
)
def test_a_path_tells_the_format_on_any_host(path: str, wire_format: WireFormat, model: str | None) -> None:
    for host in ("api.openai.com", "llm.example"):
        route = match(host, 443, path)
        assert route is not None
        assert (route.speaks, route.model) == (wire_format, model)
        assert route.known_host is (host == "api.openai.com")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models", "/v1/messages/count_tokens", "/v1/messages/batches", "/v1/batches", "/v1/files",
        "/v1/chat/completions/chatcmpl-1", "/v1/responses/resp_1/cancel", "/v1/responses/input_tokens",
        "/v1/threads/thread_1/messages", "/v1/mychat/completions.json", "/", "",
    ],
)  # fmt: skip
def test_what_is_no_call_of_a_model_has_no_route(path: str) -> None:
    assert match("api.openai.com", 443, path) is None


_BODIES = {
    "/v1/chat/completions": b'{"model":"m","messages":[{"content":"%s"}],"user":"%s","seed":%s,"stream":true}',
    "/v1/completions": b'{"model":"m","prompt":"%s","user":"%s","seed":%s,"stream":true}',
    "/v1/responses": b'{"model":"m","input":[{"content":"%s"}],"user":"%s","seed":%s,"stream":true}',
    "/v1/messages": b'{"model":"m","messages":[{"content":"%s"}],"user":"%s","seed":%s,"stream":true}',
    "/v1/embeddings": b'{"model":"m","input":["%s"],"user":"%s","seed":%s}',
}


@pytest.mark.parametrize("number", [b"1", b"NaN", b"-Infinity", b"9" * 30])
@pytest.mark.parametrize("text", [b"a", b"\\ud83d", b"\\ud83d\\ude00"])
@pytest.mark.parametrize("path", _BODIES)
def test_a_request_is_read_whatever_texts_and_numbers_it_holds(path: str, text: bytes, number: bytes) -> None:
    route = match("llm.example", 443, path)
    assert route is not None
    request = route.speaks.request(_BODIES[path] % (text, text, number))
    assert request.recognised
    assert request.model == "m"
    assert request.is_streaming is (path != "/v1/embeddings")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_completion_tokens": 5, "max_tokens": 9}, {"max_tokens": 5}),
        ({"max_completion_tokens": None, "max_tokens": 9.0}, {"max_tokens": 9}),
        (
            {"max_tokens": "9", "temperature": "hot", "top_p": True},
            {"max_tokens": None, "temperature": None, "top_p": None},
        ),
        ({"max_tokens": 10**30, "temperature": 1}, {"max_tokens": None, "temperature": 1.0}),
        ({"stream": "true"}, {"is_streaming": False}),
        ({"stream": 1}, {"is_streaming": False}),
        ({"model": "x" * 300}, {"model": "x" * 256}),
        ({"model": 5}, {"model": None, "recognised": True}),
        ({"messages": []}, {"message_count": 0, "recognised": True}),
        ({"messages": {"a": 1}}, {"message_count": None, "recognised": False}),
        ({"messages": None}, {"message_count": None, "recognised": False}),
    ],
)
def test_odd_fields_of_a_request_are_unknown(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = CHAT.request(json.dumps({"model": "m", "messages": [{}]} | fields).encode())
    assert {name: getattr(request, name) for name in expected} == expected


def _delta(**fields: object) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": fields}]}).encode()


@pytest.mark.parametrize(
    ("data", "output"),
    [
        (_delta(role="assistant", content=""), Output.NONE),
        (_delta(content=None, refusal=None, tool_calls=None, audio=None), Output.NONE),
        (_delta(content=" "), Output.ANSWER),
        (_delta(refusal="No"), Output.ANSWER),
        (_delta(function_call={"name": "f", "arguments": ""}), Output.ANSWER),
        (_delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}]), Output.ANSWER),
        (_delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]), Output.ANSWER),
        (_delta(tool_calls=[{"index": 0, "function": {"arguments": ""}}]), Output.NONE),
        (_delta(tool_calls=[]), Output.NONE),
        (_delta(function_call={"arguments": ""}), Output.NONE),
        (_delta(audio={"id": "a", "data": "AAAA"}), Output.ANSWER),
        (_delta(audio={"id": "a", "transcript": ""}), Output.NONE),
        (_delta(reasoning_content="Hm"), Output.REASONING),
        (_delta(reasoning="Hm", content=""), Output.REASONING),
        (_delta(reasoning="Hm", content="Rhine"), Output.ANSWER),
        (b'{"choices":[],"usage":{"prompt_tokens":1}}', Output.NONE),
        (b'{"choices":null}', Output.NONE),
    ],
)
def test_a_chunk_has_output_only_if_the_model_generated_something(data: bytes, output: Output) -> None:
    assert CHAT.event(b"", data, Answer()) is output


@pytest.mark.parametrize("wire_format", _FORMATS)
@given(value=_LIKELY | _JSON, name=st.sampled_from([b"", b"error", b"chunk", b"metadata", b"exception x"]))
def test_any_json_is_read_or_unparsed(wire_format: WireFormat, value: object, name: bytes) -> None:
    body, answer = json.dumps(value).encode(), Answer()
    for read in (
        lambda: wire_format.request(body),
        lambda: wire_format.whole(body, answer),
        lambda: wire_format.event(name, body, answer),
    ):
        with suppress(Unparsed):
            read()
    wire_format.usage_keys.read(answer.usage)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"nul", b"[" * 5000, b'{"a":' * 5000, b"<html>", b"\x00" * 9])
@pytest.mark.parametrize("wire_format", _FORMATS)
def test_what_is_no_json_is_unparsed_and_nothing_else(wire_format: WireFormat, body: bytes) -> None:
    for read in (wire_format.request, lambda data: wire_format.event(b"", data, Answer())):
        with suppress(Unparsed):
            read(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"type": "t", "code": "c", "message": "m"}}, ProviderError("t", "c", "m")),
        ({"error": {"type": None, "code": "c", "message": "m"}}, ProviderError("c", "c", "m")),
        ({"error": {"code": 402, "message": "m"}}, ProviderError(None, "402", "m")),
        ({"error": {"code": 403, "message": "m", "status": "DENIED"}}, ProviderError("DENIED", "403", "m")),
        ([{"error": {"code": 403, "message": "m", "status": "DENIED"}}], ProviderError("DENIED", "403", "m")),
        ({"error": "m"}, ProviderError(None, None, "m")),
        ({"type": "error", "error": {"type": "t", "message": "m"}}, ProviderError("t", None, "m")),
        ({"object": "error", "message": "m", "type": "t", "code": 400}, ProviderError("t", "400", "m")),
        ({"message": "m"}, ProviderError(None, None, "m")),
        ({"detail": "m"}, ProviderError(None, None, "m")),
        ({"detail": [{"msg": "a", "input": "secret"}, {"msg": "b"}]}, ProviderError(None, None, "a; b")),
        ({"error": {}}, None),
        ({"id": "1", "choices": []}, None),
        ([], None),
        ("text", None),
    ],
)  # fmt: skip
def test_an_error_is_read_from_any_providers_body(body: object, expected: ProviderError | None) -> None:
    assert read_error(json.dumps(body).encode()) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"null"])
def test_a_body_without_an_error_has_none(body: bytes) -> None:
    assert read_error(body) is None


_USAGE = st.recursive(
    st.none() | st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
).filter(lambda value: isinstance(value, dict))


@given(known=_USAGE, reported=_USAGE)
def test_reporting_the_same_usage_again_changes_nothing(known: Any, reported: Any) -> None:  # noqa: ANN401
    before = json.dumps(known)
    once = merge(known, reported)
    assert merge(once, reported) == once
    assert merge(once, {}) == merge(once, None) == once
    assert json.dumps(known) == before


@pytest.mark.parametrize(
    ("known", "reported", "merged"),
    [
        ({"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": 2}),
        ({"a": 1}, {"a": None, "b": None}, {"a": 1, "b": None}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": {"x": 1}}),
        ({"a": 5, "b": 0}, {"a": 0, "b": 0}, {"a": 5, "b": 0}),
        ({"a": {"x": 5, "y": 0}}, {"a": {"x": 0, "y": 1}}, {"a": {"x": 5, "y": 1}}),
        ({"a": [{"x": 5}], "b": "text"}, {"a": [], "b": ""}, {"a": [{"x": 5}], "b": "text"}),
        ({"a": None}, {"a": 0}, {"a": 0}),
        ({"a": 5}, "text", {"a": 5}),
    ],
)
def test_the_last_value_that_says_something_wins(known: Any, reported: Any, merged: Any) -> None:  # noqa: ANN401
    assert merge(known, reported) == merged


@pytest.mark.parametrize(
    ("usage", "prompt", "total"),
    [
        ({"i": 5, "r": 100, "w": 10, "o": 2}, 115, 117),
        ({"i": 5, "o": 2}, 5, 7),
        ({"i": 0, "r": 100, "o": 0}, 100, 100),
        ({"r": 100, "o": 2}, None, None),
        ({"i": 5.0, "r": "x", "o": True}, 5, None),
        ({"i": -1, "o": 2}, None, None),
        ({"i": 2**70, "o": 2}, None, None),
        ({}, None, None),
    ],
)
def test_counts_are_summed_by_the_table_of_keys(
    usage: dict[str, object], prompt: int | None, total: int | None
) -> None:
    keys = UsageKeys({"i": INPUT, "r": Apart(CACHE_READ, INPUT), "w": Apart(CACHE_WRITE, INPUT), "o": OUTPUT})
    tokens = keys.read(usage).tokens
    assert (tokens.prompt_tokens, tokens.total_tokens) == (prompt, total)


def test_a_host_with_other_traffic_has_a_name_but_is_not_opened() -> None:
    host = "account.snowflakecomputing.com"
    route = match(host, 443, "/api/v2/cortex/v1/chat/completions")
    assert provider_of(host) is None
    assert route is not None
    assert (route.provider, route.known_host) == ("snowflake", False)
