"""Which framing an answer has: its content type says, or, where that says no more than JSON, its wire format."""

from addon.aws_framing import EventStream
from addon.framing import Framing, ServerSentEvents
from addon.json_framing import Ignored, Lines, Whole

_BY_CONTENT_TYPE: tuple[tuple[str, type[Framing]], ...] = (
    ("text/event-stream", ServerSentEvents),
    ("application/vnd.amazon.eventstream", EventStream),
    ("ndjson", Lines),
    ("jsonl", Lines),
    ("application/stream+json", Lines),
    ("audio/", Ignored),
    ("image/", Ignored),
)


def framing_of(content_type: str, json_stream: type[Framing] | None) -> Framing:
    """Return a new framing for a Content-Type header; `json_stream` is how a stream looks that says only JSON."""
    content_type = content_type.lower()
    for name, framing in _BY_CONTENT_TYPE:
        if name in content_type:
            return framing()
    return (json_stream or Whole)()
