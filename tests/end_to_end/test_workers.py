"""`llm-metrics run --workers 2`: one port, one database, and no call that another worker's end costs."""

import http.client
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from wsproto import ConnectionType
from wsproto.events import AcceptConnection, Request

from tests.support.ends.websocket import Peer, Sockets
from tests.support.provider import openai_answers
from tests.support.provider.scenario import End, Scenario, Step
from tests.support.proxy import clean_environment
from tests.support.rig import CHAT, OPENAI, Rig, hang_up, question
from tests.support.waiting import PATIENCE, eventually
from tests.support.workers import LLM_METRICS, Workers, free_port, serving

CRASHES = """
import os
from pathlib import Path

if Path(os.environ["HOME"], "crash").exists():
    os._exit(3)
"""
EVENT = b'data: {"id": "r", "model": "gpt-5.5", "choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Workers]]:
    """Two workers for most tests; each leaves two behind, which may be others."""
    folder = tmp_path_factory.mktemp("workers")
    (folder / "crashes.py").write_text(CRASHES)
    with serving(folder, scripts=[folder / "crashes.py"], drain=8) as (rig, workers):
        yield rig, workers


def one_after_the_other(rig: Rig, count: int) -> list[int]:
    """Make calls on one connection, on another where an answer says that it closes; return the statuses."""
    left = count
    statuses = []
    while left:
        with rig.asking(question()) as (connection, response):
            answer = response
            while True:
                answer.read()
                statuses.append(answer.status)
                left -= 1
                if not left or answer.getheader("connection") == "close":
                    break
                connection.request("POST", CHAT, question(), {"Host": OPENAI, "content-type": "application/json"})
                answer = connection.getresponse()
    return statuses


def test_calls_of_all_workers_are_in_the_database_once(running: tuple[Rig, Workers]) -> None:
    rig, workers = running
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    before = rig.query("SELECT count(*) AS n FROM completion_requests")[0]["n"]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: one_after_the_other(rig, 5), range(8)))
    assert statuses == [[200] * 5] * 8
    rig.rows(40)
    counted = rig.query("SELECT count(DISTINCT event_id) AS ids FROM completion_requests")
    assert counted == [{"ids": before + 40}]
    written = rig.query("SELECT process, value FROM recorder_counters WHERE name = 'written' AND value > 0")
    by_process = {int(row["process"].split("-")[-2]): row["value"] for row in written}
    assert all(by_process.get(pid, 0) >= 10 for pid in workers.pids()), "connections are dealt out"


def test_one_greets_and_all_say_which_they_are(running: tuple[Rig, Workers]) -> None:
    _, workers = running
    assert workers.log.count("recording to") == 1
    assert workers.log.count("Then: ") == 1
    said = [workers.asked() for _ in range(4)]
    assert {one["worker"] for one in said} == {1, 2}
    assert {one["workers"] for one in said} == {2}
    assert len({one["recorder"] for one in said}) == 2


def test_a_worker_that_is_killed_is_replaced_and_costs_the_others_nothing(running: tuple[Rig, Workers]) -> None:
    rig, workers = running
    before = workers.all_there()
    rig.answer(openai_answers.stream("gpt-5.5", role_ms=0, content_ms=10, gap_ms=150, pieces=20))
    with ExitStack() as stack:
        streams = [stack.enter_context(rig.asking(question(stream=True)))[1] for _ in range(2)]  # one for each worker
        for stream in streams:
            assert stream.read1().startswith(b"data: ")
        killed, other = sorted(before)
        os.kill(killed, signal.SIGKILL)
        began = time.monotonic()
        after = workers.all_there(without=[killed])
        assert time.monotonic() - began < 20  # a second or two on a machine that does nothing else
        assert other in after
        whole = 0
        for stream in streams:
            with suppress(http.client.IncompleteRead):
                whole += stream.read().endswith(b"[DONE]\n\n")
        assert whole == 1
    assert rig.row()["success"] == 1
    assert f"(process {killed}) was ended by SIGKILL, and 1 connections with it" in workers.log
    (told,) = eventually(lambda: rig.query("SELECT count, detail FROM recorder_events WHERE kind = 'worker_lost'"))
    assert (told["count"], f"process {killed}, was ended by SIGKILL" in told["detail"]) == (1, True)
    assert rig.counter("workers_lost") == 1


