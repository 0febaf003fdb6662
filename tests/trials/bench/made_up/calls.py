"""Made-up calls that look like real traffic: as many as moments are given, and the same ones for the same seed.

They come in the order in which they end, as the recorder writes them, so that some began before their predecessor.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from random import Random

from llm_metrics_proxy.recorder.events import CompletionRequest, timestamp_of
from tests.trials.bench.made_up.answers import Answering
from tests.trials.bench.made_up.asks import Ask, Asking
from tests.trials.bench.made_up.catalogue import MODELS
from tests.trials.bench.made_up.usages import Columns

_PROVIDERS = sorted({model.service.provider for model in MODELS.values()})
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_FAILS = 0.026
_FAILS_AGAIN = 0.12
_MOST_ATTEMPTS = 2  # after the first, as SDKs have it
_BAD_HOURS = 0.03
_FAILS_IN_BAD_HOURS = 0.3  # with one of the providers


def calls(moments: Iterable[int], *, seed: int = 1) -> Iterator[CompletionRequest]:
    """Yield a call for each of `moments`, which are ms since 1970 in ascending order, and may be without end.

    A failure that an SDK tries again takes the first moment after its pause.
    """
    traffic = _Traffic(Random(seed))
    under_way: list[tuple[int, int, CompletionRequest]] = []
    for number, moment in enumerate(moments):
        while under_way and under_way[0][0] <= moment:
            yield heappop(under_way)[2]
        call = traffic.call(moment)
        heappush(under_way, (moment + call.response_time_ms, number, call))
    while under_way:
        yield heappop(under_way)[2]


class _Traffic:
    """The calls, in the order of their beginning."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._asking = Asking(random)
        self._answering = Answering(random)
        self._again: list[tuple[int, int, Ask]] = []
        self._made = 0
        self._hour = 0
        self._troubled: str | None = None
        self._minute = 0
        self._minute_text = ""

    def call(self, moment: int) -> CompletionRequest:
        """Make the call of a moment."""
        self._made += 1
        if self._again and self._again[0][0] <= moment:
            ask = heappop(self._again)[2].again()
        else:
            ask = self._asking.ask(moment)
        if self._random.random() < self._risk(ask, moment):
            columns, failure = self._answering.failed(ask, moment)
            if failure.retried and ask.attempt < _MOST_ATTEMPTS:
                pause = columns.get("retry_after_ms") or int(500 * (1 + self._random.random()) * 2**ask.attempt)
                heappush(self._again, (moment + columns["response_time_ms"] + pause, self._made, ask))
        else:
            columns = self._answering.complete(ask, moment)
        return self._row(moment, columns)

    def _risk(self, ask: Ask, moment: int) -> float:
        """Return how likely it is to fail."""
        if moment // _HOUR_MS != self._hour:
            self._hour = moment // _HOUR_MS
            self._troubled = self._random.choice(_PROVIDERS) if self._random.random() < _BAD_HOURS else None
        if ask.habit.model.service.provider == self._troubled:
            return _FAILS_IN_BAD_HOURS
        return _FAILS_AGAIN if ask.attempt else _FAILS

    def _row(self, moment: int, columns: Columns) -> CompletionRequest:
        bits = self._random.getrandbits(74)
        # UUIDv7's layout, as of llm_metrics_proxy.recorder.events.new_event_id, whose numbers have no seed.
        columns["event_id"] = f"{moment:012x}7{bits & 0xFFF:03x}{0b10 << 62 | bits >> 12:016x}"
        minute, rest = divmod(moment, _MINUTE_MS)
        if minute != self._minute:
            self._minute = minute
            self._minute_text = timestamp_of(minute * _MINUTE_MS * 1_000_000).removesuffix("00.000Z")
        columns["timestamp"] = f"{self._minute_text}{rest // 1_000:02d}.{rest % 1_000:03d}Z"
        return CompletionRequest(**columns)
