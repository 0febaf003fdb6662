"""A proxy that asks for a password: who gives it is the origin, who does not is refused, and it is kept nowhere."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import bcrypt
import pytest

from llm_metrics_proxy.recorder import backup
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
