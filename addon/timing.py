"""When an exchange's parts came: upload, first byte, first output, first answer, last output, and the gaps between.

Moments are nanoseconds of one monotonic clock, given by the caller; columns are milliseconds from the first of them.
"""

from llm_metrics_proxy.addon.gaps import Gaps
from llm_metrics_proxy.addon.headers import Columns
from llm_metrics_proxy.addon.providers.format import Output
from llm_metrics_proxy.addon.providers.usage import Tokens

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
                "chunk_gap_p50_ms": outputs.percentile(0.50),
                "chunk_gap_p95_ms": outputs.percentile(0.95),
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
