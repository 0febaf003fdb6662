"""Content decoding: Content-Encoding is undone piece by piece, for reading only.

A decoder is fed the bytes as they pass and gives back what they stand for. Its output is bounded in two ways: a piece
is at most a few MiB, so that a zip bomb never stands in memory at once, and the whole may not exceed `LIMIT` plus
`MAX_RATIO` times the input. `Undecodable` says that the bytes are not what the header promises, `TooLarge` that the
bound was passed. No I/O, no clock.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import brotli
import zstandard

LIMIT = 16 * 1024 * 1024
"""Bytes of a decoded copy that are kept for parsing, for each direction of an exchange."""

MAX_RATIO = 100
"""A long stream of JSON compresses 10 to 30 times; more than this over 16 MiB is a bomb."""

_PIECE = 1024 * 1024
_GZIP, _ZSTD = b"\x1f", b"\x28"  # how another member, or frame, begins


class Unreadable(Exception):  # noqa: N818 - a property of the bytes
    """A body can be read no further."""

    fault = ""
    """The counter that tells."""
    before: Sequence[tuple[bytes, bytes]] = ()
    """Payloads that a framing had completed of the same read."""


class Undecodable(Unreadable):
    """The bytes are not in the encoding that the header names, or the encoding is none we know."""

    fault = "undecodable"


class TooLarge(Unreadable):
    """The decoded body is beyond the bound."""

    fault = "body_too_large"


class Decoder(Protocol):
    """One content coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, in pieces of at most a few MiB.

        Raises:
            Undecodable: the bytes are not in this coding.
        """
        ...


class _Deflate:
    """gzip, and deflate: zlib's format by the standard, the bare one from some servers; two bytes tell which."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._head = b""
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16) if gzip else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._zlib is None:
            self._head += data
            if len(self._head) < 2:  # noqa: PLR2004 - the header of zlib's format, RFC 1950
                return
            data, zlibs = self._head, self._head[0] & 15 == 8 and int.from_bytes(self._head[:2]) % 31 == 0  # noqa: PLR2004
            self._zlib = zlib.decompressobj(zlib.MAX_WBITS if zlibs else -zlib.MAX_WBITS)
        full = False
        while data or full:
            if self._zlib.eof:
                if not (self._gzip and data.startswith(_GZIP)):  # gzip allows members one after the other
                    return
                self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                out = self._zlib.decompress(data, _PIECE)
            except zlib.error as error:
                raise Undecodable(str(error)) from error
            full = len(out) == _PIECE  # more may wait inside, even when no input is left
            data = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            if out:
                yield out


class _Brotli:
    def __init__(self) -> None:
        self._brotli = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._brotli.is_finished():
            return
        try:
            out = self._brotli.process(data, output_buffer_limit=_PIECE)
            while out:
                yield out
                out = self._brotli.process(b"", output_buffer_limit=_PIECE)
        except brotli.error as error:
            raise Undecodable(str(error)) from error


class _Zstd:
    # One block of 4 bytes can stand for 128 KiB, and zstandard has no limit on its output: so the input is cut small.
    _SLICE = 256

    def __init__(self) -> None:
        self._zstd = self._new()

    @staticmethod
    def _new() -> "zstandard.ZstdDecompressionObj":
        return zstandard.ZstdDecompressor(max_window_size=LIMIT).decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._zstd.eof:
                if not data.startswith(_ZSTD):  # zstd allows frames one after the other
                    return
                self._zstd = self._new()
            try:
                out = self._zstd.decompress(data[: self._SLICE])
            except zstandard.ZstdError as error:
                raise Undecodable(str(error)) from error
            data = (self._zstd.unused_data if self._zstd.eof else b"") + data[self._SLICE :]
            if out:
                yield out


class _Chain:
    """Several codings, undone in the opposite order of the header's, each within the bound."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders
        self._allowed = [LIMIT] * len(decoders)

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._allowed = [allowed + len(data) * MAX_RATIO for allowed in self._allowed]
        return self._through(data, 0)

    def _through(self, data: bytes, stage: int) -> Iterator[bytes]:
        if stage == len(self._decoders):
            yield data
            return
        for out in self._decoders[stage].feed(data):
            self._allowed[stage] -= len(out)
            if self._allowed[stage] < 0:
                raise TooLarge
            yield from self._through(out, stage + 1)


_CODINGS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Deflate(gzip=True),
    "x-gzip": lambda: _Deflate(gzip=True),
    "deflate": lambda: _Deflate(gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}


def decoder_for(content_encoding: str) -> Decoder | None:
    """Return a decoder for a Content-Encoding header; None where the bytes stand for themselves.

    Raises:
        Undecodable: a coding is none we know.
    """
    if not content_encoding:
        return None
    names = [name for part in content_encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    if not names:
        return None
    if len(names) > 4 or any(name not in _CODINGS for name in names):  # noqa: PLR2004 - nobody stacks more in earnest
        message = f"content-encoding {content_encoding[:80]!r}"
        raise Undecodable(message)
    return _Chain([_CODINGS[name]() for name in reversed(names)])
