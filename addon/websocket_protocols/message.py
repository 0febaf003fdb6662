"""A message of a WebSocket between the moment at which it passes and its reading, which comes later.

Of a long one the strings are cut first, a slice at a time: sixteen megabytes of audio, read in one go, would hold the
event loop for as long as all other calls need in that time.
"""

from llm_metrics_proxy.addon.framing.abridging import Strings
from llm_metrics_proxy.addon.framing.decoding import TooLarge

LONG_MESSAGE = 256 * 1024
"""Bytes; a message that is shorter is read as it is."""
_SLICE = 64 * 1024
_MOST_KEPT = 2 * 1024 * 1024  # of a long message without its long strings; no real one has that much


class Message:
    """One message, whole, with who sent it and when."""

    __slots__ = ("_cut", "_kept", "_strings", "at", "from_client", "whole")

    def __init__(self, whole: bytes, at: int, *, from_client: bool) -> None:
        self.whole = whole
        """The message as it came."""
        self.at = at
        self.from_client = from_client
        self._strings = Strings() if len(whole) > LONG_MESSAGE and whole[:64].lstrip()[:1] in {b"{", b"["} else None
        self._kept = bytearray()
        self._cut = 0  # bytes

    @property
    def readable(self) -> bytes:
        """The message without its long strings, if it is long. Once `abridge` has said so."""
        return self.whole if self._strings is None else bytes(self._kept)

    def abridge(self) -> bool:
        """Take the next step towards reading it; True if there is no other.

        Raises:
            TooLarge: it has so many short strings that reading it would hold everybody up.
        """
        if self._strings is None:
            return True
        self._kept += self._strings.cut(self.whole[self._cut : self._cut + _SLICE])
        self._cut += _SLICE
        is_last = self._cut >= len(self.whole)
        if is_last:
            self._kept += self._strings.rest
        if len(self._kept) > _MOST_KEPT:
            raise TooLarge
        return is_last
