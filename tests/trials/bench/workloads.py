"""Workloads, as data: each is one shape of traffic, of which one thing is to be learnt."""

from dataclasses import dataclass, replace

from tests.trials.bench.traffic import INTERVAL_SECONDS, Answer

_KIB = 1024
_TOKENS_100K = 400 * _KIB  # English text has about four bytes a token
_PACED = (
    "ttft_p50_ms",
    "ttft_p50_added_ms",
    "ttft_p99_ms",
    "ttft_p99_added_ms",
    "delay_p50_ms",
    "delay_p99_ms",
    "jitter_p99_ms",
    "own_chunk_percent",
    "before_next_percent",
    "cpu_us_per_event",
)


@dataclass(frozen=True)
class Beside:
    """What others ask at the same time through the same proxy, from another process, until the workload has ended."""

    answer: Answer
    concurrency: int
    body: int = 0


@dataclass(frozen=True)
class Workload:
    """`concurrency` connections, each of which asks `count` times, one request after the other."""

    name: str
    title: str
    answer: Answer
    concurrency: int
    count: int
    body: int = 0  # bytes of the request; 0: the shortest
    reconnects: bool = False  # a new connection for each request, its setup measured with it
    lock_seconds: float = 0.0  # asks for so long, then again while another process holds the database's write lock
    beside: Beside | None = None  # what holds up these calls, if a proxy lets it
    alone: bool = False  # on a proxy that was started for it
    watched: bool = False  # with a script that watches the event loop; such a proxy is alone
    systems: tuple[str, ...] = ()  # only those; empty: all
    most_rounds: int = 1000
    shown: tuple[str, ...] = ("p50_ms", "cpu_us_per_request")  # the figures of its summary, the main one first

    @property
    def seconds(self) -> float:
        """How long its paced streams take one after the other, with the time in which they begin."""
        return (self.count + 1) * (self.answer.events + 1) * INTERVAL_SECONDS

    def quick(self) -> "Workload":
        """Return a version for a look at whether everything works."""
        return replace(self, count=max(1, self.count // 10), lock_seconds=min(self.lock_seconds, 2.0))

    def shared(self, share: float) -> "Workload":
        """Return a version with a share of the requests."""
        return replace(self, count=max(1, round(self.count * share)), lock_seconds=self.lock_seconds * share)


WORKLOADS = (
    Workload(
        "small1",
        "small JSON, C=1",
        Answer.SMALL,
        1,
        500,
        shown=("p50_ms", "p50_added_ms", "p99_ms", "p99_added_ms", "cpu_us_per_request"),
    ),
    Workload(
        "small16",
        "small JSON, C=16",
        Answer.SMALL,
        16,
        40,
        shown=("p50_ms", "p50_added_ms", "p99_ms", "p99_added_ms"),
    ),
    Workload(
        "small32", "small JSON, C=32", Answer.SMALL, 32, 30, shown=("requests_per_s", "p99_ms", "cpu_us_per_request")
    ),
    Workload(
        "burst16",
        "200 events without delay, C=16",
        Answer.BURST,
        16,
        8,
        shown=("events_per_s", "own_chunk_percent", "cpu_us_per_event"),
    ),
    Workload("paced10", "50 events at 20 ms, C=10", Answer.PACED, 10, 2, shown=_PACED),
    Workload("paced50", "50 events at 20 ms, C=50", Answer.PACED, 50, 4, shown=_PACED),
    Workload(
        "blocked",
        "50 events at 20 ms, C=10, beside requests of 5 MB",
        Answer.PACED,
        10,
        2,
        beside=Beside(Answer.SMALL, 2, 5 * _KIB * _KIB),
        shown=("delay_p99_ms", "ttft_p99_ms", "jitter_p99_ms", "before_next_percent"),
    ),
    Workload(
        "body200k",
        "200 KB request, C=1",
        Answer.SMALL,
        1,
        150,
        body=200 * _KIB,
        shown=("requests_per_s", "p50_ms", "cpu_us_per_request"),
    ),
    Workload(
        "prompt100k",
        "a prompt of 100,000 tokens, streamed answer, C=4",
        Answer.BURST,
        4,
        15,
        body=_TOKENS_100K,
        shown=("ttft_p50_ms", "ttft_p50_added_ms", "ttft_p99_ms", "cpu_us_per_request"),
    ),
    Workload("body5m", "5 MB request, C=1", Answer.SMALL, 1, 12, body=5 * _KIB * _KIB),
    Workload("connect", "new connection per request, C=1", Answer.SMALL, 1, 60, reconnects=True),
    Workload(
        "hold",
        "5 MB request: holds of the event loop",
        Answer.SMALL,
        1,
        20,
        body=5 * _KIB * _KIB,
        watched=True,
        systems=("floor", "again", "ours", "naive"),
        shown=("typical_hold_ms", "worst_hold_ms", "worst_hold_cpu_ms"),
    ),
    Workload(
        "locked",
        "small JSON, C=1, 10 s of a foreign lock",
        Answer.SMALL,
        1,
        0,
        lock_seconds=10.0,
        systems=("floor", "again", "ours", "naive"),
        most_rounds=2,
        shown=("p99_ms", "locked_p99_ms", "locked_p99_quotient", "locked_max_ms"),
    ),
    Workload(
        "memory",
        "15,000 small requests, C=32",
        Answer.SMALL,
        32,
        469,
        alone=True,
        systems=("floor", "again", "ours", "off"),
        most_rounds=1,
        shown=("peak_rss_mb", "requests_per_s"),
    ),
)
