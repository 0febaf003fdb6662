"""Requests that were not meant for a port reach no provider: pages that point their names here, and other strangers."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing

import pytest
from h2 import events

from tests.support.ends.connection import HTTP2, End, connect
from tests.support.ends.http2 import Http2End
from tests.support.process_watch import Watched
from tests.support.rig import Rig, at_once, question, started
from tests.support.waiting import eventually

ANSWER = b'{"model":"llama4","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
BODY = question("llama4")
CHAT = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@pytest.fixture(scope="module")
def reverse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A port that stands for a local Ollama."""
    options = ["metrics_allowed_hosts=gateway.example, .lab.example", "metrics_published=llm.example.com:11434"]
    folder = tmp_path_factory.mktemp("reverse")
    with started(folder, mode="reverse:http://localhost:11434", options=options) as rig:
        rig.answer(at_once(ANSWER))
        yield rig
        assert "Traceback" not in rig.proxy.log


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("regular")) as rig:
        rig.answer(at_once(ANSWER))
        yield rig
        assert "Traceback" not in rig.proxy.log


def said(rig: Rig, *pieces: bytes) -> tuple[int, bytes]:
    """Send bytes, and return the answer's status and body."""
    with closing(socket.create_connection(("127.0.0.1", rig.proxy.port))) as connection:
        end = End(connection)
        end.send(*pieces)
        head = end.until(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), end.exactly(length)


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "LOCALHOST:11435", "localhost.", "127.0.0.1:9", "[::1]:11435", "app.localhost", "0.0.0.0:11434"),
        *("gateway.example", "a.lab.example:80", "llm.example.com", "localhost:11434", ""),
    ],
)
def test_a_reverse_port_answers_to_names_that_were_meant(reverse: Rig, name: str) -> None:
    assert said(reverse, CHAT % (b"/api/chat", name.encode(), len(BODY), BODY)) == (200, ANSWER)
    assert reverse.served.request.header("host") == f"127.0.0.1:{reverse.provider.port}"  # as before
    assert reverse.row()["model"] == "llama4"


def test_a_reverse_port_answers_an_old_client_that_names_nobody(reverse: Rig) -> None:
    assert said(reverse, b"GET /api/tags HTTP/1.0\r\n\r\n") == (200, ANSWER)


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"evil.example",
            b"evil.example:11435",
            b"localhost.evil.example",
            b"user@localhost",
            b"127.1",
            b"2130706433",
        ),
        *(b"[::1].evil.example", b"10.0.0.7", b"nas", b"nas.local", b"\xc3\xa4.example"),
    ],
)
def test_a_reverse_port_refuses_other_names_in_one_sentence(reverse: Rig, name: bytes) -> None:
    served = len(reverse.provider.served)
    for target in (b"/api/chat", b"http://localhost:11434/api/chat", b"http://evil.example/api/chat"):
        status, body = said(reverse, CHAT % (target, name, len(BODY), BODY))
        assert status == 421
        assert body.startswith((b"This port does not answer to the name ", b"This port answers to host names"))
        assert body.endswith(b".\n")
        assert body.count(b"\n") == 1
    assert len(reverse.provider.served) == served


def test_refusals_are_counted_and_are_no_calls(reverse: Rig) -> None:
    eventually(lambda: reverse.counter("requests_refused") > 0)
    before = reverse.counter("requests_refused")
    for name in (b"evil.example", b"127.1", b"localhost"):
        said(reverse, CHAT % (b"/api/chat", name, len(BODY), BODY))
    assert reverse.row()["model"] == "llama4"
    assert eventually(lambda: reverse.counter("requests_refused") == before + 2)


def test_a_good_host_does_not_cover_an_evil_target(reverse: Rig) -> None:
    served = len(reverse.provider.served)
    assert said(reverse, CHAT % (b"http://evil.example/api/chat", b"localhost", len(BODY), BODY))[0] == 421
    twice = b"GET / HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n"
    assert said(reverse, twice)[0] == 421
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    assert said(reverse, b"GET /v1/realtime HTTP/1.1\r\nHost: evil.example\r\n" + upgrade + b"\r\n")[0] == 421
    assert len(reverse.provider.served) == served


