"""Times of an exchange: upload, first byte, first output, first answer, last output, and the gaps between outputs.

Moments are nanoseconds of one monotonic clock, given by the caller; columns are milliseconds from the first of them.
Gaps take memory that does not grow with the stream. Noting a moment is one step, for it happens with every event; the
rest is done for a thousand at a time. Up to a thousand gaps are kept as they are, and percentiles are exact. Beyond
that they are counted in the buckets of recorder/percentile.py, and a percentile is within 3.125 % of the exact one. The
maximum is always exact.
"""

from collections import Counter
from operator import sub

from llm_metrics_proxy.addon.headers import Columns
from llm_metrics_proxy.addon.providers.format import Output
from llm_metrics_proxy.addon.providers.usage import Tokens
from llm_metrics_proxy.recorder.percentile import bucket_of, nearest_rank, percentiles

_KEPT = 1_000
_MS = 1e6


class Gaps:
    """Moments go in as nanoseconds of one clock, gaps come out as milliseconds. Events of one moment have no gap."""

    __slots__ = ("_buckets", "_count", "_first", "_gaps", "_last", "_max", "_moments")

    def __init__(self) -> None:
        self._moments: list[int] = []  # not looked at yet
        self._gaps: list[int] = []
        self._buckets: Counter[int] | None = None  # until there are too many gaps to keep
        self._max = -1
        self._count = 0
        self._first: int | None = None
        self._last: int | None = None

    def add(self, at: int) -> None:
        """Note an event."""
        self._moments.append(at)
        if len(self._moments) > _KEPT:
            self._settle()

    def add_all(self, moments: list[int]) -> None:
        """Note events, in their order."""
        self._moments += moments
        if len(self._moments) > _KEPT:
            self._settle()

    @property
    def events(self) -> int:
        """The number of events."""
        return self._count + len(self._moments)

    @property
    def first(self) -> int | None:
        """The moment of the first event."""
        self._settle()
        return self._first

    @property
    def last(self) -> int | None:
        """The moment of the last event."""
        self._settle()
        return self._last

    @property
    def max_ms(self) -> float | None:
        """The longest gap; None without gaps."""
        self._settle()
        longest = max(max(self._gaps, default=-1), self._max)
        return longest / _MS if longest >= 0 else None

    def percentile(self, percent: int) -> float | None:
        """Return the percentile of the gaps, in milliseconds; None without gaps."""
        self._settle()
        if self._buckets is not None:
            (near,) = percentiles(self._into_buckets(), (percent,))
            return min(near, self._max) / _MS
        self._gaps.sort()  # their order says nothing; the next percentile finds them sorted
        gap = nearest_rank(self._gaps, percent)
        return None if gap is None else gap / _MS

    def _settle(self) -> None:
        """Turn the moments into gaps."""
        moments = self._moments
        if not moments:
            return
        if self._last is None:
            self._first = self._last = moments[0]
        self._gaps += [gap for gap in map(sub, moments, [self._last, *moments]) if gap > 0]
        self._last = moments[-1]
        self._count += len(moments)
        moments.clear()
        if len(self._gaps) > _KEPT:
            self._into_buckets()

    def _into_buckets(self) -> Counter[int]:
        if self._buckets is None:
            self._buckets = Counter()
        self._max = max(self._max, max(self._gaps, default=-1))
        self._buckets.update(map(bucket_of, self._gaps))
        self._gaps.clear()
        return self._buckets


_SHORTEST_WINDOW_NS = 10_000_000
_FEWEST = 2
_REASONING = Output.REASONING


class Timing:
    """The moments of one exchange, from `start`, its t0."""

    __slots__ = ("first_answer", "first_byte", "outputs", "reasoned", "start", "uploaded")

    def __init__(self, start: int) -> None:
        self.start = start
        self.uploaded: int | None = None
        self.first_byte: int | None = None
        self.first_answer: int | None = None
        self.reasoned = False
        self.outputs = Gaps()

    def output(self, kind: Output, at: int) -> None:
        """Note one stream event with output."""
        self.outputs.add(at)  # events of one read came together: no gap between them
        self.turn(kind, at)

    def turn(self, kind: Output, at: int) -> None:
        """Note that output of this kind begins; its moments are noted one by one, or in `outputs` directly."""
        if kind is _REASONING:
            self.reasoned = True
        elif self.first_answer is None:
            self.first_answer = at

    def columns(self, end: int, tokens: Tokens | None) -> Columns:
        """Return the columns that are times; `tokens` of a complete stream, None for anything else."""
        outputs = self.outputs
        columns: Columns = {
            "response_time_ms": self._whole_ms(end),
            "time_to_first_byte_ms": self._ms(self.first_byte),
            "upload_ms": self._ms(self.uploaded),
        }
        if outputs.events:
            columns |= {
                "time_to_first_token_ms": self._whole_ms(outputs.first),
                "time_to_last_token_ms": self._whole_ms(outputs.last),
                "time_to_first_answer_ms": self._ms(self.first_answer),
                "chunk_gap_p50_ms": outputs.percentile(50),
                "chunk_gap_p95_ms": outputs.percentile(95),
                "chunk_gap_max_ms": outputs.max_ms,
                "tokens_per_second": self._decode_rate(tokens) if tokens is not None else None,
            }
        return columns

    def _ms(self, moment: int | None) -> float | None:
        return None if moment is None else (moment - self.start) / 1e6

    def _whole_ms(self, moment: int | None) -> int | None:
        return None if moment is None else round((moment - self.start) / 1e6)

    def _decode_rate(self, tokens: Tokens) -> float | None:
        """Return tokens per second, (V - 1) / (last - first), where it means anything.

        V is the completion tokens, less the reasoning tokens when none of those were streamed.
        """
        first, last = self.outputs.first, self.outputs.last
        if tokens.completion_tokens is None or first is None or last is None:
            return None
        visible = tokens.completion_tokens - (0 if self.reasoned else tokens.reasoning_tokens or 0)
        window = last - first
        if visible < _FEWEST or self.outputs.events < _FEWEST or window < _SHORTEST_WINDOW_NS:
            return None
        return (visible - 1) * 1e9 / window
