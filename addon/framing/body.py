"""One direction of an exchange: bytes as they pass are counted, decoded and framed.

Whatever is wrong with the bytes ends the reading, never the counting: `fault` then names the counter.
"""

from collections.abc import Iterator

from llm_metrics_proxy.addon.framing.decoding import Decoder, TooLarge, Undecodable, Unreadable, decoder_for
from llm_metrics_proxy.addon.framing.framing import MOST_PAYLOADS, Event, Framing, Payload


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
