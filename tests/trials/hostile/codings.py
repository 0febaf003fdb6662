"""Content codings: true ones, stacked ones, lies, and bombs, which are made once."""

import gzip
import random
import zlib
from collections.abc import Callable
from functools import cache
from typing import Final

import brotli
import zstandard

CODINGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "deflate": lambda data: zlib.compress(data, 1),
    "br": lambda data: bytes(brotli.compress(data, quality=1)),
    "zstd": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
}
NAMES: Final = (
    "gzip",
    "br",
    "zstd",
    "deflate",
    "x-gzip",
    "gzip, gzip",
    "br, gzip, zstd",
    "compress",
    "\0",
    "identity",
    "gzip;q=1",
)
_BOMB_BYTES = 100 << 20


def encoded(numbers: random.Random, data: bytes) -> tuple[bytes, bytes]:
    """Return the header's value and the data, encoded once or several times."""
    names = numbers.choices(list(CODINGS), k=numbers.choice((1, 1, 1, 2, 3)))
    for name in names:
        data = CODINGS[name](data)
    return ", ".join(names).encode(), data


@cache
def bomb(*names: str) -> bytes:
    """Return 100 MB of nothing, encoded: a few KB, or fewer."""
    data = b'{"model":"' + bytes(_BOMB_BYTES)
    for name in names:
        data = CODINGS[name](data)
    return data
