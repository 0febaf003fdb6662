"""The services and models of the made-up calls, as data: speeds, sizes and prices about as they were in early 2026."""

import enum
from dataclasses import dataclass

from tests.trials.bench.made_up.spread import Spread


class Wire(enum.Enum):
    """A wire format, as far as rows show which one it was."""

    CHAT = enum.auto()
    RESPONSES = enum.auto()
    EMBEDDINGS = enum.auto()
    MESSAGES = enum.auto()
    GEMINI = enum.auto()
    CONVERSE = enum.auto()
    OPENROUTER = enum.auto()
    VLLM = enum.auto()


class Thinking(enum.Enum):
    """The visible part of a model's reasoning."""

    NONE = enum.auto()
    HIDDEN = enum.auto()
    """Counted, not streamed: the first token comes after it."""
    SHOWN = enum.auto()
    """Streamed before the answer."""


@dataclass(frozen=True)
class Service:
    """An API of a provider; `{model}` in its paths stands for the model's name."""

    provider: str
    operation: str
    host: str
    plain: str
    streamed: str
    wire: Wire
    sdk: str
    event_bytes: int
    """Of one event of its streams."""
    words: tuple[str | None, str | None, str | None]
    """The finish reasons: complete, tool call, too long."""
    limits: tuple[int, int] | None = None
    """Requests and tokens of a minute, where it says how much is left of them."""


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    fresh: float
    cached: float
    written: float
    completion: float


@dataclass(frozen=True)
class Model:
    """A model. `price` None: nobody knows it."""

    name: str
    answers: str
    """What it calls itself in its answers."""
    service: Service
    first_ms: Spread
    """Until the first token, without waiting for the prompt to be read."""
    rate: Spread
    """Tokens a second."""
    tokens: Spread
    """Of an answer."""
    per_event: float
    """Tokens of one event of a stream."""
    price: Price | None
    thinking: Thinking = Thinking.NONE
    caches: bool = True
    """Some of the prompt may come from a cache."""
    names_itself: bool = True
    """The answer names a model."""


_CHAT_WORDS = ("stop", "tool_calls", "length")
_CLAUDE_WORDS = ("end_turn", "tool_use", "max_tokens")
_CHAT_PATH = "/v1/chat/completions"
_OPENAI = "api.openai.com:443"
_OPENAI_LIMITS = 9_999, 2_000_000

OPENAI_CHAT = Service(
    "openai", "chat", _OPENAI, _CHAT_PATH, _CHAT_PATH, Wire.CHAT, "openai", 330, _CHAT_WORDS, _OPENAI_LIMITS
)
OPENAI_RESPONSES = Service(
    "openai", "chat", _OPENAI, "/v1/responses", "/v1/responses", Wire.RESPONSES, "openai", 245,
    ("completed", "completed", "max_output_tokens"), _OPENAI_LIMITS,
)  # fmt: skip
OPENAI_EMBEDDINGS = Service(
    "openai", "embeddings", _OPENAI, "/v1/embeddings", "/v1/embeddings", Wire.EMBEDDINGS, "openai", 0,
    (None, None, None), (4_999, 5_000_000),
)  # fmt: skip
ANTHROPIC = Service(
    "anthropic", "chat", "api.anthropic.com:443", "/v1/messages", "/v1/messages", Wire.MESSAGES, "anthropic", 140,
    _CLAUDE_WORDS, (3_999, 4_800_000),
)  # fmt: skip
GEMINI = Service(
    "gcp.gemini", "generate_content", "generativelanguage.googleapis.com:443",
    "/v1beta/models/{model}:generateContent", "/v1beta/models/{model}:streamGenerateContent", Wire.GEMINI, "google",
    520, ("STOP", "STOP", "MAX_TOKENS"),
)  # fmt: skip
BEDROCK = Service(
    "aws.bedrock", "chat", "bedrock-runtime.eu-central-1.amazonaws.com:443",
    "/model/{model}/converse", "/model/{model}/converse-stream", Wire.CONVERSE, "boto", 210, _CLAUDE_WORDS,
)  # fmt: skip
OPENROUTER = Service(
    "openrouter", "chat", "openrouter.ai:443", "/api/v1/chat/completions", "/api/v1/chat/completions",
    Wire.OPENROUTER, "openai", 290, _CHAT_WORDS,
)  # fmt: skip
OWN = Service("custom", "chat", "10.20.3.15:8000", _CHAT_PATH, _CHAT_PATH, Wire.VLLM, "openai", 230, _CHAT_WORDS)

