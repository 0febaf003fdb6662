"""The calls of the last minute, as lines of a spill file: what to keep aside when the database turns out damaged.

A commit proves nothing about a file into which another program writes. Damage is found after seconds; a minute leaves
room for what was found late.
"""

import time
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.writing import spill

SECONDS: Final = 60.0
MOST_BYTES: Final = 16 << 20  # some 25,000 calls


class _Batch(NamedTuple):
    at: float  # monotonic
    calls: int
    lines: bytes


class Recent:
    """Bounded by time and by bytes; for one thread."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        self._batches: deque[_Batch] = deque()
        self._bytes = 0

    def add(self, events: Iterable[object]) -> None:
        """The database has these events; all but calls are left out, since they would count twice."""
        lines = []
        for event in events:
            if isinstance(event, CompletionRequest):
                try:
                    lines.append(spill.line_of(event))
                except spill.NOT_JSON:
                    continue  # nor could a row be made of it
        now = time.monotonic()
        if lines:
            self._batches.append(_Batch(now, len(lines), b"".join(lines)))
            self._bytes += len(self._batches[-1].lines)
        while self._batches and (self._bytes > MOST_BYTES or now - self._batches[0].at > SECONDS):
            self._bytes -= len(self._batches.popleft().lines)

    def lines(self) -> tuple[int, bytes]:
        """The number of calls, and their lines."""
        return sum(batch.calls for batch in self._batches), b"".join(batch.lines for batch in self._batches)

    def clear(self) -> None:
        """They are kept elsewhere."""
        self._batches.clear()
        self._bytes = 0
