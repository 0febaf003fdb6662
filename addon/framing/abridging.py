"""Abridging of a request's body to what columns need: every long string of its JSON is cut while it passes.

Read at its end, five megabytes would hold the event loop for as long as all their messages take. Piece by piece they
hold it no longer than one piece does, and do not stay in memory.
"""

from typing import cast, override

from llm_metrics_proxy.addon.framing import Payload
from llm_metrics_proxy.addon.framing.decoding import LIMIT, TooLarge
from llm_metrics_proxy.addon.framing.json_framing import Whole
from llm_metrics_proxy.addon.privacy.quotation import QUOTABLE, quotable

LONG_BODY = 64 * 1024
"""Bytes; a body that is shorter is kept as it is."""
LONGEST_STRING = 256
"""Bytes; what is longer is no name that a column could have."""
_BEGINNING = 16  # bytes that are kept of a long string: it is still one, and not empty
_QUOTE = 34  # as a number: looking for one byte is ten times as fast as looking for a text of one
_SHORT_STRING = 128  # bytes; where strings are no longer on average not all are looked at: it would take long


class Abridged(Whole):
    """The whole body is one payload; JSON whose long strings are cut, if it is long."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0
        self._strings: Strings | None = None
        self._begin = self._end = b""
        self.quotable = b""
        """Text kept to recognise quotations, once the body has ended."""

    @override
    def feed(self, data: bytes) -> list[Payload]:
        """Keep what columns need of `data`."""
        before, self._size = self._size, self._size + len(data)
        if self._size > LIMIT:
            raise TooLarge
        if self._strings is not None:
            self._end = data if len(data) >= QUOTABLE else self._end[-QUOTABLE:] + data
            self._body += self._strings.cut(data)
            return []
        self._body += data
        if before <= LONG_BODY < self._size and self._body.lstrip().startswith((b"{", b"[")):
            self._end = bytes(self._body)
            self._begin = self._end[:QUOTABLE]
            self._strings = Strings()
            self._body = bytearray(self._strings.cut(self._end))
        return []

    @override
    def finish(self) -> list[Payload]:
        """Return the body, unless there was none."""
        if self._strings is not None:
            self._body += self._strings.rest
        whole = cast("bytes", self._body)  # as of `Whole`
        self.quotable = quotable(whole if self._strings is None else self._begin + b"\n" + self._end)
        return super().finish()


class Strings:
    """Cuts the strings of JSON that comes in any pieces: of a long one the beginning is kept, as far as it is plain.

    Escaped quotes and backslashes become other signs: then every quote begins a string or ends one.
    """

    def __init__(self) -> None:
        self.rest = b""
        """Rest of the last piece that waits for the next: a string whose end has not come."""
        self._within = False  # a long string, of which nothing more is kept

    def cut(self, data: bytes) -> bytes:
        """Return what is kept of `data`, and of what waited."""
        data, self.rest = _unescaped(self.rest + data)
        start = data.find(_QUOTE) if self._within else 0
        if start < 0:
            return b""
        kept: list[bytes] = []
        start, opening = _cut_whole(data, start, start + self._within, kept)
        self._within = opening >= 0 and len(data) - opening > LONGEST_STRING
        if self._within:
            kept += (data[start : opening + 1], _beginning(data, opening + 1))
        elif opening >= 0:
            kept.append(data[start:opening])
            self.rest = data[opening:] + self.rest
        else:
            kept.append(data[start:])
        return b"".join(kept)


def _unescaped(data: bytes) -> tuple[bytes, bytes]:
    """Return `data` without escaped quotes and backslashes, and a last backslash if what it escapes has not come."""
    if b"\\" not in data:
        return data, b""
    data = data.replace(rb"\\", b"__").replace(rb"\"", b"__")
    return (data[:-1], b"\\") if data.endswith(b"\\") else (data, b"")


def _cut_whole(data: bytes, start: int, at: int, kept: list[bytes]) -> tuple[int, int]:
    """Cut the long strings among those that begin and end from `at` on; what is before and between them is `kept`.

    Returns where what follows the last of them begins, and where the string begins that does not end; -1: all end.
    """
    opening = data.find(_QUOTE, at)
    for _ in range(len(data) // _SHORT_STRING + 1):
        end = data.find(_QUOTE, opening + 1) if opening >= 0 else -1
        if end < 0:
            return start, opening
        if end - opening > LONGEST_STRING:
            kept += (data[start : opening + 1], _beginning(data, opening + 1))
            start = end
        opening = data.find(_QUOTE, end + 1)
    if opening >= 0:  # many short strings: of the others only the last is looked for
        opening = data.rfind(_QUOTE) if data.count(_QUOTE, opening) % 2 else -1
    return start, opening


def _beginning(data: bytes, at: int) -> bytes:
    """Return the beginning of the string whose inside begins at `at`, cut between two characters; never nothing."""
    return data[at : at + _BEGINNING].partition(b"\\")[0].decode(errors="ignore").encode() or b"_"
