"""A proxy that asks for a password: who gives it is the origin, who does not is refused, and it is kept nowhere."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import bcrypt
import pytest

from llm_metrics_proxy.recorder import backup
from tests.support.ends.connection import End
from tests.support.process_watch import Watched
from tests.support.rig import JSON, Reply, Rig, at_once, question, started
from tests.support.waiting import eventually

PASSWORDS = {"billing": "planted-Zq7Xw-of-billing", "search-team": "planted-Zq7Xw-of-search"}
LAN = "llm.named.test"
ANSWER = at_once(b'{"model":"gpt-5.5","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}')


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A proxy with two users, as htpasswd writes them."""
    folder = tmp_path_factory.mktemp("guarded")
    hashed = {user: bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode() for user, word in PASSWORDS.items()}
    (folder / "users").write_text("".join(f"{user}:{of}\n" for user, of in hashed.items()))
    options = [f"proxyauth=@{folder / 'users'}", r"metrics_hosts=\.named\.test$"]
    with started(folder, options=options) as rig:
        rig.answer(ANSWER)
        yield rig
        assert rig.new_rows() == []


def sent(rig: Rig, user: str | None, *, tls: bool, body: bytes = question()) -> Reply | None:
    """Ask; None if not even a tunnel came about."""
    try:
        return rig.ask(body, user=user, tls=tls, host="api.openai.com" if tls else LAN)
    except OSError as error:
        assert "407" in str(error)  # noqa: PT017 - http.client has no other word for it
        return None


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("user", PASSWORDS)
def test_the_user_is_the_origin_and_neither_name_nor_password_leaves(guarded: Rig, user: str, *, tls: bool) -> None:
    reply = sent(guarded, f"{user}:{PASSWORDS[user]}", tls=tls)
    assert reply is not None
    assert reply.status == 200
    assert guarded.row()["origin"] == user
    assert guarded.served.request.headers == (
        ("Host", "api.openai.com" if tls else LAN),
        ("content-type", "application/json"),
        ("content-length", str(len(question()))),
    )


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("user", [None, "billing:wrong", "nobody:planted-Zq7Xw-of-billing", "billing:"])
def test_who_has_no_password_gets_407_and_leaves_no_row(guarded: Rig, user: str | None, *, tls: bool) -> None:
    before, received = len(guarded.provider.served), guarded.counter("received")
    reply = sent(guarded, user, tls=tls)
    assert reply is None if tls else reply is not None and reply.status == 407
    sent(guarded, f"billing:{PASSWORDS['billing']}", tls=tls)  # and the proxy goes on; what came before has settled
    assert guarded.row()["origin"] == "billing"
    assert eventually(lambda: guarded.counter("received") == received + 1)
    assert len(guarded.provider.served) == before + 1
    assert "Traceback" not in guarded.proxy.log


def test_nobody_who_has_a_password_can_speak_for_another(guarded: Rig) -> None:
    mallory = b64encode(f"search-team:{PASSWORDS['search-team']}".encode()).decode()
    claims = [("x-llm-origin", "search-team"), ("Proxy-Authorization", f"Basic {mallory}"), ("Origin", "search-team")]
    guarded.ask(question(), user=f"billing:{PASSWORDS['billing']}", headers=[*JSON, *claims])
    assert guarded.row()["origin"] == "billing"
    assert [name for name, _ in guarded.served.request.headers if name.lower().startswith(("x-llm", "proxy-"))] == []


def test_passwords_are_kept_nowhere(guarded: Rig, tmp_path: Path) -> None:
    database = guarded.proxy.database
    saved = backup.create(database, backup_dir=tmp_path)
    files = [saved, guarded.proxy.log_file, *database.parent.glob("metrics.db*"), *database.parent.glob("*.spill/*")]
    said = b"".join(path.read_bytes() for path in files if path.is_file())
    for user, word in PASSWORDS.items():
        assert word.encode() not in said
        assert b64encode(f"{user}:{word}".encode()) not in said


