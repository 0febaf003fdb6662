"""What passes is what was sent: every byte, in its order, at its time, under its own certificate."""

import gzip
import os
import socket
import ssl
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import brotli
import pytest

from tests.support.provider import openai_answers
from tests.support.provider.scenario import Framing, Scenario, Step
from tests.support.rig import CHAT, JSON, OPENAI, Headers, Rig, at_once, hang_up, question, started

NOBODY = "files.example.org"
BINARY = os.urandom(5_000_000)
TEXT = openai_answers.stream("gpt-5.5", role_ms=0, content_ms=20, gap_ms=5, pieces=4)
EVENTS = b"".join(step.data for step in TEXT.steps)
SSE = ("content-type", "text/event-stream; charset=utf-8")


def coded(name: str, *, kind: tuple[str, str] = SSE) -> Headers:
    return [("X-Request-ID", "req_1"), kind, ("Content-Encoding", name), ("set-cookie", "a=1"), ("set-cookie", "b=2")]


BODIES = {
    "5 MB of noise": (BINARY, JSON),
    "5 MB of noise in a stream": (BINARY, [SSE]),
    "events": (EVENTS, coded("identity")),
    "gzip": (gzip.compress(EVENTS), coded("gzip")),
    "brotli": (brotli.compress(EVENTS), coded("br")),
    "deflate": (zlib.compress(EVENTS), coded("deflate")),
    "gzip that is none": (EVENTS, coded("gzip")),
    "gzip with half a trailer": (gzip.compress(EVENTS)[:-4], coded("gzip")),
    "an unknown coding": (EVENTS, coded("rot13")),
    "a bomb of 100 MB": (gzip.compress(bytes(100_000_000)), coded("gzip", kind=JSON[0])),
    "nothing": (b"", coded("identity")),
}


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED, Framing.CLOSE])
@pytest.mark.parametrize("what", BODIES)
def test_an_answer_arrives_as_it_was_sent(rig: Rig, what: str, framing: Framing) -> None:
    body, headers = BODIES[what]
    cuts = (
        [body[at : at + 65_000] for at in range(0, len(body), 65_000)] if len(body) > 65_000 else [body[:7], body[7:]]
    )
    steps = tuple(Step(0, piece) for piece in cuts if piece)
    rig.answer(Scenario(steps, headers=tuple(headers), framing=framing))
    reply = rig.ask(question(stream=True))
    row = rig.row()
    assert reply.body == body
    assert [pair for pair in reply.headers if pair in headers] == list(headers)
    assert {name for name, _ in reply.headers} - {name for name, _ in headers} <= {
        "content-length",
        "transfer-encoding",
        "connection",
    }
    assert (row["status_code"], row["response_bytes"]) == (200, len(body))


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("host", [OPENAI, NOBODY])
@pytest.mark.parametrize(
    "body", [BINARY, question(), b"", b"\x00\xff not JSON"], ids=["5 MB", "chat", "empty", "noise"]
)
def test_a_request_arrives_as_it_was_sent(rig: Rig, host: str, body: bytes, *, tls: bool) -> None:
    headers = [
        ("Content-TYPE", "application/json"),
        ("Authorization", "Bearer sk-made-up"),
        ("X-Stainless-Retry-Count", "0"),
        ("accept-encoding", "gzip, br, zstd"),
        ("Cookie", "a=1"),
        ("Cookie", "b=2"),
        ("x-Empty", ""),
        ("X-Umlaut", "caf\xe9"),
    ]
    rig.answer(at_once(BINARY if host == NOBODY else b"{}"))
    trusted = rig.proxy.database.parent / "provider-ca.pem" if host == NOBODY else None
    sent = [*headers, ("x-llm-origin", "nightly"), ("Content-Length", str(len(body)))]
    with rig.sending(host=host, tls=tls, headers=sent, user="billing:password", trusted=trusted) as connection:
        connection.send(body)
        assert connection.getresponse().read() == (BINARY if host == NOBODY else b"{}")
    request = rig.served.request
    assert (request.target, request.body == body) == (CHAT, True)
    own = [("x-llm-origin", "nightly")] if host == NOBODY and tls else []  # which is not opened, so it stays
    assert list(request.headers) == [("Host", host), *headers, *own, ("Content-Length", str(len(body)))]
    if host == OPENAI or (not tls and body == question()):
        row = rig.row()
        assert (row["origin"], row["request_bytes"]) == ("billing", len(body))