@pytest.mark.parametrize(("name", "status"), [("evil.example", b"421"), ("localhost", b"200")])
def test_over_http2_the_authority_is_the_name(reverse: Rig, name: str, status: bytes) -> None:
    """Of a client that talks TLS to a reverse port. A Host beside it has to be the same, or h2 refuses both."""
    context = ssl.create_default_context(cafile=reverse.proxy.ca)
    context.set_alpn_protocols([HTTP2])
    plain = socket.create_connection(("127.0.0.1", reverse.proxy.port))
    with closing(context.wrap_socket(plain, server_hostname="localhost")) as secured:
        client = Http2End(End(secured), client=True)
        client.headers(1, [(":method", "POST"), (":scheme", "https"), (":authority", name), (":path", "/api/chat")])
        client.data(1, BODY, ends=True)
        assert (b":status", status) in (client.until(events.ResponseReceived, 1).headers or [])
    if status == b"200":
        assert reverse.row()["http_version"] == "2"


def test_each_name_is_warned_of_once_and_no_page_can_fill_the_log(reverse: Rig) -> None:
    for _ in range(3):
        for number in range(30):
            assert said(reverse, CHAT % (b"/", b"n%d.evil.example" % number, 0, b""))[0] == 421
    told = [line for line in reverse.proxy.log.splitlines() if "A request was refused." in line]
    assert 1 <= len(told) <= 10
    assert len(told) == len(set(told))


def test_a_refusal_does_not_wait_for_the_body(reverse: Rig) -> None:
    watched = Watched(reverse.proxy.pid)
    before = watched.now(0).rss_mb
    for length in (b"Content-Length: 400000000", b"Transfer-Encoding: chunked", b"Content-Length: 400"):
        head = b"POST /api/chat HTTP/1.1\r\nHost: evil.example\r\nExpect: 100-continue\r\n%b\r\n\r\n" % length
        assert said(reverse, head)[0] == 421
    assert watched.now(0).rss_mb - before < 10


@pytest.mark.parametrize("name", [b"evil.example:8080", b"api.openai.com", b"127.0.0.1", b"localhost", b"mitm.it"])
@pytest.mark.parametrize("first", [b"", b"GET http://one.test/ HTTP/1.1\r\nHost: one.test\r\n\r\n"])
def test_a_regular_port_refuses_to_be_asked_as_a_server(regular: Rig, name: bytes, first: bytes) -> None:
    """Also on a connection on which a request for a proxy came before."""
    with closing(socket.create_connection(("127.0.0.1", regular.proxy.port))) as connection:
        end = End(connection)
        if first:
            end.send(first)
            end.until(ANSWER)
        served = len(regular.provider.served)
        end.send(CHAT % (b"/v1/chat/completions", name, len(BODY), BODY))
        assert end.until(b"\r\n\r\n").startswith(b"HTTP/1.1 421 ")
        end.until(b"This is a proxy and no server: let HTTPS_PROXY and HTTP_PROXY name it")
        assert len(regular.provider.served) == served


def test_the_target_counts_where_a_proxys_request_has_another_host(regular: Rig) -> None:
    """As RFC 9112, 3.2.2 has it. The Host is passed on, as it always was: programs test servers in this way."""
    assert said(regular, CHAT % (b"http://one.test/v1/chat/completions", b"two.test", len(BODY), BODY))[0] == 200
    assert regular.row()["host"] == "one.test:80"
    assert dict(regular.served.request.headers)["Host"] == "two.test"


def test_within_a_tunnel_all_is_as_it_was(regular: Rig) -> None:
    end = connect(regular.proxy.port, regular.proxy.ca, "api.openai.com")
    end.send(CHAT % (b"/v1/chat/completions", b"evil.example", len(BODY), BODY))
    end.until(ANSWER)
    end.leave()
    assert regular.row()["host"] == "api.openai.com:443"
