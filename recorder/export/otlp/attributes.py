"""Which column becomes which attribute of a span; an attribute that would be NULL is left out.

`llm_metrics.*` are the columns under their own names; docs/columns.md says what each means.
"""

from collections.abc import Callable
from typing import Final

from opentelemetry.util.types import AttributeValue

from llm_metrics_proxy.recorder.export import outbox
from llm_metrics_proxy.recorder.export.destination import Row
from llm_metrics_proxy.recorder.export.otlp import names, values

type _Made = dict[str, AttributeValue]


_CONVENTIONAL: Final[tuple[tuple[str, str, Callable[[object], AttributeValue | None]], ...]] = (
    ("operation", names.OPERATION, values.text),
    ("provider", names.PROVIDER, values.text),
    ("model", names.REQUEST_MODEL, values.text),
    ("is_streaming", names.REQUEST_STREAM, values.flag),
    ("max_tokens", names.REQUEST_MAX_TOKENS, values.whole),
    ("temperature", names.REQUEST_TEMPERATURE, values.real),
    ("top_p", names.REQUEST_TOP_P, values.real),
    ("response_model", names.RESPONSE_MODEL, values.text),
    ("finish_reason", names.FINISH_REASONS, values.texts),
    ("prompt_tokens", names.INPUT_TOKENS, values.whole),
    ("completion_tokens", names.OUTPUT_TOKENS, values.whole),
    ("cached_tokens", names.CACHE_READ_TOKENS, values.whole),
    ("cache_write_tokens", names.CACHE_WRITE_TOKENS, values.whole),
    ("cache_write_tokens", names.CACHE_CREATION_TOKENS, values.whole),
    ("reasoning_tokens", names.REASONING_TOKENS, values.whole),
    ("session_id", names.CONVERSATION, values.text),
    ("status_code", names.STATUS_CODE, values.whole),
    ("endpoint", names.URL_PATH, values.text),
    ("http_version", names.PROTOCOL_VERSION, values.text),
    ("user_agent", names.USER_AGENT, values.text),
    ("client", names.CLIENT_ADDRESS, values.text),
    ("retry_count", names.RESEND_COUNT, values.whole),
    ("request_bytes", names.REQUEST_BYTES, values.whole),
    ("response_bytes", names.RESPONSE_BYTES, values.whole),
)
_OURS: Final[tuple[tuple[str, Callable[[object], AttributeValue | None]], ...]] = (
    ("event_id", values.text),
    ("origin", values.text),
    ("message_count", values.whole),
    ("total_tokens", values.whole),
    ("usage_source", values.text),
    ("usage", values.document),
    ("cost_usd", values.real),
    ("cost_source", values.text),
    ("tokens_per_second", values.real),
    ("time_to_first_byte_ms", values.real),
    ("time_to_first_token_ms", values.real),
    ("time_to_first_answer_ms", values.real),
    ("time_to_last_token_ms", values.real),
    ("output_events", values.whole),
    ("chunk_gap_p50_ms", values.real),
    ("chunk_gap_p95_ms", values.real),
    ("chunk_gap_max_ms", values.real),
    ("upload_ms", values.real),
    ("connect_ms", values.real),
    ("provider_request_id", values.text),
    ("retry_after_ms", values.whole),
    ("rate_limit_remaining_requests", values.whole),
    ("rate_limit_remaining_tokens", values.whole),
    ("server_timing", values.document),
    ("error_code", values.text),
)
_TABLE: Final = (
    *((outbox.COLUMN[column], name, convert) for column, name, convert in _CONVENTIONAL),
    *((outbox.COLUMN[column], names.OURS + column, convert) for column, convert in _OURS),
)
_HOST, _STREAMED, _FIRST_BYTE, _SUCCESS, _ERROR = (
    outbox.COLUMN[name] for name in ("host", "is_streaming", "time_to_first_byte_ms", "success", "error_type")
)


def of(row: Row) -> _Made:
    """The attributes of a call's span."""
    made: _Made = {}
    for index, name, convert in _TABLE:
        if (value := row[index]) is not None and (converted := convert(value)) is not None:
            made[name] = converted
    made |= _server(row[_HOST])
    if row[_STREAMED] and (first := values.seconds(row[_FIRST_BYTE])) is not None:
        made[names.TIME_TO_FIRST_CHUNK] = first
    if failed(row):
        made[names.ERROR_TYPE] = values.text(row[_ERROR]) or names.OTHER
    return made


def failed(row: Row) -> bool:
    """Whether the call is known to have failed."""
    return row[_SUCCESS] == 0


def _server(value: object) -> _Made:
    if (host := values.text(value)) is None:
        return {}
    address, colon, port = host.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()):
        return {names.SERVER_ADDRESS: host}
    return {names.SERVER_ADDRESS: address.strip("[]"), names.SERVER_PORT: int(port[:5])}
