"""The answer's part: the chunk that nobody but us asked for is taken out of the stream again.

It comes before the end, with no choices; some clients do not expect it. A client's stream parses to exactly what it
would have been (a `"usage": null` in the other chunks may stay). Only the event that is being looked at is held back,
and only until it is complete.
"""

import re
from collections.abc import Iterator, MutableMapping

import msgspec

from llm_metrics_proxy.addon.framing.decoding import LIMIT, Undecodable, Unreadable, decoder_for

_ABSENT = (b"", b"null")


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw()


_CHUNK = msgspec.json.Decoder(_Chunk)

# An event ends with an empty line; a line with CR LF, LF, or CR. Atomic: CR LF is never two of them.
_EVENT_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class UsageFilter:
    """Passes a stream on, piece by piece, without the chunk that only has usage.

    An encoded stream is passed on decoded, since it changes. Raises `Undecodable` when it is made for a coding that
    nobody knows, and nothing later: a stream that cannot be followed goes on as it is.
    """

    def __init__(self, content_encoding: str) -> None:
        self._decoder = decoder_for(content_encoding)
        self._held = bytearray()
        self._searched = 0  # no event ends before this place in what is held
        self._line_feed: bytes | None = None  # what becomes of an LF that comes after a CR at the end of a read
        self._lost = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return what may go on to the client; an empty `data` is the end of the stream."""
        if self._lost:
            return [data]
        if not data:
            rest = bytes(self._held)
            self._held.clear()
            return [rest] if rest and not _is_usage_only(rest) else []
        plain, undecoded = self._decoded(data)
        passed = self._late_line_feed(plain) + b"".join(self._events())
        if self._lost or len(self._held) > LIMIT:  # no event is that long: this is no event stream
            passed += bytes(self._held) + undecoded
            self._held.clear()
            self._searched = 0
        return [passed] if passed else []

    def _decoded(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what `data` stands for, and what of it could not be decoded: after that nothing can."""
        if self._decoder is None:
            return data, b""
        plain = b""
        try:
            for piece in self._decoder.feed(data):
                plain += piece
        except Unreadable:
            self._lost = True
            return plain, b"" if plain else data
        return plain, b""

    def _late_line_feed(self, plain: bytes) -> bytes:
        """Hold `plain`, but for an LF that belongs to the event before it: that goes where the event went."""
        fate, late = self._line_feed, b""
        if fate is not None and plain:
            self._line_feed = None
            if plain.startswith(b"\n"):
                plain, late = plain[1:], fate
        self._held += plain
        return late

    def _events(self) -> Iterator[bytes]:
        """Take all complete events; yield those that go on."""
        start = 0
        for end in _EVENT_END.finditer(self._held, self._searched):
            event = bytes(self._held[start : end.end()])
            start = end.end()
            hidden = _is_usage_only(event)
            if event.endswith(b"\r") and start == len(self._held):
                self._line_feed = b"" if hidden else b"\n"
            if not hidden:
                yield event
        del self._held[:start]
        self._searched = max(0, len(self._held) - 3)


def filter_for(headers: MutableMapping[str, str], version: str) -> UsageFilter | None:
    """Return a filter for an answer with these headers, and change them as it needs; None if it cannot be filtered.

    `version` is the HTTP of the client. A body that has lost its length ends as that has it: with a last chunk, frame,
    or with the connection.
    """
    if "text/event-stream" not in headers.get("content-type", "") or headers.get("content-length") == "0":
        return None
    try:
        usage_filter = UsageFilter(headers.get("content-encoding", ""))
    except Undecodable:
        return None
    headers.pop("content-encoding", None)
    if headers.pop("content-length", None) is not None and version == "HTTP/1.1":
        headers["transfer-encoding"] = "chunked"
    return usage_filter


def _is_usage_only(event: bytes) -> bool:
    if b'"usage"' not in event:
        return False
    data = b"\n".join(line[5:] for line in re.split(rb"\r\n|\n|\r", event) if line.startswith(b"data:"))
    try:
        chunk = _CHUNK.decode(data)
    except (ValueError, RecursionError):
        return False
    return chunk.choices == [] and bytes(chunk.usage) not in _ABSENT
