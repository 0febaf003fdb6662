"""Spans: one for each call, as the finished objects that the SDK's exporters take.

A tracer could make them as well, but it would start and end each by its own clock and ids, check every attribute a
second time, and take three times as long. A row that is sent twice is the same span, and a child of its caller's span
if the caller named it. Ids are texts in the database, and those of the caller came in a header: only what W3C's trace
context allows is one. Moments are nanoseconds since 1970.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from llm_metrics_proxy.recorder.export import Row, Unacceptable
from llm_metrics_proxy.recorder.export.otlp import attributes, names
from llm_metrics_proxy.recorder.export.outbox import COLUMN

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


def contexts(event_id: object, trace_id: object, parent_span_id: object) -> tuple[SpanContext, SpanContext | None]:
    """The span's own context, and that of its parent.

    The span's id is the random half of the event_id. Without a parent the trace has the event_id itself for its id.
    """
    own = _identity(event_id)
    in_trace, below = _number(_TRACE_ID, trace_id), _number(_SPAN_ID, parent_span_id)
    span_id = int(own[16:], 16)
    if not in_trace or not below:
        return SpanContext(int(own, 16), span_id, is_remote=False, trace_flags=_SAMPLED), None
    parent = SpanContext(in_trace, below, is_remote=True, trace_flags=_SAMPLED)
    return SpanContext(in_trace, span_id, is_remote=False, trace_flags=_SAMPLED), parent


def _identity(event_id: object) -> str:
    """32 hex digits, neither half of which is all zeros."""
    if isinstance(event_id, str) and _number(_TRACE_ID, event_id) and _number(_SPAN_ID, event_id[16:]):
        return event_id
    return hashlib.sha256(repr(event_id).encode(errors="replace")).hexdigest()[:32]


def _number(form: re.Pattern[str], text: object) -> int:
    """The number that the text writes; 0, which is no id, if it writes none."""
    return int(text, 16) if isinstance(text, str) and form.fullmatch(text) else 0


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NS_PER_MS: Final = 1_000_000
_LAST: Final = 2**63  # receivers keep moments as signed numbers


def moment_of(timestamp: object) -> int | None:
    """The moment of a column `timestamp`; None if it is none."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    ns = (moment - _EPOCH) // _MICROSECOND * 1_000
    return ns if 0 <= ns < _LAST else None


def moment_after(start: int, ms: object) -> int | None:
    """The moment so many milliseconds later; None if that is unknown or impossible."""
    length = attributes.real(ms)
    if length is None or not 0 <= length * _NS_PER_MS < _LAST - start:
        return None
    return start + round(length * _NS_PER_MS)


_AT, _MS, _EVENT_ID = COLUMN["timestamp"], COLUMN["response_time_ms"], COLUMN["event_id"]
_TRACE, _PARENT = COLUMN["trace_id"], COLUMN["parent_span_id"]
_STREAMED, _OPERATION, _MODEL, _MESSAGE = (
    COLUMN[name] for name in ("is_streaming", "operation", "model", "error_message")
)
_EVENTS: Final = (
    (COLUMN["time_to_first_byte_ms"], names.FIRST_CHUNK_EVENT),
    (COLUMN["time_to_first_token_ms"], names.FIRST_TOKEN_EVENT),
)
_NO_OPERATION: Final = "request"  # in a span's name, as of a connection that failed before anything was asked
_UNSET: Final = Status(StatusCode.UNSET)


def of(row: Row, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    """The span of a call.

    Raises:
        Unacceptable: nobody can say when the call was.
    """
    start = moment_of(row[_AT])
    if start is None:
        message = "its timestamp is invalid"
        raise Unacceptable(message)
    context, parent = contexts(row[_EVENT_ID], row[_TRACE], row[_PARENT])
    end = moment_after(start, row[_MS])
    return ReadableSpan(
        name=_name(row),
        context=context,
        parent=parent,
        resource=resource,
        attributes=attributes.of(row),
        events=tuple(_events(row, start)) if row[_STREAMED] else (),
        kind=SpanKind.CLIENT,
        status=_status(row),
        start_time=start,
        end_time=start if end is None else end,
        instrumentation_scope=scope,
    )


def _name(row: Row) -> str:
    operation = attributes.text(row[_OPERATION]) or _NO_OPERATION
    model = attributes.text(row[_MODEL])
    return f"{operation} {model}" if model else operation


def _events(row: Row, start: int) -> Iterator[Event]:
    for index, name in _EVENTS:
        if (at := moment_after(start, row[index])) is not None:
            yield Event(name, timestamp=at)


def _status(row: Row) -> Status:
    return Status(StatusCode.ERROR, attributes.text(row[_MESSAGE])) if attributes.failed(row) else _UNSET
