"""Whatever happens to us, both ends get the same bytes, and nobody waits for us.

Every fault is put into a running proxy from outside, and held while the same exchanges go through it and through a
proxy whose addon only streams. What is lost of the numbers is for other tests to say.
"""

import json
import os
import resource
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from llm_metrics_proxy.recorder.store import spill_folder
from tests.support.ends.two_proxies import Side, Sides, started
from tests.support.rig import ANTHROPIC, OPENAI, question
from tests.support.waiting import eventually
from tests.trials.torture.case import Blocked
from tests.trials.torture.disks import memory_disk
from tests.trials.torture.faults import MOVES, full_disk, write_lock

HEAD_END = b"\r\n\r\n"
EVENTS = [
    b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
]
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"model":"gpt"}'
UPGRADE = (
    f"GET /v1/responses HTTP/1.1\r\nHost: {OPENAI}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
CALLS = 40
_MORE_AT_THE_MEDIAN = 0.02
_MORE_AT_THE_MOST = 0.5


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    with started(tmp_path_factory.mktemp("faults"), "floor", None) as side:
        yield side


def _asking(host: str, path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _stream(side: Side, host: str, path: str) -> None:
    body = question(stream=True)
    client, provider = side.connected(host)
    client.send(_asking(host, path, body))
    provider.until(body)
    provider.send(SSE)
    client.until(HEAD_END)
    for event in EVENTS:
        provider.send(_chunk(event))
        client.until(event)
    provider.send(b"0\r\n\r\n")
    client.until(b"0\r\n\r\n")


def _socket(side: Side) -> None:
    client, provider = side.connected(OPENAI)
    client.send(UPGRADE)
    provider.until(HEAD_END)
    provider.send(ACCEPTED)
    client.until(HEAD_END)
    asked = json.dumps({"type": "response.create", "model": "gpt"})
    client.send(Connection(ConnectionType.CLIENT).send(TextMessage(asked)))
    reading = Connection(ConnectionType.SERVER)
    while not (seen := list(reading.events())):
        reading.receive_data(provider.some() or None)
    assert seen == [TextMessage(asked)]
    for kind in ("response.created", "response.completed"):
        said = json.dumps({"type": kind, "response": {"id": "r", "status": "completed"}})
        provider.send(reading.send(TextMessage(said)))
        client.until(said.encode())


def assert_the_same_bytes(sides: Sides) -> None:
    """Every kind of exchange, once without us and once with us."""
    for host, path in ((OPENAI, "/v1/chat/completions"), (ANTHROPIC, "/v1/messages"), (OPENAI, "/v1/files")):
        for side in sides:
            _stream(side, host, path)
    for side in sides.without_bytes():
        _socket(side)


def _plain(side: Side) -> float:
    client, provider = side.connected(OPENAI)
    body, slowest = question(), []
    for _ in range(CALLS):
        began = time.monotonic()
        client.send(_asking(OPENAI, "/v1/chat/completions", body))
        provider.until(body)
        provider.send(PLAIN)
        client.until(PLAIN[-15:])
        slowest.append(time.monotonic() - began)
    side.note(*slowest)
    return statistics.median(slowest)


def assert_the_same_latency(sides: Sides) -> None:
    """Small calls, in turns; the bounds are far above any noise and far below any wait for a database."""
    medians, most = [], []
    for side in (sides.floor, sides.ours):
        side.begin()
        medians.append(_plain(side))
        most.append(max(side.seen))
        side.end(bytewise=False)
    assert medians[1] < medians[0] + _MORE_AT_THE_MEDIAN, medians
    assert most[1] < most[0] + _MORE_AT_THE_MOST, most


# --- parsers and hooks

_RAISING = """
import functools, importlib, os
from pathlib import Path

chosen = Path(os.environ["TEST_FAULT"])

def patched(module, path):
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    original = getattr(owner, name)

    def fault(*args, **kwargs):
        if f"{module}:{path}" in chosen.read_text().split():
            chosen.with_suffix(".raised").touch()
            raise RuntimeError("a fault of ours")
        return original(*args, **kwargs)

    setattr(owner, name, fault)

for where in set(os.environ["TEST_FAULTS"].split()):
    patched(*where.split(":"))
"""
RAISING = [
    "llm_metrics_proxy.addon.capture:match",
    "llm_metrics_proxy.addon.capture:match_session",
    "llm_metrics_proxy.addon.capture:session_of",
    "llm_metrics_proxy.addon.capture:origin_of",
    "llm_metrics_proxy.addon.capture:host_asked_for",
    "llm_metrics_proxy.addon.capture:Opening",
    "llm_metrics_proxy.addon.capture:_tunnel",
    "llm_metrics_proxy.addon.capture:_client",
    "llm_metrics_proxy.addon.exchange:Exchange.__init__",
    "llm_metrics_proxy.addon.exchange:Exchange.request_end",
    "llm_metrics_proxy.addon.exchange:Exchange.answer_head",
    "llm_metrics_proxy.addon.exchange:Exchange.read",
    "llm_metrics_proxy.addon.exchange:Exchange.finish",
    "llm_metrics_proxy.addon.reading:Reading.__init__",
    "llm_metrics_proxy.addon.reading:Reading.answer_head",
    "llm_metrics_proxy.addon.reading:Reading.answer_body",
    "llm_metrics_proxy.addon.row:Row.make",
    "llm_metrics_proxy.addon.inflight:InFlight._settle_one",
    "llm_metrics_proxy.addon.framing.body:Body.feed",
    "llm_metrics_proxy.addon.inflight:InFlight.begin",
    "llm_metrics_proxy.addon.inflight:InFlight.exchange",
    "llm_metrics_proxy.addon.inflight:InFlight.end",
    "llm_metrics_proxy.addon.websocket_protocols.session:Session.message",
    "llm_metrics_proxy.recorder.recorder:Recorder.submit",
]
RAISING_TWICE = "llm_metrics_proxy.addon.exchange:Exchange.read llm_metrics_proxy.addon.exchange:Exchange.stop_reading"


@contextmanager
def _raising(folder: Path) -> Iterator[tuple[Side, Path]]:
    """Start a proxy that raises in the function which is named in a file."""
    script, chosen = folder / "raising.py", folder / "chosen"
    script.write_text(_RAISING)
    chosen.write_text("")
    environment = {"TEST_FAULT": str(chosen), "TEST_FAULTS": " ".join([*RAISING, RAISING_TWICE])}
    with started(folder, "ours", scripts=[script], environment=environment) as side:
        yield side, chosen


@pytest.fixture(scope="module")
def raising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Path]]:
    with _raising(tmp_path_factory.mktemp("raising")) as both:
        yield both