def test_what_a_killed_worker_had_kept_aside_is_written_by_its_successor(running: tuple[Rig, Workers]) -> None:
    rig, workers = running
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    before = workers.all_there()
    with closing(sqlite3.connect(workers.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(6):
            assert rig.ask(question()).status == 200
        folder = workers.database.with_name("metrics.db.spill")
        assert eventually(lambda: sum(file.read_bytes().count(b"\n") for file in folder.glob("*.jsonl*")) >= 6)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        other.execute("ROLLBACK")
    workers.all_there(without=before)
    rig.rows(6)


def test_a_restart_by_sighup_refuses_nobody_and_cuts_nothing(running: tuple[Rig, Workers]) -> None:
    rig, workers = running
    before = workers.all_there()
    stop = threading.Event()

    def ask_and_ask() -> list[int]:
        statuses = []
        while not stop.is_set():
            statuses += one_after_the_other(rig, 20)
        return statuses

    rig.answer(openai_answers.stream("gpt-5.5", role_ms=0, content_ms=10, gap_ms=250, pieces=16))
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        stack.callback(stop.set)
        streams = [stack.enter_context(rig.asking(question(stream=True)))[1] for _ in range(2)]
        for stream in streams:
            assert stream.read1().startswith(b"data: ")
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        asking = [pool.submit(ask_and_ask) for _ in range(4)]
        os.kill(workers.pid, signal.SIGHUP)
        for stream in streams:
            assert stream.read().endswith(b"[DONE]\n\n")
        after = workers.all_there(without=before)
        stop.set()
        statuses = [status for one in asking for status in one.result()]
    assert set(statuses) == {200}
    assert after & before == set()
    rows = rig.rows(len(statuses) + 2)
    assert {row["success"] for row in rows} == {1}


def test_a_newer_worker_that_does_not_start_leaves_the_old_ones_serving(running: tuple[Rig, Workers]) -> None:
    rig, workers = running
    before = workers.all_there()
    crash = workers.database.with_name("crash")
    crash.touch()
    try:
        os.kill(workers.pid, signal.SIGHUP)
        assert eventually(lambda: "The restart was given up" in workers.log, within=30)
    finally:
        crash.unlink()
    assert workers.all_there() == before
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    assert rig.ask(question()).status == 200
    rig.row()


def test_a_worker_that_ends_at_once_again_and_again_is_started_more_and_more_seldom(
    running: tuple[Rig, Workers],
) -> None:
    rig, workers = running
    before = workers.all_there()
    crash = workers.database.with_name("crash")
    crash.touch()
    try:
        killed = max(before)
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: workers.log.count("exit code 3, and") >= 2, within=30)
        said = [line.rpartition(" in ")[2] for line in workers.log.splitlines() if "exit code 3, and" in line]
        pauses = [float(pause.removesuffix(" s.")) for pause in said]
        assert pauses[1] == 2 * pauses[0] >= 1
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        assert rig.ask(question()).status == 200  # the other one serves
    finally:
        crash.unlink()
    workers.all_there(without=[killed])
    rig.row()


@contextmanager
def session(rig: Rig) -> Iterator[tuple[Peer, Peer]]:
    """Open a WebSocket through the workers; yield the client's end and the provider's."""
    sockets = Sockets()
    rig.provider.answer = sockets.answer
    with socket.create_connection(("127.0.0.1", rig.proxy.port), timeout=PATIENCE) as plain:
        plain.sendall(f"CONNECT {OPENAI}:443 HTTP/1.1\r\nHost: {OPENAI}:443\r\n\r\n".encode())
        assert plain.recv(4096).startswith(b"HTTP/1.1 200")
        context = ssl.create_default_context(cafile=rig.proxy.ca)
        with context.wrap_socket(plain, server_hostname=OPENAI) as tls:
            client = Peer(tls, ConnectionType.CLIENT)
            client.send(Request(OPENAI, "/v1/responses"))
            assert isinstance(client.next(), AcceptConnection)
            server = sockets.accepted()
            with closing(server.socket):
                yield client, server


def test_while_workers_are_exchanged_sessions_go_on_and_what_has_no_end_is_cut_after_the_drain(
    running: tuple[Rig, Workers],
) -> None:
    rig, workers = running
    before = workers.all_there()
    with session(rig) as (client, server):
        rig.answer(Scenario((Step(0, EVENT),), end=End.HANG))
        with rig.asking(question(stream=True)) as (_, endless), rig.asking(question(stream=True)) as (leaving, other):
            assert endless.read1() == other.read1() == EVENT
            os.kill(workers.pid, signal.SIGHUP)
            assert eventually(lambda: len(workers.pids() - before) == 2, within=30), workers.log
            client.say(type="response.create", model="gpt-5.5")
            assert "response.create" in str(server.next())
            usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
            server.say(type="response.created", response={"id": "resp_1", "status": "in_progress"})
            server.say(type="response.completed", response={"id": "resp_1", "status": "completed", "usage": usage})
            assert "response.created" in str(client.next())
            assert "response.completed" in str(client.next())
            assert rig.row()["success"] == 1
            hang_up(leaving)
            assert rig.row()["error_type"] == "client_disconnect"
            with suppress(http.client.IncompleteRead):
                endless.read()
            assert rig.row()["error_type"] == "proxy_shutdown"
    assert workers.all_there(without=before)
    assert workers.log.count("worker_lost") == 0


def test_the_end_of_the_parent_is_the_end_of_all_workers(running: tuple[Rig, Workers]) -> None:
    """The last of those that share the workers."""
    rig, workers = running
    pids = workers.all_there()
    rig.answer(Scenario((Step(0, EVENT),), end=End.HANG))
    with rig.asking(question(stream=True)) as (_, stream):
        assert stream.read1() == EVENT
        workers.kill()
        assert rig.row()["error_type"] == "proxy_shutdown"
    assert eventually(lambda: not any(is_there(pid) for pid in pids))
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", workers.port), timeout=1):
        pass


def is_there(pid: int) -> bool:
    """True while a process lives."""
    with suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_sigterm_ends_all_of_them_with_their_rows_and_a_reverse_port_is_shared_as_well(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, modes=["regular", f"reverse:https://{OPENAI}@{port}"]) as (rig, workers):
        rig.answer(Scenario((Step(0, EVENT),), end=End.HANG))
        with ExitStack() as stack:
            for _ in range(2):
                _, stream = stack.enter_context(rig.asking(question(stream=True)))
                assert stream.read1() == EVENT
            plain = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)))
            plain.request("POST", CHAT, question(stream=True), {"content-type": "application/json"})
            assert plain.getresponse().read1() == EVENT
            assert workers.stop() == 0
        rows = rig.rows(3)
        assert {row["error_type"] for row in rows} == {"proxy_shutdown"}
        written = rig.query("SELECT process FROM recorder_counters WHERE name = 'written' AND value > 0")
        assert len(written) == 2, "both had some of them"
    assert workers.log.count("\n") == workers.log.count("export") + 3, workers.log