def test_a_chunked_upload_arrives_as_it_was_sent(rig: Rig) -> None:
    body = question(padding="x" * 200_000)
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    with rig.sending(headers=[*JSON, ("transfer-encoding", "chunked")]) as connection:
        for at in range(0, len(body), 50_001):
            piece = body[at : at + 50_001]
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        assert connection.getresponse().status == 200
    assert rig.served.request.body == body
    assert (row := rig.row())["model"] == "gpt-5.5", row


@pytest.mark.parametrize("cuts", [[1], [3], [5], [30], [2, 4, 6]], ids=str)
def test_a_request_line_in_pieces_is_recorded_without_alpn_too(rig: Rig, cuts: list[int]) -> None:
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    body = question()
    request = (
        f"POST {CHAT} HTTP/1.1\r\nHost: {OPENAI}\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\n"
    )
    whole = f"{request}Connection: close\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", rig.proxy.port), timeout=10) as plain:
        plain.sendall(f"CONNECT {OPENAI}:443 HTTP/1.1\r\nHost: {OPENAI}:443\r\n\r\n".encode())
        assert plain.recv(1000).startswith(b"HTTP/1.1 200")
        context = ssl.create_default_context(cafile=rig.proxy.ca)
        with context.wrap_socket(plain, server_hostname=OPENAI) as client:
            for start, end in pairwise([0, *cuts, len(whole)]):
                client.sendall(whole[start:end])
                time.sleep(0.05)  # so that it is a piece of its own
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert rig.row()["total_tokens"] is not None


@pytest.mark.parametrize("host", [OPENAI, "llm.named.test"])
def test_an_event_arrives_before_the_next_one_is_sent(rig: Rig, host: str) -> None:
    rig.answer(Scenario((Step(0, b"data: {}\n\n"), Step(300, b"data: {}\n\n"), Step(600, b"data: [DONE]\n\n"))))
    with rig.asking(question(stream=True), host=host) as (_, response):
        sent = []
        while line := response.readline():
            if line != b"\n":
                sent.append(len(rig.served.step_ns))
    assert sent == [1, 2, 3]
    assert rig.row()["success"] == 1


def test_a_host_that_is_no_llms_shows_its_own_certificate_to_clients_that_know_no_proxy(rig: Rig) -> None:
    rig.answer(at_once(BINARY))
    provider_ca = rig.proxy.database.parent / "provider-ca.pem"
    with rig.asking(host=NOBODY, path="/simple/", method="GET", trusted=provider_ca) as (connection, response):
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert "mitmproxy" not in str(connection.sock.getpeercert())
        assert response.read() == BINARY
    rig.answer(TEXT)
    rig.ask(question("the next call"))
    assert rig.row()["model"] == "the next call"


def test_the_path_alone_makes_no_llm_of_an_unknown_host(rig: Rig) -> None:
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    for body in (b"", b"[]", b'{"model":"m"}', b'{"messages":[]}', b'{"model":1,"messages":[]}', b"model=m&messages=1"):
        rig.ask(body, host=NOBODY, tls=False)
    rig.ask(question(), host=NOBODY, tls=False, path="/other")
    rig.ask(question("this-one"), host=NOBODY, tls=False)
    row = rig.row()
    assert [row[name] for name in ("model", "provider", "host")] == ["this-one", "custom", f"{NOBODY}:80"]


@pytest.fixture(scope="module")
def reverse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("reverse"), mode="reverse:http://127.0.0.1:9") as rig:
        yield rig


def test_a_reverse_proxy_knows_an_llm_by_path_and_body(reverse: Rig) -> None:
    reverse.answer(TEXT)
    where = {"host": "localhost:11435", "tls": False, "direct": True}
    assert reverse.ask(b'{"model":"m"}', **where).body == EVENTS
    assert reverse.ask(question(stream=True), headers=[*JSON, ("x-llm-origin", "nightly")], **where).body == EVENTS
    row = reverse.row()
    assert [row[name] for name in ("success", "model", "origin", "provider")] == [1, "gpt-5.5", "nightly", "custom"]
    assert (row["host"], row["endpoint"], row["completion_tokens"]) == (f"127.0.0.1:{reverse.provider.port}", CHAT, 4)
    assert "x-llm-origin" not in dict(reverse.served.request.headers)


