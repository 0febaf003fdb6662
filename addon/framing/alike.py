"""Events alike: the same bytes as one that was read, but for values of which it only counts that they are there.

Nearly all of a stream is one event again and again, with another text in it. To compare bytes is quicker than to read
JSON, and says as much: what a format reads in an event (`WireFormat.free`) is the same in both. Hundreds are compared
at once: what they have in common becomes a sign each, and one expression looks at what is left.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

_BACKSLASH = b"\\"
_MOST_VALUES = 3
_LONGEST = 160 * 1024  # bytes that are compared at once; no more events fit in than a framing takes
# Signs: the end of a piece, a piece that is not alike, what stands between two events, after the last, between values.
_PIECE, _OTHER, _NEXT, _END, _BETWEEN = b"\0", b"\1", b"\2", b"\3", (b"\4", b"\5")
# The inside of a string that is valid JSON, and not empty; no half of a surrogate pair, which not every parser takes.
_TEXT = rb"""
    (?![\x02-\x05]) [ !\#-\[\]-\x7f]*+ (?: (?: \\["\\/bfnrt] | \\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}
    | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
    | [\xc2-\xdf][\x80-\xbf] | \xe0[\xa0-\xbf][\x80-\xbf] | \xed[\x80-\x9f][\x80-\xbf]
    | [\xe1-\xec\xee\xef][\x80-\xbf]{2}
    | \xf0[\x90-\xbf][\x80-\xbf]{2} | [\xf1-\xf3][\x80-\xbf]{3} | \xf4[\x80-\x8f][\x80-\xbf]{2}
    ) [ !\#-\[\]-\x7f]*+ )*+
"""
_NUMBER = rb"(?: 0 | [1-9][0-9]{0,17} )"


def free_values(texts: Iterable[str], numbers: Iterable[str] = ()) -> re.Pattern[bytes]:
    """Return what finds the values of such keys in JSON without backslashes: texts that are not empty, or digits."""
    text, number = "|".join(map(re.escape, texts)), "|".join(map(re.escape, numbers)) or "(?!)"
    return re.compile(rf'"(?:{text})": ?"([^"]+)"|"(?:{number})": ?([0-9]+)(?=[,}}])'.encode())


class Alike:
    """An event, to which others are compared."""

    __slots__ = ("_before", "_between", "_end", "_run")

    def __init__(self, common: Sequence[bytes], *, are_texts: tuple[bool, ...]) -> None:
        self._before, *self._between, self._end = common
        self._run = _run_of(are_texts)

    def compare(self, pieces: Sequence[bytes]) -> "Compared | None":
        """Compare pieces of a stream, of which the first begins with an event."""
        before, size = self._before, len(self._before)
        left = _PIECE.join([piece[size:] if piece.startswith(before) else _OTHER for piece in pieces] + [b""])
        if (
            len(left) > _LONGEST
            or _NEXT in left
            or _END in left
            or any(sign in left for sign in _BETWEEN)
            or left.count(0) != len(pieces)
        ):
            return None
        left = _NEXT.join(left.split(self._end + before))  # half the time that replace() takes
        for common, sign in zip(self._between, _BETWEEN, strict=False):
            left = sign.join(left.split(common))
        return Compared(left.replace(self._end, _END), self._run)


class Compared:
    """Pieces of a stream, as far as they are not like the event."""

    __slots__ = ("_at", "_left", "_run")

    def __init__(self, left: bytes, run: re.Pattern[bytes]) -> None:
        self._left, self._run = left, run
        self._at = 0

    def counts(self) -> list[int]:
        """Return how many events are in each of the pieces that come next, as long as they hold nothing else."""
        found = self._run.match(self._left, self._at)
        if found is None:
            return []
        self._at = found.end()
        if _NEXT not in found[0]:
            return [1] * found[0].count(_PIECE)
        return [1 + piece.count(_NEXT) for piece in found[0].split(_PIECE)[:-1]]

    def skip(self) -> None:
        """Go on after the next piece."""
        self._at = self._left.find(_PIECE, self._at) + 1


def alike_to(event: bytes, free: re.Pattern[bytes]) -> Alike | None:
    """Return what finds events that are like `event`, which holds JSON; None if it has no value that is `free`."""
    if _BACKSLASH in event:
        return None
    found = [(one.lastindex == 1, *one.span(one.lastindex or 0)) for one in free.finditer(event)]
    if not 0 < len(found) <= _MOST_VALUES:
        return None
    ends = [0] + [end for _, _, end in found]
    starts = [start for _, start, _ in found] + [len(event)]
    common = [event[end:start] for end, start in zip(ends, starts, strict=True)]
    return Alike(common, are_texts=tuple(is_text for is_text, _, _ in found))


@lru_cache(maxsize=64)
def _run_of(are_texts: tuple[bool, ...]) -> re.Pattern[bytes]:
    """Return what finds as many pieces of nothing but events as there are."""
    values = [_TEXT if is_text else _NUMBER for is_text in are_texts]
    event = values[0] + b"".join(sign + value for sign, value in zip(_BETWEEN, values[1:], strict=False))
    return re.compile(b"(?:%b(?:%b%b)*+%b%b)++" % (event, _NEXT, event, _END, _PIECE), re.VERBOSE)
