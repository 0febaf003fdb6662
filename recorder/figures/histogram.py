"""Percentiles of what was only counted: values fall into buckets whose width grows with the value.

Each power of two is divided into `PER_OCTAVE` equal parts, so a bucket's middle is at most 1/32 = 3.125 % from every
value in it (`RELATIVE_ERROR`). Counts of the same bucket can be added over any periods, which percentiles cannot.
Values below 1/16 are in the first bucket, those of 2^24 (4.7 hours in ms) and more in the last. The layout is that of
HdrHistogram, with four significant bits instead of decimal digits.
"""

import math
from collections.abc import Mapping
from typing import Final

PER_OCTAVE: Final = 16
RELATIVE_ERROR: Final = 1 / (2 * PER_OCTAVE)
SHARES: Final = (0.5, 0.95, 0.99)

_LOWEST, _HIGHEST = -4, 24  # powers of two
_LEAST, _MOST = 2.0**_LOWEST, 2.0**_HIGHEST
_LAST = (_HIGHEST - _LOWEST) * PER_OCTAVE
_OFFSET = -(_LOWEST + 2) * PER_OCTAVE  # frexp() gives halves of powers of two: 1 is 0.5 * 2^1


def bucket_of(value: float) -> int:
    """The number of the value's bucket, from 0."""
    if value < _LEAST:
        return 0
    if value >= _MOST:
        return _LAST
    mantissa, exponent = math.frexp(value)
    return exponent * PER_OCTAVE + int(mantissa * (2 * PER_OCTAVE)) + _OFFSET


def middle(bucket: int) -> float:
    """What the bucket stands for. The views say it as `(1 << (bucket / 16)) * (16.5 + bucket % 16) / 256`."""
    octave, part = divmod(bucket, PER_OCTAVE)
    return math.ldexp(1 + (part + 0.5) / PER_OCTAVE, octave + _LOWEST)


def percentiles(counts: Mapping[int, int], shares: tuple[float, ...]) -> tuple[float, ...]:
    """The values at `shares` (0 to 1, ascending) by nearest rank: the smallest that so many are not above.

    Raises:
        ValueError: `counts` is empty.
    """
    total = sum(counts.values())
    if not total:
        message = "no values were counted"
        raise ValueError(message)
    found: list[float] = []
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        while len(found) < len(shares) and seen >= shares[len(found)] * total:
            found.append(middle(bucket))
    return tuple(found)
