"""The bytes of an HTTP/1 body, read and written as mitmproxy's own reader and writer would, many chunks at once.

Each reader is h11's. It is told what was taken, so that h11 goes on from there: what is unusual is left to it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from h11._readers import ChunkedReader, ContentLengthReader, Http10Reader

_END_OF_LINE: Final = b"\r\n"
_MOST_DIGITS: Final = 20  # that h11 takes for a chunk's size
_is_size: Final = re.compile(rb"[0-9A-Fa-f]{1,20}").fullmatch


class Taken(NamedTuple):
    """A part of a body."""

    body: bytes
    """The content, without what frames it."""
    wire: bytes
    """The same, as mitmproxy sends it on to a peer that gets chunks."""
    rest: bytes
    """Bytes that were left: the end, half a chunk, an extension, nonsense."""


def chunk(data: bytes) -> bytes:
    """Return data as mitmproxy writes a chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _take_chunks(reader: ChunkedReader, data: bytes) -> Taken:
    """Take the rest of a chunk, and whole chunks after it."""
    if reader._reading_trailer:
        return Taken(b"", b"", data)
    pieces: list[bytes] = []
    wire: list[bytes] = []
    start = 0
    if left := reader._bytes_in_chunk:
        piece = data[:left]
        pieces.append(piece)
        wire.append(chunk(piece))
        start = len(piece)
        reader._bytes_in_chunk = left - start
        if start == left:
            reader._bytes_to_discard = _END_OF_LINE
    if start < len(data) and (footer := reader._bytes_to_discard):
        if not data.startswith(footer, start):
            return Taken(b"".join(pieces), b"".join(wire), data[start:])
        start += len(footer)
        reader._bytes_to_discard = b""
    at = start
    while (line := data.find(_END_OF_LINE, at, at + _MOST_DIGITS + 2)) > at:
        digits = data[at:line]
        if not _is_size(digits):
            break
        size = int(digits, 16)
        end = line + 2 + size
        if not size or data[end : end + 2] != _END_OF_LINE:
            break
        pieces.append(data[line + 2 : end])
        if digits != b"%x" % size:  # mitmproxy writes it so
            wire += data[start:at], chunk(pieces[-1])
            start = end + 2
        at = end + 2
    wire.append(data[start:at])
    return Taken(b"".join(pieces), b"".join(wire), data[at:])


def _take_counted(reader: ContentLengthReader, data: bytes) -> Taken:
    """Take data unless the body ends in it."""
    if len(data) >= reader._remaining:
        return Taken(b"", b"", data)
    reader._remaining -= len(data)
    return Taken(data, chunk(data), b"")


def _take_all(_reader: Http10Reader, data: bytes) -> Taken:
    return Taken(data, chunk(data), b"")


_TAKE: Final[Mapping[type, Callable[[Any, bytes], Taken]]] = {
    ChunkedReader: _take_chunks,
    ContentLengthReader: _take_counted,
    Http10Reader: _take_all,
}


def take(reader: ChunkedReader | ContentLengthReader | Http10Reader, data: bytes) -> Taken:
    """Take as much of non-empty data as is usual, and tell the reader so."""
    return _TAKE[type(reader)](reader, data)
