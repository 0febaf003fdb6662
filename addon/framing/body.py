"""One direction of an exchange: bytes are counted, decoded and framed as they pass.

The framing follows from the content type or, where that says no more than JSON, from the wire format. A fault in the
bytes ends the reading, never the counting: `fault` then names the counter.
"""

from collections.abc import Iterator
from functools import lru_cache

from llm_metrics_proxy.addon.framing import MOST_PAYLOADS, Event, Framing, Payload, ServerSentEvents
from llm_metrics_proxy.addon.framing.aws_framing import EventStream
from llm_metrics_proxy.addon.framing.decoding import Decoder, TooLarge, Undecodable, Unreadable, decoder_for
from llm_metrics_proxy.addon.framing.json_framing import Ignored, Lines, Whole, WholeOrEvents


class Body:
    """A body that is read while it passes."""

    __slots__ = ("_decoder", "_framing", "fault", "size")

    def __init__(self, content_encoding: str, framing: Framing) -> None:
        self.size = 0
        """Bytes on the wire."""
        self.fault: str | None = None
        """`body_too_large` or `undecodable`, once reading has stopped."""
        self._framing: Framing | None = framing
        self._decoder: Decoder | None = None
        try:
            self._decoder = decoder_for(content_encoding)
        except Undecodable as error:
            self.stop(error.fault)

    def stop(self, fault: str) -> None:
        """Read no further."""
        self.fault, self._framing = fault, None

    def feed(self, data: bytes) -> list[Payload]:
        """Return the payloads that `data`, as on the wire, completes; none once something was wrong."""
        framing = self._framing
        if framing is None:
            return []
        payloads: list[Payload] = []
        try:
            if self._decoder is None:
                return framing.feed(data)
            for piece in self._decoder.feed(data):
                payloads += framing.feed(piece)
                if len(payloads) > MOST_PAYLOADS:
                    raise TooLarge
        except Unreadable as error:
            self.stop(error.fault)
            payloads += error.before
        return payloads

    def feed_all(self, pieces: list[bytes], moments: list[int]) -> Iterator[Event]:
        """Yield the payloads that `pieces` complete, each with its moment; none once something was wrong."""
        if self._framing is not None and self._decoder is None:
            try:
                yield from self._framing.feed_all(pieces, moments)
            except Unreadable as error:
                self.stop(error.fault)
            return
        completed = 0
        for data, at in zip(pieces, moments, strict=True):
            for name, payload in self.feed(data):
                completed += 1
                yield name, payload, at
            if completed > MOST_PAYLOADS:
                self.stop(TooLarge.fault)

    def finish(self) -> list[Payload]:
        """Return the payloads that the end of the body completes."""
        framing, self._framing = self._framing, None
        return framing.finish() if framing is not None else []


_BY_CONTENT_TYPE: tuple[tuple[str, type[Framing]], ...] = (
    ("text/event-stream", ServerSentEvents),
    ("application/vnd.amazon.eventstream", EventStream),
    ("ndjson", Lines),
    ("jsonl", Lines),
    ("application/stream+json", Lines),
    ("audio/", Ignored),
    ("image/", Ignored),
)
_LONGEST_TYPE = 1024  # characters: what is remembered is bounded


def framing_of(content_type: str, json_stream: type[Framing] | None, *, streams: bool) -> Framing:
    """Return a new framing for a Content-Type header.

    `streams`: a stream was asked for, and no error came. Then a stream that says only JSON has the framing
    `json_stream`, or shows by itself that it is server-sent events; one that says nothing of use is taken for them.
    """
    framing = _named_by(content_type[:_LONGEST_TYPE].lower())
    if framing is not None:
        return framing()
    if not streams:
        return Whole()
    return (json_stream or (WholeOrEvents if "json" in content_type.lower() else ServerSentEvents))()


@lru_cache(maxsize=64)  # servers send the same few all day
def _named_by(content_type: str) -> type[Framing] | None:
    return next((framing for name, framing in _BY_CONTENT_TYPE if name in content_type), None)
