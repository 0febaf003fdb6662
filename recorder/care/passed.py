"""Hosts that passed unread: which of them look like an LLM's, and how they are added.

Nothing is known of a connection that was not opened but its host's name. So this is a guess by words, for a person to
judge: hosts that the table of providers knows come first, or whose domain it knows, then those with a word of the
trade, then those with "api". Pages, telemetry and sign-in of providers come last.
"""

import re
import sqlite3
from datetime import datetime, timedelta
from typing import Final

import msgspec

from llm_metrics_proxy.addon.providers import hosts
from llm_metrics_proxy.recorder.store import account, timestamps

DAYS: Final = 7
_SHOWN: Final = 20
_KNOWN, _LIKELY, _PERHAPS, _NO = 3, 2, 1, 0

_LIKELY_WORDS: Final = re.compile(
    r"""
      agent|anthropic|assistant|azureml|bedrock|chatbot|chatgpt|claude|codex|cohere|completion|copilot|cursor|deepgram
    | deepseek|elevenlabs|embedding|gemini|genai|generative|groq|inference|litellm|llama|maas|mistral|model|ollama
    | openai|openrouter|qwen|replicate|rerank|sagemaker|stability|vertex|vllm|whisper
    | (?<![a-z0-9]) (?: ai|bot|chat|embed|fal|gpt|grok|infer|kimi|llm|llms|ml|router|speech|token|tts ) (?![a-z0-9])
    """,
    re.VERBOSE,
)
_PERHAPS_WORDS: Final = re.compile(r"(?<![a-z0-9])(?:apis?[0-9]*|gateway)(?![a-z0-9])")
_BESIDES: Final = re.compile(
    r"""
    (?<![a-z0-9])
    (?: ab|accounts|assets|auth|cdn|console|docs|downloads?|help|img|intake|login|logs|metrics|oauth|otel|platform
      | sentry|static|statsig|status|support|telemetry|updates|www
    ) (?![a-z0-9])
    """,
    re.VERBOSE,
)


class PassedHost(msgspec.Struct, frozen=True):
    """A host, with its connections of the last days."""

    host: str
    connections: int
    first_at: str
    last_at: str
    looks_like_llm: bool


class PassedUnread(msgspec.Struct, frozen=True):
    """The numbers of hosts and connections that passed unread in the last days, and the hosts that matter most."""

    days: int
    hosts: int
    connections: int
    top: tuple[PassedHost, ...]


def collect(connection: sqlite3.Connection, now: datetime) -> PassedUnread:
    """Read what passed in the last days; hosts that look like an LLM's come first."""
    found = account.tunnelled_hosts(connection, timestamps.bound(now - timedelta(days=DAYS - 1)))
    ranked = sorted(found, key=lambda one: (-rank(one.host), -one.connections, one.host))[:_SHOWN]
    return PassedUnread(
        days=DAYS,
        hosts=len(found),
        connections=sum(one.connections for one in found),
        top=tuple(
            PassedHost(one.host, one.connections, one.first_at, one.last_at, rank(one.host) >= _LIKELY)
            for one in ranked
        ),
    )


def rank(host: str) -> int:
    """Return how much a name looks like that of an LLM's API, from 3 to 0."""
    if hosts.find(host) is not None:
        return _KNOWN
    if _BESIDES.search(host):
        return _NO
    if hosts.is_near_a_provider(host):
        return _KNOWN
    if _LIKELY_WORDS.search(host):
        return _LIKELY
    return _PERHAPS if _PERHAPS_WORDS.search(host) else _NO


def advice(passed: PassedUnread) -> str | None:
    """Return how the first host that looks like an LLM's is recorded; None if there is none."""
    name = next((one.host for one in passed.top if one.looks_like_llm), None)
    return None if name is None else f"to record calls to it: --set 'metrics_hosts=^{re.escape(name)}$'"