def test_the_true_delays_are_what_is_recorded(rig: Rig) -> None:
    rig.answer(openai_answers.stream("gpt-5.5", role_ms=50, content_ms=1000, gap_ms=50, pieces=4))
    began = time.monotonic_ns()
    with rig.asking(question(stream=True)) as (_, response):
        arrived = [time.monotonic_ns() for line in response if line.startswith(b"data:")]
    row, served = rig.row(), rig.served
    for column, step in (("time_to_first_byte_ms", 0), ("time_to_first_token_ms", 1), ("time_to_last_token_ms", 4)):
        # Seen after it was written and before it arrived, however late a loaded machine lets both be.
        assert int(served.step_ms(step)) <= row[column] <= (arrived[step] - began) / 1e6 + 1, column


_FAULTS = """
from llm_metrics_proxy.addon.providers.anthropic_messages import MESSAGES
from llm_metrics_proxy.addon.providers.openai_chat import CHAT
from llm_metrics_proxy.addon.providers.openai_embeddings import EMBEDDINGS

def fault(*_):
    raise RuntimeError("a fault with what passed: planted-secret")

type(CHAT).event = type(MESSAGES).request = type(EMBEDDINGS).whole = fault
"""


def test_a_parser_that_raises_costs_numbers_and_never_a_byte(tmp_path: Path) -> None:
    script = tmp_path / "faults.py"
    script.write_text(_FAULTS)
    with started(tmp_path, scripts=[script]) as rig:
        for path in (CHAT, "/v1/messages", "/v1/embeddings"):
            rig.answer(TEXT if path != "/v1/embeddings" else at_once(BINARY))
            for _ in range(2):
                reply = rig.ask(question(stream=True, input="Why?"), path=path)
                assert reply.body == (EVENTS if path != "/v1/embeddings" else BINARY)
                row = rig.row()
                assert (row["status_code"], row["response_bytes"]) == (200, len(reply.body))
                assert row["time_to_first_byte_ms"] is not None
                assert row["model"] == (None if path == "/v1/messages" else "gpt-5.5")
        rig.proxy.stop()
        assert rig.counter("parser_errors") == 6
        assert "Traceback" not in rig.proxy.log
        assert "planted-secret" not in rig.proxy.log
        assert "A fault in" in rig.proxy.log


_FAULT_ON_THE_WAY = """
from llm_metrics_proxy.addon.exchange import Exchange

reads = [Exchange.read]

def fault_at_first(exchange):
    Exchange.read = reads[0]
    raise RuntimeError("a fault while a body passes")

Exchange.read = fault_at_first
"""


def test_a_fault_while_a_long_body_passes_costs_no_byte_of_it(tmp_path: Path) -> None:
    script = tmp_path / "fault.py"
    script.write_text(_FAULT_ON_THE_WAY)
    with started(tmp_path, scripts=[script]) as rig:
        rig.answer(at_once(BINARY))
        assert rig.ask(question()).body == BINARY
        assert rig.row()["status_code"] == 200
        rig.proxy.stop()
        assert rig.counter("parser_errors") == 1


_ALIVE = """
import gc
import os
import pathlib

from llm_metrics_proxy.addon.exchange import Exchange

gc.disable()

def requestheaders(flow):
    if flow.request.host == "files.example.org":
        alive = sum(isinstance(thing, Exchange) for thing in gc.get_objects())
        pathlib.Path(os.environ["TEST_ALIVE"]).write_text(str(alive))
"""


def test_calls_that_have_ended_are_gone_without_the_collector(tmp_path: Path) -> None:
    script, alive = tmp_path / "alive.py", tmp_path / "alive.txt"
    script.write_text(_ALIVE)
    with started(tmp_path, scripts=[script], environment={"TEST_ALIVE": str(alive)}) as rig:
        for answer in (TEXT, at_once(b"{}"), at_once(b"{}", status=500)):
            rig.answer(answer)
            rig.ask(question(stream=True))
        rig.answer(Scenario((*TEXT.steps[:1], Step(5_000, b"x")), headers=(SSE,)))
        with rig.asking(question(stream=True)) as (connection, response):
            response.read1()
            hang_up(connection)
        assert len(rig.rows(4)) == 4
        rig.answer(at_once(b""))
        rig.ask(host=NOBODY, path="/", tls=False)
        assert alive.read_text() == "0"
