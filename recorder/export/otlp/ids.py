"""Ids of spans: a row that is sent twice is the same span, and a child of its caller's span if it said which.

Ids are texts in the database, and those of the caller came in a header: only what W3C's trace context allows is one.
"""

import hashlib
import re
from typing import Final

from opentelemetry.trace import SpanContext, TraceFlags

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
