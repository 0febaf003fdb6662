"""Values as providers and clients write them, made fit to be stored: right type, bounded, printable; else None."""

import math
import re

import msgspec

_LONGEST = 256
# Control characters, half characters, and what has no width or turns the direction of a line, so that it hides or
# moves what stands beside it.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)
_LARGEST = 10**12  # no call counts more of anything, and a million such counts can still be added up in 64 bits
_MOST_DIGITS = 18  # 64 bits
_WORD = re.compile(r"[\w.:/ -]{0,64}", re.ASCII)
_NOTHING = (b"", b'""', b"null")
_LONGEST_NOTHING = 4


def text(value: object, longest: int = _LONGEST) -> str | None:
    """Return a non-empty string of at most `longest` characters: one line, no control characters, no surrogates."""
    if not isinstance(value, str) or not value:
        return None
    value = value[:longest]
    return value if value.isprintable() else _UNPRINTABLE.sub(_printable, value)


def is_word(value: str) -> bool:
    """Tell whether a text is a name and no prose: a provider may call a text anything, so only names are kept."""
    return _WORD.fullmatch(value) is not None


def integer(value: object) -> int | None:
    """Return a whole number that is not negative, and not larger than anything that can be counted in a call."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST else None  # a bool is none: its type is another


def count(digits: str) -> int | None:
    """Read a header that is a number of things, without sign; None if it is none."""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else None


def number(value: object) -> float | None:
    """Return a finite number."""
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return None
    return value if type(value) is float and math.isfinite(value) else None


def has_value(raw: msgspec.Raw) -> bool:
    """Tell whether a JSON value is there and neither null nor an empty string, without copying what may be an image."""
    view = memoryview(raw)
    return view.nbytes > _LONGEST_NOTHING or bytes(view) not in _NOTHING


def _printable(found: re.Match[str]) -> str:
    return " " if found.group() in "\t\n\r" else "\N{REPLACEMENT CHARACTER}"
