"""Failures of calls, as data: the words of each provider, accidents on the way, and how often each happens."""

import enum
from dataclasses import dataclass

from tests.trials.bench.made_up.catalogue import Wire
from tests.trials.bench.made_up.spread import Spread, lot


class Stage(enum.Enum):
    """The progress of a call when it failed."""

    UNREACHED = enum.auto()
    """There was no connection: no request was seen."""
    WAITING = enum.auto()
    """There was no answer yet, and none came."""
    REFUSED = enum.auto()
    """The answer is an error."""
    CUT = enum.auto()
    """Output had come, and its end did not."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail; `weight` says how often, of 100 failures or so."""

    weight: float
    stage: Stage
    error_type: str
    status: int
    after_ms: Spread
    """Until the failure; of those that were CUT, the stream tells."""
    code: str | None = None
    message: str | None = None
    """`{model}` stands for the model's name, `{wait}` for `retry_after_ms`, `{number}` for four digits."""
    retry_after_ms: tuple[int, ...] = ()
    retried: bool = False


_AT_ONCE = Spread(160, 0.5)
_LATER = Spread(4_000, 0.9)
_NEVER = Spread(1, 0.1)

_ON_THE_WAY = (
    Failure(15, Stage.CUT, "client_disconnect", 200, _NEVER),
    Failure(5, Stage.WAITING, "client_disconnect", 499, Spread(9_000, 0.8)),
    Failure(3, Stage.WAITING, "timeout", 502, Spread(60_000, 0.02), retried=True),
    Failure(5, Stage.CUT, "stream_truncated", 200, _NEVER),
    Failure(2, Stage.CUT, "upstream_disconnect", 200, _NEVER),
    Failure(1.5, Stage.WAITING, "upstream_disconnect", 502, Spread(8_000, 1.0), retried=True),
    Failure(
        1, Stage.UNREACHED, "upstream_unreachable", 502, Spread(700, 1.2), message="[Errno 111] Connection refused"
    ),
    Failure(
        0.6, Stage.UNREACHED, "upstream_unreachable", 502, Spread(5_000, 0.1),
        message="[Errno -3] Temporary failure in name resolution",
    ),
    Failure(0.3, Stage.UNREACHED, "upstream_tls", 502, Spread(90, 0.4), message="The TLS handshake was closed"),
    Failure(0.4, Stage.CUT, "proxy_shutdown", 200, _NEVER),
    Failure(1.5, Stage.REFUSED, "http_502", 502, _LATER, retried=True),
)  # fmt: skip

_SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
_OPENAI = (
    Failure(
        30, Stage.REFUSED, "tokens", 429, _AT_ONCE, "rate_limit_exceeded",
        "Rate limit reached for {model} in organization org-acme on tokens per min (TPM): Limit 2000000, Used "
        "199{number}, Requested 9{number}. Please try again in {wait}ms. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.", (183, 240, 612, 1_500, 4_000), retried=True,
    ),
    Failure(
        8, Stage.REFUSED, "requests", 429, _AT_ONCE, "rate_limit_exceeded",
        "Rate limit reached for {model} in organization org-acme on requests per min (RPM): Limit 10000, Used 10000, "
        "Requested 1. Please try again in {wait}ms.", (6, 12, 60), retried=True,
    ),
    Failure(14, Stage.REFUSED, "server_error", 500, _LATER, None, _SERVER_ERROR, retried=True),
    Failure(
        4, Stage.REFUSED, "invalid_request_error", 400, _AT_ONCE, "context_length_exceeded",
        "This model's maximum context length is 272000 tokens. However, your messages resulted in 28{number} tokens. "
        "Please reduce the length of the messages.",
    ),
    Failure(
        1, Stage.REFUSED, "invalid_request_error", 401, _AT_ONCE, "invalid_api_key",
        "Incorrect API key provided: [masked]. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
    ),
)  # fmt: skip

