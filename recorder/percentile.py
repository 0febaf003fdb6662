"""Percentiles by nearest rank: exact ones of values, close ones of counts in buckets, and the SQL functions.

The p-th percentile of n values is the one at place ceil(p / 100 * n) of their order, the first for p = 0: always a
value that occurs, never one between two. Every figure of this product that is called a percentile is this one.

Of values that are there it is exact (`nearest_rank`). Where values are too many or too old to be kept they are only
counted, in buckets whose width grows with the value: each power of two is divided into `PER_OCTAVE` equal parts, so a
bucket's middle is at most 1/32 = 3.125 % from every value in it (`RELATIVE_ERROR`), and so is a percentile of counts
from that of the values. Counts of the same bucket can be added over any periods, which percentiles cannot. The layout
is that of HdrHistogram, with four significant bits instead of decimal digits.

SQLite from 3.51 on may have functions of these names that interpolate; on a connection that `register` was called for,
ours stand in their place.
"""

import logging
import math
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, NoReturn

from llm_metrics_proxy.recorder.reporting import printable

logger = logging.getLogger(__name__)

type Number = int | float

# Name and percentage; None: it is the second argument.
_FUNCTIONS: dict[str, int | None] = {"percentile": None, "median": 50, "p50": 50, "p90": 90, "p95": 95, "p99": 99}
_HUNDRED = 100
_LONGEST = 40  # characters of a value in a message
_NOT_GIVEN = object()


def nearest_rank[N: Number](ordered: Sequence[N], percent: Number) -> N | None:
    """The percentile of values in ascending order; None if there are none. `percent` is from 0 to 100."""
    return ordered[_rank(percent, len(ordered)) - 1] if ordered else None


def _rank(percent: Number, count: int) -> int:
    """The place of the percentile in the order of so many values, from 1."""
    # In decimals as they were typed: as binary fractions, 55.1 % of 1,000 values are a little more than 551 of them.
    exact = percent if isinstance(percent, int) else Decimal(str(percent))
    return max(math.ceil(exact * count / _HUNDRED), 1)


def register(connection: sqlite3.Connection) -> None:
    """Give the connection `percentile(x, p)`, `median(x)`, `p50(x)`, `p90(x)`, `p95(x)` and `p99(x)`.

    They leave NULLs out and answer NULL where no value is left. Each may be a window function as well.
    """
    for name, percent in _FUNCTIONS.items():
        values: Callable[[], Any] = partial(_Values, name, percent)  # of two arguments typeshed knows no method
        connection.create_window_function(name, 2 if percent is None else 1, values)


class _Values:
    """The values of one group, or of one window; its methods are what SQLite calls."""

    def __init__(self, name: str, percent: Number | None) -> None:
        self._name = name
        self._percent = percent
        self._values: list[Number] = []
        self._is_ordered = True

    def step(self, value: object, percent: object = _NOT_GIVEN) -> None:
        if percent is not _NOT_GIVEN and (percent is None or percent != self._percent):
            self._take(percent)
        if value is None:
            return
        if not isinstance(value, int | float):
            self._fail(f"{_shown(value)} is not a number: leave it out, or convert it with cast(... as real)")
        self._values.append(value)
        self._is_ordered = False

    def inverse(self, value: object, _percent: object = None) -> None:
        if isinstance(value, int | float):
            ordered = self._ordered()
            del ordered[bisect_left(ordered, value)]

    def value(self) -> Number | None:
        return None if self._percent is None else nearest_rank(self._ordered(), self._percent)

    def finalize(self) -> Number | None:
        return self.value()

    def _ordered(self) -> list[Number]:
        if not self._is_ordered:
            self._values.sort()
            self._is_ordered = True
        return self._values

    def _take(self, percent: object) -> None:
        if not isinstance(percent, int | float) or not 0 <= percent <= _HUNDRED:
            self._fail(f"the percentage is {_shown(percent)}: give a number from 0 to 100")
        if self._percent is not None:
            self._fail(f"the percentage is {self._percent} and then {percent}: give the same for all rows of a group")
        self._percent = percent

    def _fail(self, problem: str) -> NoReturn:
        # SQLite only passes on that a step raised an error. The log says why: on stderr, where nobody set it up.
        message = f"{self._name}(): {problem}."
        logger.error(message)
        raise ValueError(message)


def _shown(value: object) -> str:
    """`value` as SQL would have it, shortened and safe to print."""
    if isinstance(value, str):
        return f"'{printable(value[:_LONGEST])}'"
    return {type(None): "NULL", bytes: "a blob"}.get(type(value)) or str(value)


PER_OCTAVE: Final = 16
RELATIVE_ERROR: Final = 1 / (2 * PER_OCTAVE)
LAST_STORED: Final = 448

_LOWEST = -4  # 2 to the power of it is where bucket 0 begins
_FIRST_LIMIT, _LAST_LIMIT = 2.0**_LOWEST, 2.0 ** (_LOWEST + LAST_STORED // PER_OCTAVE)
_OFFSET = -(_LOWEST + 2) * PER_OCTAVE  # frexp() gives halves of powers of two: 1 is 0.5 * 2^1


def bucket_of(value: float) -> int:
    """The number of a positive value's bucket: 0 for 1/16, 64 for 1, negative for less than 1/16."""
    mantissa, exponent = math.frexp(value)
    return exponent * PER_OCTAVE + int(mantissa * (2 * PER_OCTAVE)) + _OFFSET


def stored_bucket_of(value: float) -> int:
    """The same within what the roll-up stores: 0 for all below 1/16, `LAST_STORED` from 2^24 (4.7 hours in ms) on."""
    if value < _FIRST_LIMIT:
        return 0
    return LAST_STORED if value >= _LAST_LIMIT else bucket_of(value)


def middle(bucket: int) -> float:
    """The value that stands for the bucket. In the views: `(1 << (bucket / 16)) * (16.5 + bucket % 16) / 256`."""
    octave, part = divmod(bucket, PER_OCTAVE)
    return math.ldexp(1 + (part + 0.5) / PER_OCTAVE, octave + _LOWEST)


def percentiles(counts: Mapping[int, int], percents: Sequence[Number]) -> tuple[float, ...]:
    """The percentiles of values of which so many are in each bucket; `percents` are from 0 to 100, ascending.

    Raises:
        ValueError: `counts` is empty.
    """
    total = sum(counts.values())
    if not total:
        message = "no values were counted"
        raise ValueError(message)
    ranks = [_rank(percent, total) for percent in percents]
    found: list[float] = []
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        while len(found) < len(ranks) and seen >= ranks[len(found)]:
            found.append(middle(bucket))
    return tuple(found)
