"""One direction of an exchange: bytes as they pass are counted, decoded and framed.

Whatever is wrong with the bytes ends the reading, never the counting: `fault` then names the counter.
"""

from addon.decoding import Decoder, TooLarge, Undecodable, decoder_for
from addon.framing import Framing, Payload


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
        except Undecodable:
            self.stop("undecodable")

    def stop(self, fault: str) -> None:
        """Read no further."""
        self.fault, self._framing = fault, None

    def feed(self, data: bytes) -> list[Payload]:
        """Return the payloads that `data`, as on the wire, completes; none once something was wrong."""
        if self._framing is None:
            return []
        try:
            if self._decoder is None:
                return self._framing.feed(data)
            payloads = []
            for piece in self._decoder.feed(data):
                payloads += self._framing.feed(piece)
        except TooLarge:
            self.stop("body_too_large")
        except Undecodable:
            self.stop("undecodable")
        else:
            return payloads
        return []

    def finish(self) -> list[Payload]:
        """Return the payloads that the end of the body completes."""
        framing, self._framing = self._framing, None
        return framing.finish() if framing is not None else []
