"""Cost of a small call in the proxy's thread, through the hooks as mitmproxy calls them, with the headers of an SDK."""

import asyncio
import time
from pathlib import Path

import pytest
from mitmproxy import connection, http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from llm_metrics_proxy.addon.capture import LLMMetrics
from tests.trials.bench.micro.fixture import Benchmark
from tests.trials.bench.micro.material import asked
from tests.trials.bench.traffic import BODIES, HOST, Answer

pytestmark = pytest.mark.benchmark(timer=time.thread_time, disable_gc=False)
_CALLS, _ROUNDS = 60, 20  # few at once: as in a proxy, steps do not find all of their own in the processor's caches
_SETTLED_SECONDS = 0.2
_SENT = {
    "Host": HOST,
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json",
    "User-Agent": "OpenAI/Python 2.8.1",
    "X-Stainless-Lang": "python",
    "X-Stainless-Package-Version": "2.8.1",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Arch": "x64",
    "X-Stainless-Runtime": "CPython",
    "X-Stainless-Async": "false",
    "x-stainless-retry-count": "0",
    "Authorization": "Bearer sk-bench-made-up-for-this-benchmark",
}
_ANSWERED = {
    "date": "Tue, 01 Dec 2026 12:00:00 GMT",
    "content-type": "application/json",
    "openai-organization": "acme",
    "openai-processing-ms": "412",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "1999983",
    "x-request-id": "req_8f1c0e3b",
    "server": "cloudflare",
    "alt-svc": 'h3=":443"; ma=86400',
}


def _headers(named: dict[str, str]) -> http.Headers:
    return http.Headers([(name.encode(), value.encode()) for name, value in named.items()])


def _flow() -> http.HTTPFlow:
    client = connection.Client(peername=("127.0.0.1", 5), sockname=("127.0.0.1", 8080), timestamp_start=1.0)
    client.proxy_mode, client.sni = ProxyMode.parse("regular"), HOST
    flow = http.HTTPFlow(client, connection.Server(address=(HOST, 443)), live=True)
    headers, path = _headers(_SENT), b"/v1/chat/completions"
    flow.request = http.Request(HOST, 443, b"POST", b"https", b"", path, b"HTTP/1.1", headers, None, None, 1.0, None)
    return flow


async def _pass(addon: LLMMetrics, flow: http.HTTPFlow, answer: http.Response, body: bytes) -> None:
    addon.requestheaders(flow)
    assert callable(flow.request.stream)
    flow.request.stream(body)
    addon.request(flow)
    flow.response = answer
    addon.responseheaders(flow)
    assert callable(answer.stream)
    answer.stream(BODIES[Answer.SMALL])
    await addon.response(flow)


async def _calls(addon: LLMMetrics) -> float:
    """Let some calls pass; return the CPU time of this thread until their rows are made."""
    body = asked(0)
    flows = [_flow() for _ in range(_CALLS)]
    headers = [_headers(_ANSWERED) for _ in flows]
    answers = [http.Response(b"HTTP/1.1", 200, b"OK", one, None, None, 1.0, None) for one in headers]
    began = time.thread_time()
    for flow, answer in zip(flows, answers, strict=True):
        await _pass(addon, flow, answer, body)
    await asyncio.sleep(_SETTLED_SECONDS)
    return time.thread_time() - began


def test_hooks(benchmark: Benchmark, tmp_path: Path) -> None:
    """Follow small calls through the hooks to their rows in the recorder's queue."""
    addon, taken = LLMMetrics(), list[float]()

    async def rounds() -> None:
        with taddons.context(loadcore=False) as context:
            context.options.add_option("confdir", str, str(tmp_path), "")
            context.options.add_option("flow_detail", int, 1, "")
            context.options.add_option("ssl_verify_upstream_trusted_ca", str | None, None, "")
            context.master.addons.add(addon)
            context.configure(addon, metrics_db=str(tmp_path / "metrics.db"))
            await _calls(addon)
            taken.extend([await _calls(addon) for _ in range(_ROUNDS)])
            recorder = addon.calls.recorder
            assert recorder is not None
            assert recorder.counters()["received"] >= _CALLS * (_ROUNDS + 1)
            addon.done()

    benchmark.pedantic(lambda: asyncio.run(rounds()), rounds=1)
    figures = {"hooks_small_call_us": sorted(taken)[len(taken) // 2], "hooks_small_call_best_us": min(taken)}
    benchmark.extra_info["figures"] = {name: seconds / _CALLS * 1e6 for name, seconds in figures.items()}
