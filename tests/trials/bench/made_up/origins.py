"""Callers, as data: twenty programs of one company, from the busiest down, each with its habits."""

from dataclasses import dataclass

from tests.trials.bench.made_up.spread import Spread

_ANY: tuple[float | None, ...] = (None,)


@dataclass(frozen=True)
class Origin:
    """A program. Its models stand in the order of use: each is asked half as often as the one before."""

    name: str
    models: tuple[str, ...]
    streamed: float
    """The share of its calls that ask for a stream."""
    prompt: Spread
    """Tokens of a prompt; of what is added with each call, where there are sessions."""
    language: int = 0
    """Which of an SDK's user agents it has."""
    user_agent: str | None = None
    """Its own, instead of an SDK's."""
    http_version: str = "1.1"
    clients: int = 2
    """How many machines it runs on."""
    messages: tuple[int, ...] = (2,)
    session: float = 0
    """Calls of a session, on average; 0: it names none."""
    trace: float = 0
    """Calls of a trace, on average; 0: it has no tracing."""
    tools: float = 0.0
    """The share of its answers that call a tool."""
    temperature: tuple[float | None, ...] = _ANY
    top_p: tuple[float | None, ...] = _ANY
    max_tokens: tuple[int | None, ...] = (None,)
    counts: bool = True
    """It asks OpenAI-style streams for their usage."""


_CODEX = "codex_cli_rs/0.63.0 (Ubuntu 24.4.0; x86_64) xterm-256color"
_CLAUDE_CODE = "claude-cli/2.0.55 (external, cli)"

ORIGINS = (
    Origin(
        "support-bot", ("gpt-5-mini", "claude-haiku-4-5", "gpt-4o", "acme-support-13b"), 0.9, Spread(1900, 0.7),
        clients=6, messages=(2, 2, 3, 4, 5, 6, 8, 11), trace=1.8, tools=0.22, temperature=(0.2, 0.2, None),
        max_tokens=(800, 800, 1200),
    ),
    Origin(
        "claude-code", ("claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5"), 1.0, Spread(1100, 1.0),
        user_agent=_CLAUDE_CODE, clients=24, session=38, tools=0.78, temperature=(1.0,), max_tokens=(32000,),
    ),
    Origin(
        "doc-search", ("text-embedding-3-small", "gemini-2.5-flash"), 0.55, Spread(900, 0.8), clients=3,
        messages=(1, 1, 3), trace=3.0, temperature=(0.0,), max_tokens=(1024,),
    ),
    Origin(
        "etl-nightly", ("gpt-4o", "eu.amazon.nova-lite-v1:0", "gemini-2.5-flash"), 0.0, Spread(2600, 0.8), language=1,
        clients=4, temperature=(0.0,), max_tokens=(2000,),
    ),
    Origin(
        "codex", ("gpt-5", "gpt-5-mini"), 1.0, Spread(900, 1.0), user_agent=_CODEX, http_version="2", clients=15,
        session=30, tools=0.7,
    ),
    Origin(
        "billing", ("gpt-5-mini", "gpt-4o"), 0.15, Spread(700, 0.6), trace=2.5, tools=0.1, temperature=(0.0, None),
        max_tokens=(400, 600),
    ),
    Origin(
        "web-chat", ("deepseek/deepseek-chat-v3.1", "qwen/qwen3-235b-a22b-2507"), 0.97, Spread(1300, 0.9), language=2,
        clients=4, messages=(2, 4, 6, 6, 8, 10, 14, 20), session=7, temperature=(0.7, 0.7, 0.9),
        top_p=(0.95, None), max_tokens=(None, 2048),
    ),
    Origin(
        "translation", ("gemini-2.5-flash", "gemini-3-flash-preview", "acme-support-13b"), 0.3, Spread(800, 0.7),
        temperature=(0.1,), top_p=(0.9, 0.95), max_tokens=(4096,), messages=(1,), counts=False,
    ),
    Origin(
        "code-review", ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0",), 0.7, Spread(9000, 0.8), trace=4.0,
        messages=(1, 3, 5), tools=0.35, temperature=(0.2,), max_tokens=(4096, 8192),
    ),
    Origin(
        "sales-assistant", ("gpt-4o", "gpt-5-mini"), 0.9, Spread(2200, 0.7), language=2, messages=(3, 5, 7, 9),
        trace=1.5, tools=0.3, temperature=(0.7, 1.0), top_p=(None, None, 0.9), max_tokens=(1000,), counts=False,
    ),
    Origin(
        "meeting-notes", ("claude-sonnet-4-5", "gemini-2.5-pro"), 0.5, Spread(14000, 0.7), messages=(1,),
        temperature=(0.3,), max_tokens=(4000,),
    ),
    Origin(
        "fraud-check", ("acme-support-13b", "eu.amazon.nova-lite-v1:0"), 0.1, Spread(600, 0.5), language=1,
        clients=3, trace=2.0, temperature=(0.0,), max_tokens=(64, 128),
    ),
    Origin(
        "analytics", ("gpt-5", "gemini-2.5-pro"), 0.6, Spread(5200, 0.8), messages=(2, 4, 6), trace=3.5, tools=0.55,
        max_tokens=(None, 16000),
    ),
    Origin(
        "mobile-app", ("gemini-3-flash-preview", "gemini-2.5-flash"), 0.95, Spread(600, 0.8), language=2, clients=5,
        http_version="2", messages=(1, 3, 5, 7, 9), session=5, temperature=(0.8, None), top_p=(0.95,),
        max_tokens=(1024,),
    ),
    Origin(
        "onboarding", ("claude-haiku-4-5", "claude-sonnet-4-5"), 0.85, Spread(1700, 0.6), language=2,
        messages=(1, 3, 5), tools=0.25, temperature=(0.5,), top_p=(None, 0.8), max_tokens=(1024,),
    ),
    Origin(
        "legal-review", ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "gpt-5"), 0.4, Spread(22000, 0.6),
        language=1, messages=(1, 3), temperature=(0.0,), max_tokens=(8000,),
    ),
    Origin(
        "moderation", ("eu.amazon.nova-lite-v1:0", "gpt-5-mini"), 0.0, Spread(420, 0.5), temperature=(0.0,),
        max_tokens=(16, 32), messages=(2,), clients=3,
    ),
    Origin(
        "intranet-search", ("text-embedding-3-small", "gpt-4o"), 0.8, Spread(1500, 0.7), trace=2.5, messages=(2, 4),
        temperature=(0.1,), max_tokens=(900,),
    ),
    Origin(
        "research-agent", ("gpt-5", "deepseek/deepseek-chat-v3.1", "claude-opus-4-5"), 0.9, Spread(2400, 0.9),
        session=18, trace=9.0, tools=0.75, max_tokens=(16000,), clients=1,
    ),
    Origin(
        "data-science", ("qwen/qwen3-235b-a22b-2507", "gpt-4o", "gemini-2.5-pro"), 0.5, Spread(1200, 1.0), clients=8,
        messages=(1, 2, 2, 4), temperature=(None, 0.0, 0.7), counts=False,
    ),
)  # fmt: skip

