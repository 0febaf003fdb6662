"""The gaps between output events of one stream, in memory that does not grow with the stream.

Up to a thousand are kept as they are, and percentiles are exact. Beyond that they are counted in buckets of a
logarithmic scale: a bucket is 2 % wide and stands for its geometric middle, so a percentile is within 1 % of the exact
nearest-rank one. The maximum is always exact.
"""

from array import array
from math import ceil, exp, log

_KEPT = 1_000
_WIDTH = log(1.02)
_FLOOR_NS = 1_000
_MS = 1e6


class Gaps:
    """Gaps in nanoseconds go in, milliseconds come out."""

    __slots__ = ("_buckets", "_kept", "_max")

    def __init__(self) -> None:
        self._kept = array("q")
        self._buckets: dict[int, int] = {}
        self._max = -1

    def add(self, gap_ns: int) -> None:
        """Count one gap."""
        self._kept.append(gap_ns)
        if len(self._kept) > _KEPT:
            self._count()

    @property
    def max_ms(self) -> float | None:
        """The longest gap; None without gaps."""
        longest = max(self._kept, default=-1)
        return max(longest, self._max) / _MS if longest >= 0 or self._max >= 0 else None

    def percentile(self, share: float) -> float | None:
        """Return the gap in milliseconds that `share` (0 to 1) of all gaps do not exceed; None without gaps."""
        if not self._buckets:
            gaps = sorted(self._kept)
            return gaps[max(ceil(share * len(gaps)), 1) - 1] / _MS if gaps else None
        self._count()
        rank = ceil(share * sum(self._buckets.values()))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return min(_FLOOR_NS * exp((bucket + 0.5) * _WIDTH), self._max) / _MS
        return None

    def _count(self) -> None:
        for gap in self._kept:
            bucket = int(log(gap / _FLOOR_NS) / _WIDTH) if gap > _FLOOR_NS else 0
            self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
            self._max = max(self._max, gap)
        del self._kept[:]
