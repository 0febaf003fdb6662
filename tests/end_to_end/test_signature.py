"""Whoever asks the reserved host learns that the addon runs, over HTTP and TLS, and nothing of it goes anywhere."""

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.recorder.client_setup.signature import STATUS_HOST, STATUS_PATH, fingerprint, read
from llm_metrics_proxy.recorder.store import presence
from tests.support.certificates import Authority
from tests.support.ends.connection import HTTP1, HTTP2, connect
from tests.support.provider import openai_answers
from tests.support.rig import ANTHROPIC, CHAT, MESSAGES, Reply, Rig, question, started

USER = "team:secret"
WAYS = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])


@pytest.fixture
def quiet(rig: Rig) -> Iterator[Rig]:
    """The shared proxy: neither its provider nor its database may hear of what a test asks, and other calls pass."""
    served, refused = len(rig.provider.served), rig.counter("client_tls_failed")
    counted = {name: rig.counter(name) for name in ("written", "unrecognised")}
    yield rig
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    assert rig.ask(question()).status == 200
    assert rig.row()["host"] == "api.openai.com:443"
    assert len(rig.provider.served) == served + 1
    counted["written"] += 1
    assert {name: rig.counter(name) for name in counted} == counted
    assert rig.counter("client_tls_failed") == refused
    told = [line for line in rig.proxy.log.splitlines() if STATUS_HOST in line]
    assert [line for line in told if "Client TLS handshake failed" not in line] == []  # which mitmproxy says by itself
    assert "Traceback" not in rig.proxy.log


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A proxy that wants a password."""
    with started(tmp_path_factory.mktemp("guarded"), options=[f"proxyauth={USER}"]) as rig:
        yield rig
        rig.proxy.stop()
        assert rig.provider.served == []
        assert "Traceback" not in rig.proxy.log


def asked(rig: Rig, **how: Any) -> Reply:  # noqa: ANN401 - those of `Rig.ask`
    return rig.ask(**{"host": STATUS_HOST, "path": STATUS_PATH, "method": "GET", "headers": ()} | how)


@WAYS
def test_the_answer_proves_the_addon_and_names_its_recorder_without_telling_it(quiet: Rig, *, tls: bool) -> None:
    reply = asked(quiet, tls=tls)
    (process,) = presence.living(quiet.proxy.database)
    signature = read(reply.body)
    assert reply.status == 200
    assert signature is not None
    assert signature.recorder == fingerprint(process)
    told = reply.body.decode() + str(reply.headers)
    assert not any(private in told for private in (process, str(quiet.proxy.pid), "metrics.db", "mitmproxy"))


@WAYS
def test_head_is_answered_too(quiet: Rig, *, tls: bool) -> None:
    reply = asked(quiet, tls=tls, method="HEAD")
    assert (reply.status, reply.body) == (200, b"")


@WAYS
def test_a_request_with_a_body_is_cut_before_anybody_gathers_it(quiet: Rig, *, tls: bool) -> None:
    with quiet.sending(host=STATUS_HOST, path=CHAT, headers=[("content-length", "1000000000")], tls=tls) as connection:
        connection.send(b"{")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()


def test_a_chunked_body_is_cut_as_well(quiet: Rig) -> None:
    with quiet.sending(
        host=STATUS_HOST, path=CHAT, headers=[("transfer-encoding", "chunked")], tls=False
    ) as connection:
        connection.send(b"1\r\n{\r\n")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()


BROWSER = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0")
PAGES = {
    "a script's request": ("GET", [("Origin", "https://evil.example")]),
    "a sandboxed page's": ("GET", [("Origin", "null")]),
    "a preflight": ("OPTIONS", [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "GET")]),
    "an image": ("GET", [BROWSER, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")]),
    "a frame": ("GET", [BROWSER, ("Sec-Fetch-Site", "cross-site"), ("Upgrade-Insecure-Requests", "1")]),
    "a link": ("GET", [BROWSER, ("Referer", "https://evil.example/"), ("Upgrade-Insecure-Requests", "1")]),
    "over plain HTTP, which says no more": ("GET", [BROWSER, ("Accept", "text/html")]),
    "a WebSocket": (
        "GET",
        [("Origin", "https://evil.example"), ("Connection", "Upgrade"), ("Upgrade", "websocket")],
    ),
}


@WAYS
@pytest.mark.parametrize("page", PAGES)
def test_a_page_in_a_browser_learns_no_more_than_if_there_were_no_such_name(rig: Rig, page: str, *, tls: bool) -> None:
    method, headers = PAGES[page]
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        asked(rig, tls=tls, method=method, headers=headers)


@WAYS
@pytest.mark.parametrize("sign", [("Sec-Fetch-Site", "none"), ("Upgrade-Insecure-Requests", "1")])
def test_a_person_who_types_the_address_gets_the_answer(rig: Rig, sign: tuple[str, str], *, tls: bool) -> None:
    assert read(asked(rig, tls=tls, headers=[BROWSER, sign]).body) is not None


def test_who_asks_the_port_itself_under_the_reserved_name_is_answered(rig: Rig) -> None:
    assert read(asked(rig, tls=False, direct=True).body) is not None


def test_http2_is_not_offered_for_it(quiet: Rig) -> None:
    end = connect(quiet.proxy.port, quiet.proxy.ca, STATUS_HOST, (HTTP2, HTTP1))
    assert getattr(end.socket, "selected_alpn_protocol", lambda: None)() == HTTP1
    end.socket.close()


def test_a_client_that_does_not_trust_it_is_not_counted_among_those_that_miss_rows(quiet: Rig, tmp_path: Path) -> None:
    other = Authority().write(tmp_path / "other.pem")
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(quiet.proxy.port, other, STATUS_HOST)


@pytest.mark.parametrize(
    "host", ["x.llm-metrics.invalid", "llm-metrics.invalid.example.org", "llm-metrics", "LLM-metrics.invalid.x"]
)
def test_no_other_name_is_answered(rig: Rig, host: str) -> None:
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    served = len(rig.provider.served)
    reply = asked(rig, tls=False, host=host)
    assert read(reply.body) is None
    assert len(rig.provider.served) == served + 1


def test_the_path_of_the_status_is_nothing_special_on_another_host(rig: Rig) -> None:
    rig.answer(openai_answers.plain("claude-x", at_ms=0))
    assert read(asked(rig, host=ANTHROPIC).body) is None
    assert rig.served.request.target == STATUS_PATH


@WAYS
def test_a_proxy_with_a_password_answers_whoever_has_it(guarded: Rig, *, tls: bool) -> None:
    assert read(asked(guarded, tls=tls, user=USER).body) is not None


def test_a_proxy_with_a_password_tells_others_only_that_it_wants_one(guarded: Rig) -> None:
    reply = asked(guarded, tls=False)
    assert reply.status == 407
    assert b"llm_metrics" not in reply.body
    with pytest.raises(OSError, match="407"):
        asked(guarded, tls=True, user="team:wrong")


def test_before_another_proxy_it_answers_by_itself(tmp_path: Path) -> None:
    with started(tmp_path, mode="upstream:http://does-not-exist.invalid:3128") as rig:
        for tls in (False, True):
            assert read(asked(rig, tls=tls).body) is not None
        assert rig.provider.served == []
        assert rig.new_rows() == []


def test_a_call_without_the_password_is_refused_before_its_body_has_come(guarded: Rig) -> None:
    """mitmproxy cannot stream a body that it has refused already, and printed a traceback when it was asked to."""
    reply = guarded.ask(question(), tls=False, path=MESSAGES)
    assert reply.status == 407
