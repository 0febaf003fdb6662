"""Events that the addon hands to the recorder: immutable, complete, and free of prompts, answers and keys.

`CompletionRequest` is one row of `completion_requests`; its field names are the column names. Only what is known is
set: unknown is None, never 0. Times named `*_ms` are milliseconds from t0, the moment at which the request's headers
arrived at the proxy. docs/columns.md explains each column.
"""

import random
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="request"):
    """One LLM call that has ended, however it ended."""

    # version 1 of the schema
    timestamp: str  # of t0, UTC, always YYYY-MM-DDTHH:MM:SS.mmmZ, so that text order is time order
    success: bool
    status_code: int
    response_time_ms: int
    model: str | None = None
    origin: str | None = None
    is_streaming: bool
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    message_count: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    finish_reason: str | None = None
    time_to_first_token_ms: int | None = None
    time_to_last_token_ms: int | None = None
    tokens_per_second: float | None = None
    error_type: str | None = None
    error_message: str | None = None
    # version 2
    event_id: str
    provider: str | None = None
    operation: str | None = None
    host: str | None = None
    endpoint: str | None = None
    response_model: str | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_source: str | None = None
    usage: str | None = None
    cost_usd: float | None = None
    cost_source: str | None = None
    time_to_first_byte_ms: float | None = None
    time_to_first_answer_ms: float | None = None
    output_events: int | None = None
    chunk_gap_p50_ms: float | None = None
    chunk_gap_p95_ms: float | None = None
    chunk_gap_max_ms: float | None = None
    upload_ms: float | None = None
    connect_ms: float | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    http_version: str | None = None
    client: str | None = None
    user_agent: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    parent_span_id: str | None = None
    retry_count: int | None = None
    provider_request_id: str | None = None
    retry_after_ms: int | None = None
    rate_limit_remaining_requests: int | None = None
    rate_limit_remaining_tokens: int | None = None
    server_timing: str | None = None
    error_code: str | None = None
    # version 5
    billed: str | None = None
    # version 6
    service_tier: str | None = None
    region: str | None = None
    billing: str | None = None
    cost_complete: int | None = None
    cost_note: str | None = None
    # version 7
    error_class: str | None = None
    finish_class: str | None = None
    agent: str | None = None
    agent_version: str | None = None
    agent_id: str | None = None
    parent_agent_id: str | None = None
    request_kind: str | None = None
    project: str | None = None
    response_id: str | None = None
    # version 8
    labels: str | None = None
    key_id: str | None = None
    cache_saved_usd: float | None = None
    cache_spent_usd: float | None = None


class Unrecognised(msgspec.Struct, frozen=True, tag="unrecognised"):
    """LLM-like traffic that no parser understood: kept as (host, path) with a count, so that coverage is visible."""

    host: str
    path: str  # without query, ids folded
    at: str  # as CompletionRequest.timestamp


MOST_TUNNELLED: Final = 200  # hosts: clients choose their names
OTHER_HOSTS: Final = "(others)"  # the name under which connections to all further hosts are counted


class Tunnelled(msgspec.Struct, frozen=True, tag="tunnelled"):
    """Connections to a host whose TLS was not opened, of a few seconds together, so that coverage is visible."""

    host: str
    connections: int
    first_at: str  # as CompletionRequest.timestamp
    at: str  # of the last


class Limit(msgspec.Struct, frozen=True):
    """One window of a limit, as an answer states it."""

    kind: str
    window: str | None
    model: str | None  # None: it is of all models
    limit: float | None
    remaining: float | None
    resets_at: str | None  # as CompletionRequest.timestamp


class Limits(msgspec.Struct, frozen=True, tag="limits"):
    """Limits of a key that an answer states, once a minute."""

    provider: str
    key_id: str | None
    at: str  # as CompletionRequest.timestamp
    limits: tuple[Limit, ...]


LABEL_NAME: Final = r"[a-z0-9][a-z0-9_.-]{0,31}"
MOST_LABELS: Final = 8  # of a call
LONGEST_LABEL: Final = 64  # characters of a value

type Event = CompletionRequest | Unrecognised | Tunnelled | Limits


_RANDOM = random.Random()  # noqa: S311 - ids are unique, not secret, and asking the system each time takes 6 us


_TIME: Final = (1 << 48) - 1
_FIXED: Final = 7 << 76 | 0b10 << 62  # version and variant
_FREE: Final = (1 << 80) - 1 & ~(0xF << 76 | 0b11 << 62)


def new_event_id(unix_ms: int) -> str:
    """32 hex digits in UUIDv7's layout (RFC 9562): they begin with the time, so that the index grows at its end."""
    return f"{(unix_ms & _TIME) << 80 | _RANDOM.getrandbits(80) & _FREE | _FIXED:032x}"


def timestamp_of(unix_ns: int) -> str:
    """The column `timestamp` of a moment in nanoseconds since 1970."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1_000_000:03d}Z"


@lru_cache(maxsize=16)  # a busy proxy asks for the same second many times
def _second(unix_seconds: int) -> str:
    return f"{datetime.fromtimestamp(unix_seconds, UTC):%Y-%m-%dT%H:%M:%S}"
