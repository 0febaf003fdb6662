"""The gaps between output events of one stream, in memory that does not grow with the stream.

A gap is counted in a bucket of a logarithmic scale; a percentile is the geometric middle of its bucket. Buckets are
2 % wide, so a percentile is within 1 % of the exact nearest-rank one; the maximum is exact.
"""

from math import ceil, exp, log

_WIDTH = log(1.02)
_FLOOR_MS = 0.001


class Gaps:
    """Counts of gaps, each in milliseconds."""

    __slots__ = ("_buckets", "_count", "max_ms")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self._count = 0
        self.max_ms: float | None = None

    def add(self, gap_ms: float) -> None:
        """Count one gap."""
        bucket = int(log(max(gap_ms, _FLOOR_MS) / _FLOOR_MS) / _WIDTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self._count += 1
        if self.max_ms is None or gap_ms > self.max_ms:
            self.max_ms = gap_ms

    def percentile(self, share: float) -> float | None:
        """Return the gap in milliseconds that `share` (0 to 1) of all gaps do not exceed; None without gaps."""
        rank = ceil(share * self._count)
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                middle = _FLOOR_MS * exp((bucket + 0.5) * _WIDTH)
                return min(middle, self.max_ms) if self.max_ms is not None else middle
        return None