@pytest.mark.parametrize("where", RAISING)
def test_a_fault_anywhere_in_our_code_changes_no_byte(floor: Side, raising: tuple[Side, Path], where: str) -> None:
    side, chosen = raising
    raised = chosen.with_suffix(".raised")
    raised.unlink(missing_ok=True)
    chosen.write_text(where)
    assert_the_same_bytes(Sides(floor, side))
    assert eventually(raised.exists), "nothing has raised"  # rows are made a little after the last byte
    chosen.write_text("")


def test_a_fault_while_a_fault_is_noted_changes_no_byte(floor: Side, tmp_path: Path) -> None:
    with _raising(tmp_path) as (side, chosen):
        chosen.write_text(RAISING_TWICE)
        assert_the_same_bytes(Sides(floor, side))


# --- the recorder and the database


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    with started(tmp_path_factory.mktemp("healthy"), "ours") as side:
        yield side


def _rows(side: Side) -> int:
    return Sides(side, side).query("SELECT count(*) FROM completion_requests")[0][0]  # type: ignore[no-any-return]


def _spilled(side: Side) -> bool:
    return any(file.stat().st_size for file in spill_folder.folder_of(side.proxy.database).glob("*.jsonl*"))


def test_nobody_waits_for_a_database_that_is_locked_and_all_rows_follow(floor: Side, healthy: Side) -> None:
    sides, before = Sides(floor, healthy), _rows(healthy)
    with write_lock(healthy.proxy.database):
        assert_the_same_bytes(sides)
        assert_the_same_latency(sides)
        assert eventually(lambda: _spilled(healthy)), "the lock was not even met"
    assert eventually(lambda: _rows(healthy) == before + CALLS + 3)


def _replace_by_a_folder(path: Path) -> None:
    MOVES["all three unlinked"](path)
    path.mkdir()