def run(*options: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [LLM_METRICS, "run", "--db", f"{home}/metrics.db", *options]
    environment = clean_environment(home)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        *(
            (("--workers", count), 2, f"'{count}' is no number of workers: write 1 to 64, or auto.")
            for count in ("0", "-1", "x", "1.5", "65", "", "٣")
        ),
        (("--workers", "2", "--drain", "-1"), 2, "-1.0 is not in the range"),
        (("--workers", "2", "--mode", "wireguard:"), 1, "The mode wireguard: is for one proxy: leave --workers out"),
        (("--workers", "2", "--mode", "local"), 1, "The mode local is for one proxy: leave --workers out"),
        (("--workers", "2", "--mode", "reverse:quic://a.b@1"), 1, "is for one proxy: leave --workers out"),
        (("--workers", "2", "--mode", "regular@0"), 1, "is for one proxy: leave --workers out"),
        (("--workers", "2", "--host", "203.0.113.1"), 1, "203.0.113.1 cannot be listened on at port 8080"),
        (("--workers", "2", "--mode", "nonsense", "--port", "0"), 1, "mitmdump: Invalid proxy mode specification"),
    ],
)
def test_what_cannot_be_is_one_sentence(options: tuple[str, ...], code: int, sentence: str, tmp_path: Path) -> None:
    done = run(*options, home=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "metrics.db").exists()


def _is_for_users(port: int) -> bool:
    lowest = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return os.geteuid() != 0 or not lowest.exists() or int(lowest.read_text()) <= port


@pytest.mark.skipif(_is_for_users(80), reason="takes root's right to low ports away, where they need one")
def test_a_port_that_is_not_for_users_is_one_sentence(tmp_path: Path) -> None:
    given_up = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-all"]
    command = [*given_up, LLM_METRICS, "run", "--workers", "2", "--port", "80", "--db", f"{tmp_path}/metrics.db"]
    done = subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "choose others with --host and --port" in done.stderr
