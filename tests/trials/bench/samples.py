"""Figures of the answers of a run, each of which is compared with what the provider sent."""

from typing import Protocol

from tests.support.percentile import percentile
from tests.trials.bench.commands import Report
from tests.trials.bench.traffic import BODIES, STAMP, Answer, dechunked, head_and_length

_NO_STAMP = b"fp_" + b"0" * 20


class Answered(Protocol):
    """A connection whose answer has come; moments are nanoseconds of the monotonic clock."""

    answer: Answer
    first: int
    ended: int
    delays: list[int]


class Samples:
    """Times, nanoseconds."""

    def __init__(self) -> None:
        self._latencies: list[int] = []
        self._ended: list[int] = []
        self._first: list[int] = []
        self._delays: list[int] = []

    def take(self, connection: Answered, sent: int) -> None:
        """Note one answer."""
        self._latencies.append(connection.ended - sent)
        self._ended.append(connection.ended)
        if connection.first:
            self._first.append(connection.first - sent)
        if connection.answer is Answer.PACED:
            self._delays += connection.delays

    def report(self, answer: Answer, seconds: float) -> Report:
        """Sum up."""
        requests = len(self._latencies)
        events = requests * answer.events
        figures = {"seconds": seconds, "requests_per_s": requests / seconds, "max_ms": max(self._latencies) / 1e6}
        for name, times in (("", self._latencies), ("ttft_", self._first), ("delay_", self._delays)):
            if times:
                figures |= {
                    f"{name}p50_ms": percentile(times, 0.50) / 1e6,
                    f"{name}p99_ms": percentile(times, 0.99) / 1e6,
                }
        if answer is Answer.BURST:
            figures["events_per_s"] = events / seconds
        return Report(requests, events, figures, self._ended)


def check(message: bytes | bytearray, answer: Answer, *, rewritten: bool = False) -> None:
    """Look whether an answer is what the provider sent.

    Raises:
        ValueError: it is not.
    """
    start, length = head_and_length(message) or (0, None)
    body = dechunked(message[start:]) if length is None else bytes(message[start:])
    expected = BODIES[answer]
    if rewritten:
        good = body.count(b" river" if answer.events else b"Swiss Alps") == (answer.events or 1)
    else:
        good = len(body) == len(expected) and (body == expected or STAMP.sub(_NO_STAMP, body) == expected)
    if not (message.startswith(b"HTTP/1.1 200") and good):
        msg = f"{len(body)} bytes instead of {len(expected)}, or not the same: {bytes(message[:300])!r}"
        raise ValueError(msg)
