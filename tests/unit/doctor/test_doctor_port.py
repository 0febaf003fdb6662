"""The port's check tells the proxy from mitmproxy without the addon, from another program, and from nobody."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.client_setup.proxy_url import parse
from llm_metrics_proxy.recorder.doctor import (
    port,
)
from tests.support.rig import Rig, started
from tests.support.waiting import PATIENCE
from tests.unit.doctor.examined import HOST, at, health


@pytest.mark.parametrize(("user", "says"), [("", "wants a user and a password"), ("team:falsch@", "does not take the")])
def test_a_missing_or_wrong_password_is_named(guarded: Rig, tmp_path: Path, user: str, says: str) -> None:
    found = port.ask(at(tmp_path, url=f"http://{user}127.0.0.1:{guarded.proxy.port}"))
    assert found.signature is None
    assert found.check.level == "fail"
    assert says in found.check.what
    assert "falsch" not in found.check.what


@contextmanager
def stranger(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Another program on a port, which does something with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        ends = threading.Event()

        def serve() -> None:
            while not ends.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(5)
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ends.set()
            thread.join()


def _said(text: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(text)

    return answer


@pytest.mark.parametrize("length", [b"Content-Length: 4", b"content-length:4 "])
def test_a_refusal_is_read_to_its_end_though_the_proxy_stays_on_the_line(length: bytes) -> None:
    left = threading.Event()

    def refuse(connection: socket.socket) -> None:
        _said(b"HTTP/1.1 502 Bad Gateway\r\n" + length + b"\r\n\r\nwhy?")(connection)
        assert left.wait(PATIENCE)

    with stranger(refuse) as number, ExitStack() as stack:
        stack.callback(left.set)
        began = time.monotonic()
        answer, connection = port.connected(parse(f"http://127.0.0.1:{number}"), HOST, 443, PATIENCE)
        connection.close()
        assert time.monotonic() - began < PATIENCE
    assert (answer.status, answer.body) == (502, b"why?")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        (b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nok", "HTTP 200 OK, Server: nginx"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{"a"', "HTTP 200 OK"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"llm_metrics_proxy": 2}', "HTTP 200 OK"),
        (b"HTTP/1.1 502 Bad\x1b[31m Gateway\r\nContent-Length: 0\r\n\r\n", "HTTP 502 Bad"),
    ],
    ids=["ssh", "nginx", "half", "almost", "escape"],
)
def test_another_program_is_told_from_the_proxy_whatever_its_status(text: bytes, shown: str, tmp_path: Path) -> None:
    with stranger(_said(text)) as number:
        found = port.ask(at(tmp_path, url=f"http://127.0.0.1:{number}"))
    assert found.signature is None
    assert found.check.level == "fail"
    assert f"127.0.0.1:{number} is another program" in found.check.what
    assert shown in found.check.what
    assert found.check.what.isprintable()
    if sys.platform == "linux":
        assert f"process {os.getpid()}" in found.check.what


def test_a_program_that_hangs_up_and_one_that_is_silent_are_told_apart(tmp_path: Path) -> None:
    with stranger(lambda _connection: None) as number:
        found = port.ask(at(tmp_path, url=f"http://127.0.0.1:{number}"))
        assert "closed the connection without a word" in found.check.what
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = port.ask(at(tmp_path, url=f"http://127.0.0.1:{server.getsockname()[1]}", patience=0.2))
        assert "says nothing for 0.2 s" in found.check.what


def test_a_port_where_nobody_listens_is_named(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = port.ask(at(tmp_path, url=f"http://127.0.0.1:{closed.getsockname()[1]}"))
    assert found.check.what.startswith("Nothing listens on 127.0.0.1:")


def test_mitmproxy_without_the_addon_is_told_from_other_programs(tmp_path: Path) -> None:
    with started(tmp_path, addon=None) as plain:
        found = port.ask(at(tmp_path, url=plain.proxy.url))
        healthy = health(plain.proxy.url)
    assert "is mitmproxy, but without this addon" in found.check.what
    assert found.certificate is not None
    assert healthy.returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_process_behind_a_port_is_found_and_nobody_is_invented() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        assert (port.process_at(number) or "").endswith(f", process {os.getpid()}")
    assert port.process_at(number) is None
