"""JSON to typed structs: only the fields that are named are built, everything else is skipped.

The leaves of those structs are `Any`, so that one field of an unexpected type does not cost the others; what a leaf
may be is decided where it is used (`values.py`).
"""

import json
import math

import msgspec

_LARGEST_RETRY = 1024 * 1024  # bytes: the slow way must not hold the event loop
_MOST_DIGITS = 20  # of a whole number: more than 64 bits have


class Unparsed(Exception):  # noqa: N818 - a property of the bytes
    """The bytes are not the JSON that was asked for."""


def decoded[T](decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode `data`.

    Raises:
        Unparsed: not JSON, or not of the decoder's shape.
    """
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        if len(data) > _LARGEST_RETRY:
            raise Unparsed from error
        try:
            return decoder.decode(_mended(data))
        except (ValueError, RecursionError) as again:
            raise Unparsed from again


def _mended(data: bytes) -> bytes:
    """Write JSON anew without what msgspec refuses: NaN, and lone surrogates of an answer cut between code units.

    Numbers that are none, or beyond a float, become null: one of them does not cost the other fields.
    """
    value = json.loads(
        data.decode("utf-8", "replace"), parse_constant=lambda _: None, parse_float=_finite, parse_int=_countable
    )
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _countable(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None
