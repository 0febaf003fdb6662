"""Which framing an answer has: its content type says, or, where that says no more than JSON, its wire format."""

from llm_metrics_proxy.addon.framing.aws_framing import EventStream
from llm_metrics_proxy.addon.framing.framing import Framing, ServerSentEvents
from llm_metrics_proxy.addon.framing.json_framing import Ignored, Lines, Whole

_BY_CONTENT_TYPE: tuple[tuple[str, type[Framing]], ...] = (
    ("text/event-stream", ServerSentEvents),
    ("application/vnd.amazon.eventstream", EventStream),
    ("ndjson", Lines),
    ("jsonl", Lines),
    ("application/stream+json", Lines),
    ("audio/", Ignored),
    ("image/", Ignored),
)


def framing_of(content_type: str, json_stream: type[Framing] | None, *, streams: bool) -> Framing:
    """Return a new framing for a Content-Type header.

    `streams`: a stream was asked for, and no error came. Then a stream that says only JSON has the framing
    `json_stream`, and one that says nothing of use is taken for server-sent events.
    """
    content_type = content_type.lower()
    for name, framing in _BY_CONTENT_TYPE:
        if name in content_type:
            return framing()
    if not streams:
        return Whole()
    return (json_stream or (Whole if "json" in content_type else ServerSentEvents))()
