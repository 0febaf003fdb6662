"""Hosts that are no LLM's: the proxy does not open their TLS, so the two ends talk to each other, byte for byte."""

import hashlib
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from h2 import events

from tests.support.ends.connection import HTTP1, HTTP2, End, connect, tunnel
from tests.support.ends.http2 import Http2End
from tests.support.ends.two_proxies import NOBODY, Side, started

MEGABYTES_50 = 50_000_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    with started(tmp_path_factory.mktemp("tunnels"), "ours") as side:
        yield side
        side.proxy.stop()
        assert "Traceback" not in side.proxy.log


@pytest.fixture
def side(running: Side) -> Iterator[Side]:
    running.begin()
    yield running
    running.end(bytewise=False)
    running.provider.raw = False


def _wrapped(side: Side, context: ssl.SSLContext, host: str | None = NOBODY) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Make TLS between the two ends, as `context` and the provider's own want it."""
    plain = tunnel(side.proxy.port, NOBODY)
    client = context.wrap_socket(plain.socket, server_hostname=host)
    side.follow(End(client))
    provider = side.accepted().socket
    assert isinstance(provider, ssl.SSLSocket)
    return client, provider


def _hello(alpn: str = "acme/1") -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.set_alpn_protocols([alpn])
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=NOBODY).do_handshake()
    return outgoing.read()


def test_a_tunnelled_host_shows_its_own_certificate(side: Side) -> None:
    client, _ = _wrapped(side, ssl.create_default_context(cafile=side.provider.ca))
    chain = client.getpeercert(binary_form=True)
    assert chain is not None
    issuer = dict(field[0] for field in (client.getpeercert() or {})["issuer"])  # type: ignore[misc]
    assert "trustme" in str(issuer)


@pytest.mark.parametrize("size", [1, 5, 50, 10_000], ids=lambda size: f"pieces of {size}")
def test_what_a_tunnel_carries_is_carried_byte_for_byte_from_the_first_one_on(side: Side, size: int) -> None:
    side.provider.raw = True
    client = side.follow(tunnel(side.proxy.port, NOBODY))
    hello = _hello()
    for at in range(0, len(hello), size):
        client.send(hello[at : at + size])
    provider = side.accepted()
    assert provider.exactly(len(hello)) == hello
    for number in range(3):
        noise = os.urandom(3000)
        provider.send(noise)
        assert client.exactly(3000) == noise
        client.send(noise[number:])
        assert provider.exactly(3000 - number) == noise[number:]
    client.leave()
    assert provider.to_the_end() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_agreed_on_between_the_two_ends(side: Side, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=side.provider.ca)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["acme/1", HTTP1])
    client, provider = _wrapped(side, context)
    assert client.cipher() == provider.cipher()
    assert client.version() == version.name.replace("_", ".")
    assert client.selected_alpn_protocol() == provider.selected_alpn_protocol() == HTTP1


def test_a_client_that_names_no_host_talks_to_the_provider_all_the_same(side: Side) -> None:
    context = ssl.create_default_context(cafile=side.provider.ca)
    context.check_hostname = False
    client, provider = _wrapped(side, context, host=None)
    client.sendall(b"hello")
    assert provider.recv(5) == b"hello"


def test_a_clients_own_certificate_reaches_the_provider(side: Side, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    context = ssl.create_default_context(cafile=side.provider.ca)
    authority.issue_cert("robot@example.org").configure_cert(context)
    asks = side.provider.authority.server_context()
    asks.load_verify_locations(tmp_path / "clients.pem")
    asks.verify_mode = ssl.CERT_REQUIRED
    try:
        client, provider = _wrapped(side, context)
        client.sendall(b"hello")
        assert provider.recv(5) == b"hello"
        assert "robot@example.org" in str(provider.getpeercert())
    finally:
        asks.verify_mode = ssl.CERT_NONE


def test_streams_of_http2_flow_in_both_directions_at_the_same_time(side: Side) -> None:
    client_end = side.follow(connect(side.proxy.port, side.provider.ca, NOBODY, [HTTP2]))
    client, provider = Http2End(client_end, client=True), Http2End(side.accepted(), client=False)
    fields = [(":method", "POST"), (":scheme", "https"), (":authority", NOBODY), (":path", "/a.Service/Chat")]
    client.headers(1, [*fields, ("content-type", "application/grpc"), ("x-llm-origin", "stays")])
    headers = provider.until(events.RequestReceived, 1).headers
    assert headers is not None
    assert headers[-1] == (b"x-llm-origin", b"stays")
    provider.headers(1, [(":status", "200")])
    for number in range(5):
        client.data(1, b"%d" % number)
        provider.until_data(1, b"%d" % number)
        provider.data(1, b"=%d" % number)
        client.until_data(1, b"=%d" % number)
    provider.trailers(1, [("grpc-status", "0")])
    assert client.until(events.TrailersReceived, 1).headers == [(b"grpc-status", b"0")]


def test_an_event_reaches_the_client_before_the_next_is_sent(side: Side) -> None:
    client = side.follow(connect(side.proxy.port, side.provider.ca, NOBODY))
    provider = side.accepted()
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    provider.until(b"\r\n\r\n")
    for number in range(5):
        provider.send(b"data: %d\n\n" % number)
        assert client.until(b"\n\n") == b"data: %d\n\n" % number


def test_a_provider_that_speaks_first_and_no_tls_is_heard(side: Side) -> None:
    client = side.follow(tunnel(side.proxy.port, NOBODY))
    side.provider.raw = True
    provider_greets = threading.Thread(target=lambda: side.accepted().send(b"SSH-2.0-provider\r\n"))
    client.send(b"SSH-2.0-client\r\n")
    provider_greets.start()
    assert client.until(b"\r\n") == b"SSH-2.0-provider\r\n"
    provider_greets.join()


@pytest.mark.parametrize("who", ["client", "provider"])
def test_the_end_of_one_side_is_the_end_of_the_other(side: Side, who: str) -> None:
    client = side.follow(connect(side.proxy.port, side.provider.ca, NOBODY))
    provider = side.accepted()
    leaving, staying = (client, provider) if who == "client" else (provider, client)
    leaving.send(b"the last")
    assert staying.exactly(8) == b"the last"
    leaving.leave()
    assert staying.to_the_end() == b""


def test_50_megabytes_arrive_as_they_were_sent_in_both_directions(side: Side) -> None:
    client = side.follow(connect(side.proxy.port, side.provider.ca, NOBODY))
    provider = side.accepted()
    noise = os.urandom(MEGABYTES_50 // 50) * 50
    for sender, receiver in ((client, provider), (provider, client)):
        sending = threading.Thread(target=sender.send, args=(noise,))
        sending.start()
        assert hashlib.sha256(receiver.exactly(len(noise))).digest() == hashlib.sha256(noise).digest()
        sending.join()
