"""The fast path is there where mitmproxy is known, can be switched off, and tells where it stays away."""

import re
import socket
import time
from pathlib import Path

import pytest

from llm_metrics_proxy.addon.fastpath.bodies import chunk
from llm_metrics_proxy.recorder.care import status
from tests.support.provider.scenario import Request
from tests.support.rig import question, started
from tests.support.waiting import eventually

REPLACING = """
from mitmproxy import ctx

class Replacing:
    def load(self, loader):
        manager = ctx.master.addons
        own = manager.trigger_event
        async def trigger_event(event):
            await own(event)
        manager.trigger_event = trigger_event

addons = [Replacing()]
"""

LOOKING = """
from mitmproxy import ctx
from mitmproxy.proxy import server
from pathlib import Path

class Looking:
    def request(self, flow):
        event = server.ConnectionHandler.server_event
        found = ["trigger_event" in vars(ctx.master.addons), "addon/fastpath" in event.__code__.co_filename]
        Path({path!r}).write_text(repr(found))

addons = [Looking()]
"""


@pytest.mark.parametrize(
    ("value", "there"),
    [
        (None, [True, True]),
        ("auto", [True, True]),
        ("off", [False, False]),
        ("dispatch", [True, False]),
        ("writes", [False, True]),
        ("bypass", [False, True]),
        ("messages", [False, False]),
        ("writes,dispatch", [True, True]),
    ],
)
def test_the_option_says_what_is_there(tmp_path: Path, value: str | None, there: list[bool]) -> None:
    script, found = tmp_path / "looking.py", tmp_path / "found.txt"
    script.write_text(LOOKING.format(path=str(found)))
    options = [f"metrics_fast_path={value}"] if value else []
    with started(tmp_path, options=options, scripts=[script]) as rig:
        rig.ask(question())
        assert rig.row()
    assert found.read_text() == repr(there)


def test_a_client_that_stops_reading_holds_the_provider_back_and_gets_all(tmp_path: Path) -> None:
    piece, pieces, sent = b"data: " + b"x" * 65_528 + b"\n\n", 1000, []

    def serve(_request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(pieces):
            connection.sendall(chunk(piece))
            sent.append(len(piece))
        connection.sendall(chunk(b""))
        connection.close()

    with started(tmp_path) as rig:
        rig.provider.answer = lambda _request: serve
        with rig.asking(question(stream=True)) as (_, response):
            first = response.read(len(piece))
            eventually(lambda: sent)
            time.sleep(1.5)  # much longer than all of it takes
            held_back = len(sent)
            rest = response.read()
        assert held_back < pieces / 2
        assert first + rest == piece * pieces
        assert rig.row()["response_bytes"] == len(piece) * pieces


def test_where_another_addon_replaced_it_one_line_says_so_and_the_status_counts_it(tmp_path: Path) -> None:
    script = tmp_path / "replacing.py"
    script.write_text(REPLACING)
    with started(tmp_path, scripts=[script]) as rig:
        rig.ask(question())
        assert rig.row()
    told = [line for line in rig.proxy.log.splitlines() if "fast path" in line]
    assert len(told) == 1
    assert "leaves dispatch to mitmproxy: another addon has replaced trigger_event" in told[0]
    found = status.as_text(status.collect(rig.proxy.database))
    assert re.search(r"fast_path_dispatch_off +1\n", found)
