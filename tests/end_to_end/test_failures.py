"""Providers that cannot be reached, connections that stall, and a proxy that is stopped: each leaves its row."""

import http.client
import signal
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.provider import anthropic_answers, openai_answers
from tests.support.provider.scenario import End, Scenario
from tests.support.rig import ANTHROPIC, CHAT, MESSAGES, OPENAI, Rig, question, started
from tests.support.waiting import eventually

STREAM = question(stream=True)
OUTCOME = ("success", "status_code", "error_type", "is_streaming", "model")
PLACE = ("provider", "host", "operation", "endpoint")
THOUGHTS = anthropic_answers.reasoning("claude-sonnet-5", start_ms=0, thinking_ms=20, text_ms=60, gap_ms=5)
TEXT = openai_answers.stream("gpt-5.5", role_ms=0, content_ms=20, gap_ms=5, pieces=4)
STALLS = Scenario(THOUGHTS.steps[:5], end=End.HANG)


def assert_next_row_is_the_next_calls(rig: Rig) -> None:
    rig.answer(TEXT)
    rig.ask(question("the next call"))
    assert rig.row()["model"] == "the next call"


@pytest.mark.parametrize(
    ("host", "provider", "reason"),
    [
        ("refused.openai.azure.com", "azure.ai.openai", "Connect call failed"),
        ("nowhere.openai.azure.com", "azure.ai.openai", "[Errno -"),
        ("refused.named.test", "custom", "Connect call failed"),
    ],
)
def test_a_provider_that_cannot_be_reached_is_a_row_without_a_model(
    rig: Rig, host: str, provider: str, reason: str
) -> None:
    with pytest.raises(OSError, match="Tunnel connection failed: 502"):
        rig.ask(STREAM, host=host, user="billing:x")
    row = rig.row()
    assert [row[name] for name in OUTCOME] == [0, 502, "upstream_unreachable", 0, None]
    assert [row[name] for name in PLACE] == [provider, f"{host}:443", None, None]
    assert row["origin"] == "billing"
    assert reason in row["error_message"]


def test_any_other_host_that_cannot_be_reached_is_nobodys_business(rig: Rig) -> None:
    with pytest.raises(OSError, match="Tunnel connection failed: 502"):
        rig.ask(STREAM, host="refused.example.org")
    assert_next_row_is_the_next_calls(rig)


def test_a_provider_whose_certificate_is_not_trusted_is_a_row(rig: Rig) -> None:
    assert rig.ask(STREAM, host="untrusted.openai.azure.com").status == 502
    row = rig.row()
    assert [row[name] for name in (*OUTCOME[:3], "provider")] == [0, 502, "upstream_tls", "azure.ai.openai"]


def test_a_client_that_distrusts_the_proxy_is_no_row_but_a_counter_and_one_warning(rig: Rig, tmp_path: Path) -> None:
    stranger = rig.provider.authority.write(tmp_path / "stranger.pem")
    for _ in range(2):
        with pytest.raises(ssl.SSLCertVerificationError):
            rig.ask(STREAM, host=ANTHROPIC, trusted=stranger)
    assert eventually(lambda: rig.counter("client_tls_failed") == 2)
    assert_next_row_is_the_next_calls(rig)
    warning = f"A client refused the proxy's certificate for {ANTHROPIC}: let SSL_CERT_FILE"
    assert eventually(lambda: warning in rig.proxy.log, within=3), "not said while it runs, with its output in a file"
    assert rig.proxy.log.count(warning) == 1


def test_nothing_for_as_long_as_tcp_timeout_is_a_timeout(tmp_path: Path) -> None:
    with started(tmp_path, options=["tcp_timeout=1"]) as rig:
        rig.answer(STALLS)
        with pytest.raises(http.client.IncompleteRead):
            rig.ask(STREAM, host=ANTHROPIC, path=MESSAGES)
        row = rig.row()
        assert [row[name] for name in OUTCOME] == [0, 200, "timeout", 1, "gpt-5.5"]
        rig.answer(Scenario(head_at_ms=None, end=End.HANG))
        with pytest.raises(http.client.RemoteDisconnected):
            rig.ask(STREAM)
        row = rig.row()
        assert [row[name] for name in OUTCOME] == [0, 502, "timeout", 1, "gpt-5.5"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_proxy_records_what_was_open(tmp_path: Path, how: signal.Signals) -> None:
    with started(tmp_path) as rig:
        rig.answer(STALLS)
        with rig.asking(STREAM, host=ANTHROPIC, path=MESSAGES) as (_, response):
            while response.readline() and len(rig.served.step_ns) < 5:
                pass
            assert rig.proxy.stop(how) == 0
        assert not list(tmp_path.glob("metrics.db-*")), "the WAL was left behind"
        row = rig.row()
        assert [row[name] for name in OUTCOME] == [0, 200, "proxy_shutdown", 1, "gpt-5.5"]
        assert (row["usage_source"], row["prompt_tokens"]) == ("partial", 30)
        assert "Traceback" not in rig.proxy.log


def test_an_exchange_that_has_ended_is_durable_within_a_quarter_of_a_second(tmp_path: Path) -> None:
    with started(tmp_path) as rig:
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        waits = []
        for _ in range(5):
            rig.ask(question())
            ended = time.monotonic()
            rig.row()
            waits.append(time.monotonic() - ended)
        rig.proxy.kill()
        assert sorted(waits)[2] < 0.25
        assert max(waits) < 0.5, "a busy machine may be a little late, not much"
        assert rig.query("SELECT count(*) AS n FROM completion_requests") == [{"n": 5}]
        assert rig.query("PRAGMA quick_check") == [{"quick_check": "ok"}]


@pytest.fixture(scope="module")
def lazy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Connect to the provider only when a request comes: then clients get HTTP/2, which our provider does not speak."""
    with started(tmp_path_factory.mktemp("lazy"), options=["connection_strategy=lazy"]) as rig:
        yield rig


@contextmanager
def http2_client(rig: Rig) -> Iterator[httpx2.Client]:
    context = ssl.create_default_context(cafile=rig.proxy.ca)
    with httpx2.Client(http2=True, proxy=rig.proxy.url, verify=context, trust_env=False) as client:
        yield client


def test_two_streams_at_once_on_one_http2_connection_are_two_rows(lazy: Rig) -> None:
    lazy.answer(TEXT)
    with http2_client(lazy) as client, ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda _: client.post(f"https://{OPENAI}{CHAT}", content=STREAM), range(2)))
    assert [reply.http_version for reply in replies] == ["HTTP/2", "HTTP/2"]
    assert {reply.content for reply in replies} == {b"".join(step.data for step in TEXT.steps)}
    for row in lazy.rows(2):
        assert [row[name] for name in (*OUTCOME, "http_version")] == [1, 200, None, 1, "gpt-5.5", "2"]
        assert row["completion_tokens"] == 4


def test_an_http2_client_that_closes_its_connection_has_left(lazy: Rig) -> None:
    lazy.answer(STALLS)
    with http2_client(lazy) as client, client.stream("POST", f"https://{ANTHROPIC}{MESSAGES}", content=STREAM) as reply:
        for _ in reply.iter_lines():
            if len(lazy.served.step_ns) == 5:
                break
    row = lazy.row()
    assert [row[name] for name in OUTCOME] == [0, 200, "client_disconnect", 1, "gpt-5.5"]