@pytest.mark.parametrize("length", [b"Content-Length: 400000000", b"Transfer-Encoding: chunked"])
def test_who_has_no_password_cannot_fill_the_memory(guarded: Rig, length: bytes) -> None:
    watched = Watched(guarded.proxy.pid)
    before, piece = watched.now(0).rss_mb, b"x" * (1 << 20)
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
    with socket.create_connection(("127.0.0.1", guarded.proxy.port), timeout=1) as client, suppress(OSError):
        client.sendall(
            b"POST http://%b/v1/chat/completions HTTP/1.1\r\nHost: %b\r\n%b\r\n\r\n" % (*[LAN.encode()] * 2, length)
        )
        for _ in range(300):
            client.sendall(chunk)  # until the proxy takes none for a second
    assert watched.now(0).rss_mb - before < 40
    assert "Traceback" not in guarded.proxy.log


CALL = f"POST http://{LAN}/v1/chat/completions HTTP/1.1\r\nHost: {LAN}\r\n".encode()
PASSWORD = b"Proxy-Authorization: Basic " + b64encode(f"billing:{PASSWORDS['billing']}".encode()) + b"\r\n"
MEGABYTE = 1 << 20
BODY = b"Content-Length: %d\r\n\r\n" % (4 * MEGABYTE + 1)
TUNNEL = b"CONNECT api.openai.com:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO = b"\x16\x03\x01\x00\x04\x01\xff\xff\xff"
FLOODS = {
    "bodies": (CALL + BODY, b"x" * MEGABYTE, b"HTTP/1.1 407 "),
    "heads": (CALL, (b"x-a: " + b"v" * 65_529 + b"\r\n") * 16, b""),
    "lines of chunks": (TUNNEL, b"1" * MEGABYTE, b"HTTP/1.1 407 "),
    "hellos": (HELLO, (b"\x16\x03\x01\x40\x00" + b"v" * 0x4000) * 64, b""),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_all_without_a_password_together_cannot_fill_the_memory(guarded: Rig, flood: str) -> None:
    """40 clients send 4 MB each of something that does not end, which took 155 MB; bodies of 16 MB took 700."""
    start, piece, answer = FLOODS[flood]
    watched = Watched(guarded.proxy.pid)
    before = watched.now(0).rss_mb
    with ExitStack() as open_until_here:
        clients = [closing(socket.create_connection(("127.0.0.1", guarded.proxy.port), timeout=10)) for _ in range(40)]
        for client in [open_until_here.enter_context(client) for client in clients]:
            with suppress(OSError):  # some are cut
                client.sendall(start)
                for _ in range(4):
                    client.sendall(piece)
            if answer:
                assert client.recv(len(answer)) == answer
        assert sent(guarded, f"billing:{PASSWORDS['billing']}", tls=False, body=question(user="x" * 3_000_000))
        assert watched.now(0).rss_mb - before < 50
    assert guarded.row()["status_code"] == 200
    assert "Traceback" not in guarded.proxy.log


def test_who_is_asked_for_a_password_in_the_middle_of_a_body_gives_it_on_the_same_connection(guarded: Rig) -> None:
    body = question()
    length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with closing(socket.create_connection(("127.0.0.1", guarded.proxy.port))) as connection:
        end = End(connection)
        end.send(CALL, b"Expect: 100-continue\r\n", length, body[:20])
        assert end.until(b"</html>").startswith(b"HTTP/1.1 407 ")
        end.send(body[20:], CALL, PASSWORD, length, body)
        assert end.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert guarded.row()["origin"] == "billing"


def test_a_long_head_of_who_has_a_password_passes(guarded: Rig) -> None:
    body = question()
    with closing(socket.create_connection(("127.0.0.1", guarded.proxy.port))) as connection:
        end = End(connection)
        end.send(CALL, b"x-long: %b\r\n" % (b"v" * MEGABYTE), PASSWORD)
        end.send(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert end.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert len(guarded.served.request.header("x-long") or "") == MEGABYTE
    guarded.row()
