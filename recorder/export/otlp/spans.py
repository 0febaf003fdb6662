"""A call as a span.

Spans are made as the finished objects that the SDK's exporters take. A tracer could make them as well, but it would
start and end each by its own clock and ids, check every attribute a second time, and take three times as long.
"""

from collections.abc import Iterator
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, Status, StatusCode

from llm_metrics_proxy.recorder.export.destination import Row, Unacceptable
from llm_metrics_proxy.recorder.export.otlp import attributes, ids, moments, names, values
from llm_metrics_proxy.recorder.export.outbox import COLUMN

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
    start = moments.moment_of(row[_AT])
    if start is None:
        message = "its timestamp is no moment"
        raise Unacceptable(message)
    context, parent = ids.contexts(row[_EVENT_ID], row[_TRACE], row[_PARENT])
    end = moments.moment_after(start, row[_MS])
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
    operation = values.text(row[_OPERATION]) or _NO_OPERATION
    model = values.text(row[_MODEL])
    return f"{operation} {model}" if model else operation


def _events(row: Row, start: int) -> Iterator[Event]:
    for index, name in _EVENTS:
        if (at := moments.moment_after(start, row[index])) is not None:
            yield Event(name, timestamp=at)


def _status(row: Row) -> Status:
    return Status(StatusCode.ERROR, values.text(row[_MESSAGE])) if attributes.failed(row) else _UNSET
