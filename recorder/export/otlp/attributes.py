"""The table of columns and the span attributes they become; an attribute that would be NULL is left out.

`llm_metrics.*` are the columns under their own names; docs/columns.md says what each means. SQLite keeps any value in
any column, and texts come from clients and servers: they may hold what protobuf refuses (lone surrogates), what
databases behind receivers refuse (NUL), and megabytes. A value that is not of its column's kind becomes None.
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec
from opentelemetry.util.types import AttributeValue

from llm_metrics_proxy.recorder.export import Row, outbox
from llm_metrics_proxy.recorder.export.otlp import names

_LONGEST_TEXT: Final = 1_000  # characters
_LONGEST_JSON: Final = 8_000
_HIGHEST: Final = 2**63


def text(value: object) -> str | None:
    """At most the beginning of a text."""
    if isinstance(value, bytes):
        value = value[: 4 * _LONGEST_TEXT].decode(errors="replace")
    if not isinstance(value, str):
        return None
    value = value[:_LONGEST_TEXT]
    if not value.isascii():
        value = value.encode(errors="replace").decode()
    if "\0" in value:
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value or None


def document(value: object) -> str | None:
    """JSON as it is; a part of it would be none, so what is too long is left out."""
    if not isinstance(value, str) or len(value) > _LONGEST_JSON:
        return None
    return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def whole(value: object) -> int | None:
    """A whole number of 64 bits with sign."""
    if isinstance(value, int):
        return value if -_HIGHEST <= value < _HIGHEST else None
    if isinstance(value, float) and value.is_integer() and -_HIGHEST <= value < _HIGHEST:
        return int(value)
    return None


def real(value: object) -> float | None:
    """A finite number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def flag(value: object) -> bool | None:
    """A boolean, which SQLite has as 0 and 1."""
    return bool(value) if isinstance(value, int) else None


def texts(value: object) -> tuple[str, ...] | None:
    """A list of one text."""
    return (one,) if (one := text(value)) is not None else None


def seconds(value: object) -> float | None:
    """Milliseconds as seconds."""
    return ms / 1000 if (ms := real(value)) is not None else None


type _Made = dict[str, AttributeValue]


_CONVENTIONAL: Final[tuple[tuple[str, str, Callable[[object], AttributeValue | None]], ...]] = (
    ("operation", names.OPERATION, text),
    ("provider", names.PROVIDER, text),
    ("model", names.REQUEST_MODEL, text),
    ("is_streaming", names.REQUEST_STREAM, flag),
    ("max_tokens", names.REQUEST_MAX_TOKENS, whole),
    ("temperature", names.REQUEST_TEMPERATURE, real),
    ("top_p", names.REQUEST_TOP_P, real),
    ("response_model", names.RESPONSE_MODEL, text),
    ("finish_reason", names.FINISH_REASONS, texts),
    ("prompt_tokens", names.INPUT_TOKENS, whole),
    ("completion_tokens", names.OUTPUT_TOKENS, whole),
    ("cached_tokens", names.CACHE_READ_TOKENS, whole),
    ("cache_write_tokens", names.CACHE_WRITE_TOKENS, whole),
    ("cache_write_tokens", names.CACHE_CREATION_TOKENS, whole),
    ("reasoning_tokens", names.REASONING_TOKENS, whole),
    ("session_id", names.CONVERSATION, text),
    ("status_code", names.STATUS_CODE, whole),
    ("endpoint", names.URL_PATH, text),
    ("http_version", names.PROTOCOL_VERSION, text),
    ("user_agent", names.USER_AGENT, text),
    ("client", names.CLIENT_ADDRESS, text),
    ("retry_count", names.RESEND_COUNT, whole),
    ("request_bytes", names.REQUEST_BYTES, whole),
    ("response_bytes", names.RESPONSE_BYTES, whole),
)
_OURS: Final[tuple[tuple[str, Callable[[object], AttributeValue | None]], ...]] = (
    ("event_id", text),
    ("origin", text),
    ("message_count", whole),
    ("total_tokens", whole),
    ("usage_source", text),
    ("usage", document),
    ("billed", document),
    ("cost_usd", real),
    ("cost_source", text),
    ("cost_complete", flag),
    ("cost_note", text),
    ("cache_saved_usd", real),
    ("cache_spent_usd", real),
    ("service_tier", text),
    ("region", text),
    ("billing", text),
    ("tokens_per_second", real),
    ("time_to_first_byte_ms", real),
    ("time_to_first_token_ms", real),
    ("time_to_first_answer_ms", real),
    ("time_to_last_token_ms", real),
    ("output_events", whole),
    ("chunk_gap_p50_ms", real),
    ("chunk_gap_p95_ms", real),
    ("chunk_gap_max_ms", real),
    ("upload_ms", real),
    ("connect_ms", real),
    ("provider_request_id", text),
    ("retry_after_ms", whole),
    ("rate_limit_remaining_requests", whole),
    ("rate_limit_remaining_tokens", whole),
    ("server_timing", document),
    ("error_code", text),
    ("error_class", text),
    ("finish_class", text),
    ("agent", text),
    ("agent_version", text),
    ("agent_id", text),
    ("parent_agent_id", text),
    ("request_kind", text),
    ("project", text),
    ("response_id", text),
    ("key_id", text),
)
_TABLE: Final = (
    *((outbox.COLUMN[column], name, convert) for column, name, convert in _CONVENTIONAL),
    *((outbox.COLUMN[column], names.OURS + column, convert) for column, convert in _OURS),
)
_HOST, _STREAMED, _FIRST_BYTE, _SUCCESS, _ERROR, _LABELS = (
    outbox.COLUMN[name] for name in ("host", "is_streaming", "time_to_first_byte_ms", "success", "error_type", "labels")
)


def of(row: Row) -> _Made:
    """The attributes of a call's span."""
    made: _Made = {}
    for index, name, convert in _TABLE:
        if (value := row[index]) is not None and (converted := convert(value)) is not None:
            made[name] = converted
    made |= _server(row[_HOST])
    if row[_LABELS] is not None:
        made |= _labels(row[_LABELS])
    if row[_STREAMED] and (first := seconds(row[_FIRST_BYTE])) is not None:
        made[names.TIME_TO_FIRST_CHUNK] = first
    if failed(row):
        made[names.ERROR_TYPE] = text(row[_ERROR]) or names.OTHER
    return made


def _labels(value: object) -> _Made:
    """An attribute for each label, so that receivers can group by it."""
    try:
        found = msgspec.json.decode(document(value) or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {}
    named = found.items() if isinstance(found, dict) else ()
    return {names.LABEL + name: said for name, one in named if (said := text(one)) is not None}


def failed(row: Row) -> bool:
    """True if the call is known to have failed."""
    return row[_SUCCESS] == 0


def _server(value: object) -> _Made:
    if (host := text(value)) is None:
        return {}
    address, colon, port = host.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()):
        return {names.SERVER_ADDRESS: host}
    return {names.SERVER_ADDRESS: address.strip("[]"), names.SERVER_PORT: int(port[:5])}
