"""Costs of one event, one call and one request's body in the event loop: CPU time, all within `addon.exchange`."""

import time

import pytest

from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.outcomes import Cause
from tests.trials.bench.micro.fixture import Benchmark
from tests.trials.bench.micro.material import MS, STREAMS, asked, begun, streaming, tap_of
from tests.trials.bench.traffic import BODIES, Answer

pytestmark = pytest.mark.benchmark(timer=time.thread_time, disable_gc=False)
_EVENTS = 1000
_READ = 65_536  # bytes: how mitmproxy hands on a large body
_CALLS = 50
_ADDRESS = ("api.openai.com", "/v1/chat/completions")


@pytest.mark.parametrize("name", STREAMS)
def test_event(benchmark: Benchmark, name: str) -> None:
    """Split, decode and account one event of a stream that has begun."""
    stream = STREAMS[name]
    pieces = [stream.event] * _EVENTS
    moments = [(20 * number + number % 7) * MS for number in range(_EVENTS)]

    def feed(exchange: Exchange) -> None:
        tap = tap_of(exchange, iter(moments).__next__)
        for data in pieces:
            tap(data)

    exchange = streaming(stream)
    feed(exchange)
    row = exchange.finish(Cause.CLIENT_DISCONNECT, _EVENTS * 20 * MS)
    assert row is not None
    assert row.output_events == _EVENTS
    benchmark.extra_info |= {"figure": f"{name}_event_us", "per": _EVENTS, "unit": 1e-6}
    benchmark.pedantic(feed, setup=lambda: ((streaming(stream),), {}), rounds=50, warmup_rounds=3)


def test_small_call(benchmark: Benchmark) -> None:
    """Follow one small call from its headers to its row."""
    body = asked(0)

    def follow() -> None:
        for _ in range(_CALLS):
            exchange = begun(*_ADDRESS)
            exchange.request_chunk(body, 1)
            exchange.request_end(2)
            exchange.answer_head(200, {"content-type": "application/json", "x-request-id": "req_bench"}, 3)
            tap_of(exchange, lambda: 4)(BODIES[Answer.SMALL])
            exchange.finish(Cause.COMPLETE, 5 * MS)

    benchmark.extra_info |= {"figure": "small_call_us", "per": _CALLS, "unit": 1e-6}
    benchmark.pedantic(follow, rounds=50, warmup_rounds=3)


@pytest.mark.parametrize(("name", "size"), [("2k", 2_000), ("200k", 200_000), ("5m", 5_000_000)])
def test_request(benchmark: Benchmark, name: str, size: int) -> None:
    """Take a request's body in the pieces that mitmproxy reads; the longest single call is what holds the loop."""
    body = asked(size)
    pieces = [body[start : start + _READ] for start in range(0, len(body), _READ)]
    longest: list[float] = []

    def take(exchange: Exchange) -> None:
        worst = 0.0
        for piece in pieces:
            began = time.thread_time()
            exchange.request_chunk(piece, 1)
            worst = max(worst, time.thread_time() - began)
        began = time.thread_time()
        exchange.request_end(2)
        exchange.read()
        longest.append(max(worst, time.thread_time() - began))

    benchmark.extra_info |= {"figure": f"request_{name}_us", "per": 1, "unit": 1e-6}
    benchmark.pedantic(take, setup=lambda: ((begun(*_ADDRESS),), {}), rounds=20, warmup_rounds=2)
    benchmark.extra_info["figures"] = {f"request_{name}_longest_call_ms": sorted(longest)[len(longest) // 2] * 1000}