_OF_WIRES = {
    Wire.CHAT: _OPENAI,
    Wire.RESPONSES: _OPENAI,
    Wire.EMBEDDINGS: _OPENAI,
    Wire.MESSAGES: (
        Failure(
            22, Stage.REFUSED, "rate_limit_error", 429, _AT_ONCE, None,
            "This request would exceed your organization's rate limit of 4,000,000 input tokens per minute. For "
            "details, refer to: https://docs.claude.com/en/api/rate-limits.", (3_000, 7_000, 18_000, 41_000),
            retried=True,
        ),
        Failure(26, Stage.REFUSED, "overloaded_error", 529, _LATER, None, "Overloaded", (2_000, 7_000), retried=True),
        Failure(6, Stage.CUT, "overloaded_error", 200, _NEVER, None, "Overloaded"),
        Failure(7, Stage.REFUSED, "api_error", 500, _LATER, None, "Internal server error", retried=True),
        Failure(
            4, Stage.REFUSED, "invalid_request_error", 400, _AT_ONCE, None,
            "prompt is too long: 21{number} tokens > 200000 maximum",
        ),
    ),
    Wire.GEMINI: (
        Failure(
            32, Stage.REFUSED, "RESOURCE_EXHAUSTED", 429, _AT_ONCE, "429",
            "You exceeded your current quota, please check your plan and billing details. For more information on "
            "this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. Please retry in 2{number}ms.",
            retried=True,
        ),
        Failure(
            20, Stage.REFUSED, "UNAVAILABLE", 503, _LATER, "503",
            "The model is overloaded. Please try again later.", retried=True,
        ),
        Failure(
            3, Stage.REFUSED, "DEADLINE_EXCEEDED", 504, Spread(60_000, 0.1), "504",
            "Deadline expired before operation could complete.", retried=True,
        ),
        Failure(3, Stage.REFUSED, "INTERNAL", 500, _LATER, "500", "An internal error has occurred.", retried=True),
        Failure(
            2, Stage.REFUSED, "INVALID_ARGUMENT", 400, _AT_ONCE, "400",
            "The input token count (111{number}) exceeds the maximum number of tokens allowed (1048576).",
        ),
    ),
    Wire.CONVERSE: (
        Failure(
            36, Stage.REFUSED, "ThrottlingException", 429, _AT_ONCE, None,
            "Too many requests, please wait before trying again.", retried=True,
        ),
        Failure(
            10, Stage.REFUSED, "ServiceUnavailableException", 503, _LATER, None,
            "Bedrock is unable to process your request.", retried=True,
        ),
        Failure(
            5, Stage.CUT, "modelStreamErrorException", 200, _NEVER, None,
            "The system encountered an unexpected error during processing. Try your request again.",
        ),
        Failure(
            4, Stage.REFUSED, "ValidationException", 400, _AT_ONCE, None,
            "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum "
            "length. Please update the input to try again.",
        ),
    ),
    Wire.OPENROUTER: (
        Failure(34, Stage.REFUSED, "http_429", 429, _AT_ONCE, "429", "Provider returned error", (1_000,), retried=True),
        Failure(18, Stage.REFUSED, "http_502", 502, _LATER, "502", "Provider returned error", retried=True),
        Failure(
            5, Stage.REFUSED, "http_402", 402, _AT_ONCE, "402",
            "This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only "
            "afford {number}.",
        ),
    ),
    Wire.VLLM: (
        Failure(20, Stage.REFUSED, "http_503", 503, _AT_ONCE, retried=True),
        Failure(
            8, Stage.REFUSED, "BadRequestError", 400, _AT_ONCE, "400",
            "This model's maximum context length is 8192 tokens. However, you requested 1{number} tokens.",
        ),
    ),
}  # fmt: skip

LIKELY = {
    (wire, streamed): lot(
        [
            (failure, failure.weight)
            for failure in (*_ON_THE_WAY, *of_wire)
            if streamed or failure.stage is not Stage.CUT
        ],
        1024,
    )
    for wire, of_wire in _OF_WIRES.items()
    for streamed in (True, False)
}
"""By wire format and whether a stream was asked for: any place in the list is a fair draw."""
