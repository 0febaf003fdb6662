"""HTTP/1.1 as bytes, for both ends: heads are written as they are told, whatever they hold."""

import asyncio
from collections.abc import Iterable

LONGEST_HEAD = 1 << 22
_NO_BODY = (204, 304)


def head(first: str, headers: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a first line and headers as bytes."""
    lines = [name.encode() + b": " + value for name, value in headers]
    return b"\r\n".join([first.encode("latin-1"), *lines, b"", b""])


def chunk(piece: bytes) -> bytes:
    """Return a piece as a chunk."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """Read a head; return its first line, and its headers by their names in small letters."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}


async def read_body(
    reader: asyncio.StreamReader, headers: dict[str, str], into: bytearray, *, until: int | None
) -> None:
    """Read a body into `into`, to its end, or until it has `until` bytes.

    Raises:
        asyncio.IncompleteReadError, OSError: it ended before its end.
    """
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            into += await reader.readexactly(size)
            await reader.readexactly(2)
            if until is not None and len(into) >= until:
                return
        await reader.readexactly(2)
        return
    left = int(headers["content-length"]) if "content-length" in headers else None
    while left != 0:
        piece = await reader.read(1 << 16 if left is None else min(left, 1 << 16))
        if not piece:
            if left:
                raise asyncio.IncompleteReadError(bytes(into), left)
            return
        into += piece
        left = None if left is None else left - len(piece)


def has_body(status: int) -> bool:
    """Return True if an answer of this status has a body."""
    return status not in _NO_BODY
