"""Framing: a decoded body, fed in any pieces, becomes payloads: (event name, data).

Contract of a framing: `feed(data)` returns the payloads that are complete now, in order; `finish()` returns what the
end of the body completes; `feed_all` is `feed` for many pieces, each with its moment. All that they raise on any bytes
is `TooLarge`, when one payload passes the bound or when there are too many, and `Undecodable`, where a framing has
checksums. The event name is empty where the format has none. Nothing here looks into a payload, reads a clock or does
I/O.

This file has the contract and server-sent events; see also json_framing.py and aws_framing.py.
"""

from collections.abc import Iterator
from typing import override

from llm_metrics_proxy.addon.framing.alike import Alike
from llm_metrics_proxy.addon.framing.decoding import LIMIT, TooLarge, Unreadable

type Payload = tuple[bytes, bytes]
ALIKE = b"(alike)"
"""The name, this very object, of one or more events like that of `ServerSentEvents.alike`; there is no payload."""
type Event = tuple[bytes, bytes, int]
"""A payload, and the moment at which the piece came that completed it."""

_LF, _CR = 10, 13  # as numbers: looking for one byte is ten times as fast as looking for a text of one
MOST_PAYLOADS = 10_000
"""Payloads that one read may complete. No server sends more; a compressed stream of nothing could, for seconds."""


class Framing:
    """Bytes in, payloads out."""

    def feed(self, data: bytes) -> list[Payload]:
        """Return the payloads that `data` completes."""
        raise NotImplementedError

    def feed_all(self, pieces: list[bytes], moments: list[int]) -> Iterator[Event]:
        """Yield the payloads that `pieces` complete, each with its moment."""
        for data, at in zip(pieces, moments, strict=True):
            try:
                payloads = self.feed(data)
            except Unreadable as error:
                for name, payload in error.before:
                    yield name, payload, at
                raise
            for name, payload in payloads:
                yield name, payload, at

    def finish(self) -> list[Payload]:
        """Return the payloads that the end of the body completes."""
        raise NotImplementedError


class ServerSentEvents(Framing):
    """The event stream of the WHATWG HTML standard, section 9.2.6, as far as its `event` and `data` fields go.

    Two departures, both for errors that providers write into a stream without being asked: a line `error: ...` counts
    as `event: error` with that data, and a line that begins with a brace counts as data.
    """

    def __init__(self) -> None:
        self._carry = bytearray()
        self._searched = 0  # no event ends before this place in the carry
        self._skip_newline = False  # the last piece ended with CR: an LF that follows belongs to it
        self._at_start = True
        self.alike: Alike | None = None
        """The event of which repetitions are only counted."""
        self.alike_moments: list[int] = []
        """Those of the repetitions for which `ALIKE` stands."""

    @override
    def feed_all(self, pieces: list[bytes], moments: list[int]) -> Iterator[Event]:
        """Count events that are alike, and read the others."""
        carry = self._carry
        alike, compared = None, None
        place, end = 0, len(pieces)
        while place < end:
            if self.alike is not None and not (carry or self._at_start or self._skip_newline):
                if self.alike is not alike:
                    alike, compared = self.alike, self.alike.compare(pieces[place:])
                if compared is not None and (counts := compared.counts()):
                    self.alike_moments = _repeated(moments[place : place + len(counts)], counts)
                    yield ALIKE, b"", moments[place]
                    place += len(counts)
                    continue
            yield from self._one(pieces[place], moments[place])
            if compared is not None:
                compared.skip()
            place += 1

    def _one(self, data: bytes, at: int) -> Iterator[Event]:
        """Read what nearly all pieces are here: one event, of one line or with a name."""
        line, end = data.find(_LF), len(data) - 2
        if self._carry or self._at_start or self._skip_newline or _CR in data or not data.endswith(b"\n\n"):
            yield from super().feed_all([data], [at])
        elif line == end and data.startswith(b"data: "):
            yield b"", data[6:end], at
        elif data.startswith(b"data: ", line + 1) and data.startswith(b"event: ") and data.find(_LF, line + 1) == end:
            yield data[7:line], data[line + 7 : end], at
        else:
            yield from super().feed_all([data], [at])

    @override
    def feed(self, data: bytes) -> list[Payload]:
        """Return the events that `data` completes."""
        if self._skip_newline and data:
            data = data.removeprefix(b"\n")
            self._skip_newline = False
        if _CR in data:
            self._skip_newline = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        carry = self._carry
        if not carry and data.endswith(b"\n\n"):  # whole events, nothing to keep
            return self._events(data)
        carry += data
        end = carry.rfind(b"\n\n", self._searched)
        if end < 0:
            self._searched = max(0, len(carry) - 1)
            if len(carry) > LIMIT:
                raise TooLarge
            return []
        block = bytes(memoryview(carry)[:end])  # one copy: an event may be an image
        del carry[: end + 2]
        self._searched = max(0, len(carry) - 1)
        return self._events(block)

    @override
    def finish(self) -> list[Payload]:
        """Return the last event, even if its empty line never came."""
        block = bytes(self._carry)
        self._carry.clear()
        self._searched = 0
        return self._events(block)

    def _events(self, block: bytes) -> list[Payload]:
        if self._at_start:
            block = block.removeprefix(b"\xef\xbb\xbf")
            self._at_start = False
        if block.count(b"\n\n") > MOST_PAYLOADS:
            raise TooLarge
        events = []
        for text in block.split(b"\n\n"):
            if text.startswith(b"data: ") and b"\n" not in text:  # all that most providers ever send
                events.append((b"", text[6:]))
            elif text and (event := _event(text)):
                events.append(event)
        return events


def _repeated(moments: list[int], counts: list[int]) -> list[int]:
    """Return each moment as often as its count says."""
    if counts.count(1) == len(counts):
        return moments
    return [at for at, count in zip(moments, counts, strict=True) for _ in range(count)]


def _event(text: bytes) -> Payload | None:
    name, data = b"", []
    for line in text.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"error":
            name = b"error"
            data.append(value)
        elif line.startswith((b"{", b"}", b"[", b"]")) or (data and line.startswith(b" ")):
            data.append(line)
    return (name, b"\n".join(data)) if data else None