_BOTO = (
    "Boto3/{0} md/Botocore#{0} ua/2.1 os/linux#{1} md/arch#{2} lang/python#{3} md/pyimpl#CPython "
    "cfg/retry-mode#standard Botocore/{0}"
)
USER_AGENTS = {
    "openai": ("OpenAI/Python 2.8.1", "AsyncOpenAI/Python 2.6.1", "OpenAI/JS 6.9.1"),
    "anthropic": ("Anthropic/Python 0.74.1", "AsyncAnthropic/Python 0.72.0", "Anthropic/JS 0.70.1"),
    "google": (
        "google-genai-sdk/1.52.0 gl-python/3.12.6", "google-genai-sdk/1.46.0 gl-python/3.13.3",
        "google-genai-sdk/1.30.0 gl-node/v22.11.0",
    ),
    "boto": (
        _BOTO.format("1.41.5", "6.8.0-1031-aws", "x86_64", "3.12.11"),
        _BOTO.format("1.38.26", "6.1.0-1034-oem", "arm64", "3.11.9"),
        "aws-sdk-js/3.948.0 ua/2.1 os/linux#6.1.0 lang/js md/nodejs#22.11.0 api/bedrock-runtime#3.948.0 m/E",
    ),
}  # fmt: skip
"""By SDK, and then by language."""

COUNTS_RETRIES = ("openai", "anthropic")
"""SDKs that say which attempt a request is."""

AGENTS = {
    _CLAUDE_CODE: {"agent": "claude-code", "agent_version": "2.0.55", "request_kind": "main"},
    _CODEX: {"agent": "codex", "agent_version": "0.63.0", "request_kind": "main"},
}
"""What rows say of agents, by their user agents."""

LABELS = {
    "support-bot": '{"team":"support","env":"prod"}',
    "billing": '{"team":"finance","env":"prod"}',
    "doc-search": '{"team":"search","env":"prod"}',
    "intranet-search": '{"team":"search","env":"staging"}',
}
"""By origin."""
