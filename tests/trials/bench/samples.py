"""Figures of the answers of a run, each of which is compared with what the provider sent."""

from itertools import pairwise
from typing import Protocol

from tests.support.percentile import percentile
from tests.trials.bench.commands import Report
from tests.trials.bench.traffic import BODIES, INTERVAL_SECONDS, STAMP, Answer, chunks, head_and_length

_NO_STAMP = b"fp_" + b"0" * 20


_INTERVAL_NS = int(INTERVAL_SECONDS * 1e9)


class Answered(Protocol):
    """A connection whose answer has come; moments are nanoseconds of the monotonic clock."""

    answer: Answer
    first: int
    ended: int
    delays: list[int]


class Samples:
    """Times, nanoseconds, and how events came."""

    def __init__(self) -> None:
        self._latencies: list[int] = []
        self._ended: list[int] = []
        self._first: list[int] = []
        self._delays: list[int] = []
        self._jitter: list[int] = []
        self._own_chunk = 0

    def take(self, connection: Answered, sent: int) -> None:
        """Note the times of one answer."""
        self._latencies.append(connection.ended - sent)
        self._ended.append(connection.ended)
        if connection.first:
            self._first.append(connection.first - sent)
        if connection.answer is Answer.PACED:
            self._delays += connection.delays
            # As RTP has it (RFC 3550): how much longer or shorter an event was under way than the one before it.
            self._jitter += [abs(after - before) for before, after in pairwise(connection.delays)]

    def count(self, own_chunk: int) -> None:
        """Note how many of its events came in a chunk of their own."""
        self._own_chunk += own_chunk

    def report(self, answer: Answer, seconds: float) -> Report:
        """Sum up."""
        requests = len(self._latencies)
        events = requests * answer.events
        figures = {"seconds": seconds, "requests_per_s": requests / seconds, "max_ms": max(self._latencies) / 1e6}
        named = {"": self._latencies, "ttft_": self._first, "delay_": self._delays, "jitter_": self._jitter}
        for name, times in named.items():
            if times:
                figures |= {
                    f"{name}p50_ms": percentile(times, 0.50) / 1e6,
                    f"{name}p99_ms": percentile(times, 0.99) / 1e6,
                }
        if answer is Answer.BURST:
            figures["events_per_s"] = events / seconds
        if events:
            figures["own_chunk_percent"] = self._own_chunk / events * 100
        if self._delays:
            in_time = sum(delay < _INTERVAL_NS for delay in self._delays)
            figures["before_next_percent"] = in_time / len(self._delays) * 100
        return Report(requests, events, figures, self._ended)


def check(message: bytes | bytearray, answer: Answer, *, rewritten: bool = False) -> int:
    """Look whether an answer is what the provider sent; return how many events came in a chunk of their own.

    Raises:
        ValueError: it is not.
    """
    start, length = head_and_length(message) or (0, None)
    parts = chunks(message[start:]) if length is None else [bytes(message[start:])]
    body = b"".join(parts)
    expected = BODIES[answer]
    if rewritten:
        good = body.count(b" river" if answer.events else b"Swiss Alps") == (answer.events or 1)
    else:
        good = len(body) == len(expected) and (body == expected or STAMP.sub(_NO_STAMP, body) == expected)
    if not (message.startswith(b"HTTP/1.1 200") and good):
        msg = f"{len(body)} bytes instead of {len(expected)}, or not the same: {bytes(message[:300])!r}"
        raise ValueError(msg)
    return sum(part.count(b" river") == 1 and part.count(b"data: ") == 1 for part in parts) if answer.events else 0
