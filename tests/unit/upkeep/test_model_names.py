"""Two names of one model are no substitution, whoever spells them; another model is one, however alike they look."""

from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.prices import price_file
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.upkeep.answers.names import are_one

AT = "2026-12-01T00:00:00.000Z"

ONE = [
    ("openai", "gpt-4o", "gpt-4o-2024-08-06"),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
    ("openai", "gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
    ("openai", "gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct:20230824-v2"),
    ("openai", "text-embedding-ada-002", "text-embedding-ada-002-v2"),
    ("openai", "gpt-4-turbo-preview", "gpt-4-0125-preview"),
    ("openai", "gpt-5.6", "gpt-5.6-sol"),
    ("openai", "GPT-4o", "gpt-4o-2024-08-06"),
    ("openai", "ft:gpt-4o-2024-08-06:acme::abc", "ft:gpt-4o-2024-08-06:acme::abc"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-sonnet-4-0", "claude-sonnet-4-20250514"),
    ("anthropic", "claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
    ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929"),
    ("gcp.vertex_ai", "claude-opus-4-5@latest", "claude-opus-4-5-20251101"),
    ("gcp.vertex_ai", "google/gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro"),
    ("gcp.gemini", "gemini-flash-latest", "gemini-3.6-flash"),
    ("gcp.gemini", "models/gemini-2.5-flash", "gemini-2.5-flash-preview-05-20"),
    ("gcp.gemini", "gemini-2.5-flash-lite-preview-09-2025", "gemini-2.5-flash-lite"),
    ("gcp.gemini", "gemini-2.0-flash", "gemini-2.0-flash-001"),
    ("aws.bedrock", "us.anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3-5-sonnet-20240620"),
    ("aws.bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022"),
    ("aws.bedrock", "global.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5-20251101"),
    ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:inference-profile/eu.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
    ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "claude-opus-4-5-20251101"),
    ("openrouter", "anthropic/claude-sonnet-4.5", "anthropic/claude-4.5-sonnet-20250929"),
    ("openrouter", "openai/text-embedding-3-small", "text-embedding-3-small"),
    ("openrouter", "deepseek/deepseek-r1:free", "deepseek/deepseek-r1"),
    ("openrouter", "deepseek/deepseek-r1", "deepseek/deepseek-r1-0528"),
    ("openrouter", "openrouter/auto", "openai/gpt-5-mini"),
    ("openrouter", "@preset/support", "openai/gpt-5-mini"),
    ("cerebras", "llama3.3-70b", "llama-3.3-70b"),
    ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:cerebras", "llama-3.3-70b"),
    ("together", "meta-llama/Meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct-FP8"),
    ("mistral_ai", "mistral-large-latest", "mistral-large-2411"),
    ("mistral_ai", "mistral-small", "mistral-small-2503"),
    ("cohere", "command-r", "command-r-08-2024"),
    ("deepseek", "deepseek-chat", "deepseek-v4-flash"),
    ("azure.ai.openai", "prod-chat", "gpt-4.1-mini-2025-04-14"),
    ("azure.ai.openai", "gpt-4o", "gpt-4o-2024-11-20"),
    ("azure.ai.openai", "model-router", "gpt-5-nano-2025-08-07"),
    ("", "our-best-model", "gpt-4o-2024-11-20"),  # a name that a gateway gives
    ("ollama", "llama3.2", "llama3.2:latest"),
    ("openai", "preview", "latest"),
    ("", "💥" * 1_000, "x"),
]
OTHER = [
    ("openai", "gpt-4o", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-4", "gpt-4.1"),
    ("openai", "gpt-4", "gpt-4-32k-0613"),
    ("openai", "gpt-5", "gpt-5-mini"),
    ("openai", "gpt-5-codex", "gpt-5"),  # at the same price
    ("openai", "gpt-5-chat-latest", "gpt-5-mini"),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-05-13"),  # the one was asked for
    ("openai", "gpt-3.5-turbo-0125", "gpt-3.5-turbo-1106"),
    ("openai", "gpt-9", "gpt-8"),  # in no list yet
    ("anthropic", "claude-opus-4-5", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-opus-4-5", "claude-opus-4-1-20250805"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-20250514"),
    ("gcp.gemini", "gemini-2.5-pro", "gemini-2.5-flash"),
    ("gcp.gemini", "gemini-2.0-flash", "gemini-2.5-flash"),
    ("gcp.gemini", "gemini-flash-latest", "gemini-2.5-pro"),
    ("gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash-lite"),
    ("aws.bedrock", "us.anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3-5-haiku-20241022"),
    ("openrouter", "anthropic/claude-opus-4.5", "anthropic/claude-4.5-sonnet-20250929"),
    ("openrouter", "meta-llama/llama-3.3-70b-instruct", "meta-llama/llama-3.1-8b-instruct"),
    ("deepseek", "deepseek-chat", "deepseek-coder"),
    ("mistral_ai", "mistral-large-latest", "mistral-small-2503"),
    ("mistral_ai", "mistral-small-2501", "mistral-small-2503"),
    ("azure.ai.openai", "gpt-4o", "gpt-4o-mini-2024-07-18"),  # a deployment with the name of a model
    ("", "gpt-4o", "qwen2.5-7b-instruct"),
    ("ollama", "llama3:70b", "llama3:8b"),
]


@pytest.mark.parametrize(("provider", "asked", "answered"), ONE)
def test_names_of_one_model(provider: str, asked: str, answered: str) -> None:
    assert are_one(provider, asked, answered, OwnPrices(), AT)


@pytest.mark.parametrize(("provider", "asked", "answered"), OTHER)
def test_names_of_two_models(provider: str, asked: str, answered: str) -> None:
    assert not are_one(provider, asked, answered, OwnPrices(), AT)


def test_an_alias_says_which_model_a_deployment_is(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[[alias]]\nmodel = "prod-*"\nprovider = "azure.ai.openai"\nas = "gpt-5.5"\n')
    own = price_file.load(file, tmp_path / "metrics.db")
    assert are_one("azure.ai.openai", "prod-chat", "gpt-5.5-2026-04-23", own, AT)
    assert not are_one("azure.ai.openai", "prod-chat", "gpt-4o-mini-2024-07-18", own, AT)
    assert are_one("azure.ai.openai", "test-chat", "gpt-4o-mini-2024-07-18", own, AT)  # of which nobody knows


def test_an_alias_makes_two_names_one(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[[alias]]\nmodel = "gpt-4o"\nas = "llama-3.3-70b"\nlist = "groq"\n')
    own = price_file.load(file, tmp_path / "metrics.db")
    assert are_one("", "gpt-4o", "Llama-3.3-70B-Instruct.Q4_K_M.gguf", own, AT)
    assert not are_one("", "gpt-4o", "qwen2.5-7b-instruct", own, AT)