HARM: dict[str, Callable[[Path], object]] = {
    "removed": MOVES["all three unlinked"],
    "replaced by a text file": MOVES["replaced by a text file"],
    "replaced by a folder": _replace_by_a_folder,
}


@pytest.mark.parametrize("how", HARM)
def test_nobody_notices_that_the_database_is(floor: Side, tmp_path: Path, how: str) -> None:
    with started(tmp_path, "ours") as side:
        HARM[how](side.proxy.database)
        assert_the_same_bytes(Sides(floor, side))
        assert_the_same_latency(Sides(floor, side))
        assert side.proxy.stop() == 0


def test_nobody_notices_a_full_disk_and_all_rows_follow(floor: Side, tmp_path: Path) -> None:
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(memory_disk(tmp_path, 48))
        except Blocked as reason:
            pytest.skip(str(reason))
        side = stack.enter_context(started(disk, "ours"))
        with full_disk(disk):
            assert_the_same_bytes(Sides(floor, side))
            assert_the_same_latency(Sides(floor, side))
        assert eventually(lambda: _rows(side) == CALLS + 3), side.proxy.log
        assert side.proxy.stop() == 0


def test_nobody_notices_a_process_whose_files_may_not_grow(floor: Side, tmp_path: Path) -> None:
    with started(tmp_path, "ours") as side:
        resource.prlimit(side.proxy.pid, resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
        assert_the_same_bytes(Sides(floor, side))
        assert_the_same_latency(Sides(floor, side))
        assert side.proxy.stop() == 0


_DEAD = """
from llm_metrics_proxy.recorder.writing.write_loop import WriteLoop

WriteLoop.run = lambda self: None
"""


def test_nobody_notices_that_the_recorders_thread_is_dead_and_its_queue_full(floor: Side, tmp_path: Path) -> None:
    script = tmp_path / "dead.py"
    script.write_text(_DEAD)
    with started(tmp_path, "ours", scripts=[script], options=["metrics_queue_size=2"]) as side:
        assert_the_same_bytes(Sides(floor, side))
        assert_the_same_latency(Sides(floor, side))
        assert side.proxy.stop() == 0


def test_nobody_notices_a_full_queue_and_what_was_dropped_is_counted(floor: Side, tmp_path: Path) -> None:
    with started(tmp_path, "ours", options=["metrics_queue_size=1"]) as side:
        folder = spill_folder.folder_of(side.proxy.database)
        assert_the_same_bytes(Sides(floor, side))
        assert eventually(lambda: _rows(side) > 0), "the database is not open"
        with write_lock(side.proxy.database):
            shutil.rmtree(folder)
            folder.write_text("in the way")
            assert_the_same_bytes(Sides(floor, side))
            assert_the_same_latency(Sides(floor, side))
        folder.unlink()

        def counted() -> tuple[int, int, int]:
            counters = dict(Sides(floor, side).query("SELECT name, value FROM recorder_counters"))
            return counters["received"], counters["written"], counters.get("dropped_queue_full", 0)

        assert eventually(lambda: counted()[1] + counted()[2] == CALLS + 6), counted()
        received, written, dropped = counted()
        assert received == written + dropped
        assert dropped > 0


# --- a log that cannot be written: mitmproxy's handler ends whoever logs then, with SystemExit


@contextmanager
def _log_cannot_be_written(side: Side) -> Iterator[None]:
    """The log is larger than files may be, and no other file is."""
    os.truncate(side.proxy.log_file, 2 << 20)
    resource.prlimit(side.proxy.pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    yield
    resource.prlimit(side.proxy.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_warning_of_the_addon_that_cannot_be_printed_does_not_end_the_proxy(floor: Side, tmp_path: Path) -> None:
    with _raising(tmp_path) as (side, chosen), _log_cannot_be_written(side):
        chosen.write_text("llm_metrics_proxy.addon.capture:origin_of")
        assert_the_same_bytes(Sides(floor, side))


def test_a_warning_of_the_recorder_that_cannot_be_printed_does_not_end_the_recorder(
    floor: Side, tmp_path: Path
) -> None:
    with started(tmp_path, "ours") as side, _log_cannot_be_written(side):
        with write_lock(side.proxy.database):
            assert_the_same_bytes(Sides(floor, side))
            assert eventually(lambda: _spilled(side), within=3)
        assert eventually(lambda: _rows(side) == 3)
