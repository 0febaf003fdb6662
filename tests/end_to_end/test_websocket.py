"""WebSockets through a real mitmdump: every message arrives as it was sent, rows come while the socket is open."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from tests.support.ends.websocket import Peer, Sockets
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy
from tests.support.rig import OPENAI, Rig
from tests.support.waiting import PATIENCE, eventually

RESPONSES = "/v1/responses"
GEMINI = ("generativelanguage.googleapis.com", "/ws/a.v1beta.GenerativeService.BidiGenerateContent")
_PROBE = """
import os
from pathlib import Path

def websocket_message(flow):
    with Path(os.environ["TEST_PROBE"]).open("a") as kept:
        kept.write(f"{flow.request.path} {len(flow.websocket.messages)}\\n")
"""


@dataclass
class Place:
    rig: Rig
    sockets: Sockets
    provider_ca: Path
    probe: Path

    @contextmanager
    def connected(
        self, host: str = OPENAI, path: str = RESPONSES, *, ca: Path | None = None
    ) -> Iterator[tuple[Peer, Peer]]:
        """Connect through the proxy; yield the client's end and the provider's."""
        plain = socket.create_connection(("127.0.0.1", self.rig.proxy.port), timeout=PATIENCE)
        plain.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        assert plain.recv(4096).startswith(b"HTTP/1.1 200")
        context = ssl.create_default_context(cafile=ca or self.rig.proxy.ca)
        with closing(context.wrap_socket(plain, server_hostname=host)) as tls:
            client = Peer(tls, ConnectionType.CLIENT)
            client.send(Request(host, path, extensions=[PerMessageDeflate()] if self.sockets.deflate else []))
            assert isinstance(client.next(), AcceptConnection)
            server = self.sockets.accepted()
            with closing(server.socket):
                yield client, server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("websocket")
    script, probe = folder / "probe.py", folder / "probe.txt"
    script.write_text(_PROBE)
    probe.touch()
    sockets = Sockets()
    with Provider(sockets.answer) as provider:
        ca = provider.authority.write(folder / "provider-ca.pem")
        with Proxy(folder, provider.port, ca, scripts=[script], environment={"TEST_PROBE": str(probe)}) as proxy:
            place = Place(Rig(provider, proxy), sockets, ca, probe)
            yield place
            assert place.rig.new_rows() == [], "rows that no test had expected"


def _created(server: Peer, number: int) -> None:
    server.say(type="response.created", response={"id": f"resp_{number}", "status": "in_progress"})


def _answer(server: Peer, number: int) -> None:
    usage = {"input_tokens": number, "output_tokens": 2, "total_tokens": number + 2}
    server.say(type="response.output_text.delta", delta="Be")
    server.say(type="response.completed", response={"id": f"resp_{number}", "status": "completed", "usage": usage})


_MESSAGES: list[list[Any]] = [
    ["{}"],
    ['{"type": "x"}', ', "no JSON', ""],
    ["ä🏞" * 9000],
    [b"\x00\xff"],
    [b"\x00" * 70_000, b"\x01"],
    [""],
    ["x" * 1_000_000],
]


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(("host", "path"), [(OPENAI, RESPONSES), (OPENAI, "/v1/other"), GEMINI])
def test_messages_arrive_as_they_were_sent(place: Place, host: str, path: str, *, deflate: bool) -> None:
    place.sockets.deflate = deflate
    with place.connected(host, path) as (client, server):
        place.sockets.deflate = False
        for sender, receiver in ((client, server), (server, client)):
            for frames in _MESSAGES:
                for count, frame in enumerate(frames, 1):
                    kind = TextMessage if isinstance(frame, str) else BytesMessage
                    sender.send(kind(frame, frame_finished=True, message_finished=count == len(frames)))
                received: list[Any] = receiver.frames()
                if deflate:  # frames are cut anew by whoever compresses
                    assert received[0][:0].join(received) == frames[0][:0].join(frames)
                else:
                    assert received == frames
            sender.send(Ping(b"12"))
            assert isinstance(receiver.next(), Ping)
            receiver.send(Pong(b"12"))
            assert isinstance(sender.next(), Pong)
        client.send(CloseConnection(4321, "enough"))
        assert server.next() == CloseConnection(4321, "enough")


def test_rows_are_written_while_the_socket_is_open(place: Place) -> None:
    with place.connected() as (client, server):
        for number, model in enumerate(("gpt-5.5", "gpt-5.4-mini"), 1):
            client.say(type="response.create", model=model, input="Why?", max_output_tokens=77)
            server.frames()
            _created(server, number)
            time.sleep(0.1)
            _answer(server, number)
            row = place.rig.row()
            assert [row[name] for name in ("model", "success", "status_code", "is_streaming")] == [model, 1, 200, 1]
            assert (row["prompt_tokens"], row["finish_reason"], row["max_tokens"]) == (number, "completed", 77)
            assert 95 <= row["time_to_first_token_ms"] < 200
            assert row["endpoint"] == RESPONSES


def test_binary_frames_are_read(place: Place) -> None:
    with place.connected(*GEMINI) as (client, server):
        client.say(setup={"model": "models/gemini-live"})
        client.say(client_content={"turns": [], "turn_complete": True})
        content = {"modelTurn": {"parts": [{"text": "Be"}]}, "turnComplete": True}
        answer = {"serverContent": content, "usageMetadata": {"promptTokenCount": 5, "responseTokenCount": 1}}
        server.frames()
        server.frames()
        server.send(BytesMessage(json.dumps(answer).encode()))
        row = place.rig.row()
        assert (row["model"], row["success"], row["prompt_tokens"]) == ("gemini-live", 1, 5)


@pytest.mark.parametrize("politely", [True, False])
@pytest.mark.parametrize("who", ["client", "upstream"])
def test_the_side_that_leaves_in_the_middle_is_named(place: Place, who: str, *, politely: bool) -> None:
    with place.connected() as (client, server):
        client.say(type="response.create", model="gpt-5.5")
        server.frames()
        _created(server, 1)
        client.frames()
        leaving = client if who == "client" else server
        if politely:
            leaving.send(CloseConnection(1001))
        else:
            leaving.socket.shutdown(socket.SHUT_RDWR)
        row = place.rig.row()
    assert (row["success"], row["status_code"], row["error_type"]) == (0, 200, f"{who}_disconnect")


def test_messages_are_not_kept(place: Place) -> None:
    before = len(place.probe.read_text().splitlines())
    with place.connected(path="/v1/realtime?model=kept") as (client, server):
        for _ in range(100):
            client.say(type="input_audio_buffer.append", audio="A" * 10_000)
            server.frames()
        seen = place.probe.read_text().splitlines()[before:]
    assert seen == ["/v1/realtime?model=kept 1"] * 100


def test_a_socket_of_a_provider_that_nobody_knows_is_counted_and_no_row(place: Place) -> None:
    with place.connected(path="/v1/brand-new-socket") as (client, server):
        client.say(type="response.create")
        server.frames()
        found = eventually(
            lambda: place.rig.query("SELECT host FROM unrecognised WHERE path = ?", "/v1/brand-new-socket")
        )
    assert found == [{"host": OPENAI}]


def test_a_socket_of_somebody_else_is_not_opened(place: Place) -> None:
    before = place.probe.read_text()
    with place.connected("chat.example.org", RESPONSES, ca=place.provider_ca) as (client, server):
        client.say(type="response.create", model="gpt-5.5")
        assert server.frames() == ['{"type": "response.create", "model": "gpt-5.5"}']
    assert place.probe.read_text() == before