_MODELS = (
    Model(
        "gpt-5-mini", "gpt-5-mini-2025-08-07", OPENAI_CHAT, Spread(620, 0.45), Spread(110, 0.3), Spread(260, 0.8), 1.0,
        Price(0.25, 0.025, 0.25, 2.0), Thinking.HIDDEN,
    ),
    Model(
        "gpt-5", "gpt-5-2025-08-07", OPENAI_RESPONSES, Spread(900, 0.5), Spread(75, 0.35), Spread(420, 0.9), 1.0,
        Price(1.25, 0.125, 1.25, 10.0), Thinking.HIDDEN,
    ),
    Model(
        "gpt-4o", "gpt-4o-2024-08-06", OPENAI_CHAT, Spread(420, 0.5), Spread(85, 0.35), Spread(240, 0.9), 1.0,
        Price(2.5, 1.25, 2.5, 10.0),
    ),
    Model(
        "text-embedding-3-small", "text-embedding-3-small", OPENAI_EMBEDDINGS, Spread(120, 0.6), Spread(1e6, 0.1),
        Spread(1, 0.01), 1.0, Price(0.02, 0.02, 0.02, 0.0), caches=False,
    ),
    Model(
        "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", ANTHROPIC, Spread(1150, 0.45), Spread(68, 0.3),
        Spread(330, 1.0), 6.5, Price(3.0, 0.3, 3.75, 15.0), Thinking.SHOWN,
    ),
    Model(
        "claude-opus-4-5", "claude-opus-4-5-20251101", ANTHROPIC, Spread(1700, 0.45), Spread(52, 0.3),
        Spread(380, 1.0), 6.0, Price(5.0, 0.5, 6.25, 25.0), Thinking.SHOWN,
    ),
    Model(
        "claude-haiku-4-5", "claude-haiku-4-5-20251001", ANTHROPIC, Spread(560, 0.4), Spread(140, 0.3),
        Spread(150, 0.9), 8.0, Price(1.0, 0.1, 1.25, 5.0),
    ),
    Model(
        "gemini-2.5-flash", "gemini-2.5-flash", GEMINI, Spread(460, 0.5), Spread(190, 0.35), Spread(280, 0.8), 24.0,
        Price(0.3, 0.03, 0.3, 2.5), Thinking.HIDDEN,
    ),
    Model(
        "gemini-2.5-pro", "gemini-2.5-pro", GEMINI, Spread(1900, 0.5), Spread(95, 0.3), Spread(520, 0.8), 28.0,
        Price(1.25, 0.125, 1.25, 10.0), Thinking.HIDDEN,
    ),
    Model(
        "gemini-3-flash-preview", "gemini-3-flash-preview", GEMINI, Spread(640, 0.5), Spread(170, 0.35),
        Spread(300, 0.8), 22.0, Price(0.5, 0.05, 0.5, 3.0), Thinking.HIDDEN,
    ),
    Model(
        "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "", BEDROCK, Spread(1350, 0.45), Spread(60, 0.3),
        Spread(360, 0.9), 5.5, Price(3.3, 0.33, 4.125, 16.5), names_itself=False,
    ),
    Model(
        "eu.amazon.nova-lite-v1:0", "", BEDROCK, Spread(380, 0.4), Spread(150, 0.3), Spread(170, 0.8), 4.0,
        Price(0.07, 0.0175, 0.07, 0.28), caches=False, names_itself=False,
    ),
    Model(
        "deepseek/deepseek-chat-v3.1", "deepseek/deepseek-chat-v3.1", OPENROUTER, Spread(1400, 0.7),
        Spread(38, 0.5), Spread(310, 0.9), 1.2, Price(0.2, 0.02, 0.2, 0.8), Thinking.SHOWN,
    ),
    Model(
        "qwen/qwen3-235b-a22b-2507", "qwen/qwen3-235b-a22b-07-25", OPENROUTER, Spread(950, 0.7), Spread(55, 0.5),
        Spread(280, 0.9), 1.2, Price(0.09, 0.09, 0.09, 0.55), caches=False,
    ),
    Model(
        "acme-support-13b", "acme-support-13b", OWN, Spread(90, 0.5), Spread(62, 0.2), Spread(180, 0.7), 1.0, None,
        caches=False,
    ),
)  # fmt: skip
MODELS = {model.name: model for model in _MODELS}
