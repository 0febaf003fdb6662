"""Values of columns as OTLP can carry them; None for what is no value of that kind.

SQLite keeps what it was given, whatever the column's type, and texts come from clients and servers: they may hold what
protobuf refuses (lone surrogates), what databases behind receivers refuse (NUL), and megabytes.
"""

import math
from typing import Final

_LONGEST_TEXT: Final = 1_000  # characters
_LONGEST_JSON: Final = 8_000
_HIGHEST: Final = 2**63


def text(value: object) -> str | None:
    """At most the beginning of a text."""
    if isinstance(value, bytes):
        value = value[: 4 * _LONGEST_TEXT].decode(errors="replace")
    if not isinstance(value, str):
        return None
    value = value[:_LONGEST_TEXT]
    if not value.isascii():
        value = value.encode(errors="replace").decode()
    if "\0" in value:
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value or None


def document(value: object) -> str | None:
    """JSON as it is; a part of it would be none, so what is too long is left out."""
    if not isinstance(value, str) or len(value) > _LONGEST_JSON:
        return None
    return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def whole(value: object) -> int | None:
    """A whole number of 64 bits with sign."""
    if isinstance(value, int):
        return value if -_HIGHEST <= value < _HIGHEST else None
    if isinstance(value, float) and value.is_integer() and -_HIGHEST <= value < _HIGHEST:
        return int(value)
    return None


def real(value: object) -> float | None:
    """A finite number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def flag(value: object) -> bool | None:
    """What SQLite has as 0 and 1."""
    return bool(value) if isinstance(value, int) else None


def texts(value: object) -> tuple[str, ...] | None:
    """A list of one text."""
    return (one,) if (one := text(value)) is not None else None


def seconds(value: object) -> float | None:
    """Milliseconds as seconds."""
    return ms / 1000 if (ms := real(value)) is not None else None
