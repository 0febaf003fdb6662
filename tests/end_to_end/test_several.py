"""Several proxies record into one file, and `llm-metrics run --workers 2` starts and ends them together."""

import os
import random
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.store import presence
from tests.support.provider import openai_answers
from tests.support.proxy import clean_environment
from tests.support.rig import Rig, question, started
from tests.support.waiting import eventually

LLM_METRICS = str(Path(sys.executable).with_name("llm-metrics"))


def free_ports(count: int) -> int:
    """The first of so many free ports in a row, below those that the system gives to whoever asks for any."""
    for first in random.sample(range(20_000, 32_000), 100):
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    msg = "no free ports"
    raise AssertionError(msg)


@contextmanager
def together(folder: Path, count: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [LLM_METRICS, "run", "--port", str(free_ports(3)), "--workers", count, "--db", f"{folder}/metrics.db"]
    command += ["--set", f"confdir={folder}/confdir", *arguments]
    environment = clean_environment(folder)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def first_port(process: subprocess.Popen[str]) -> int:
    """The port that the first of the proxies was told."""
    assert isinstance(process.args, list)
    return int(str(process.args[3]))


def pids_of(database: Path, count: int) -> list[int]:
    """The processes that record into `database`, once there are `count`."""
    names = eventually(lambda: found if len(found := presence.living(database)) == count else set(), within=30)
    return [int(name.split("-")[-2]) for name in names]


def test_two_proxies_on_one_file_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with started(tmp_path / "one") as one:
        (tmp_path / "two" / "metrics.db").symlink_to(one.proxy.database)
        with started(tmp_path / "two") as two:

            def ask(rig: Rig) -> None:
                for _ in range(40):
                    rig.ask(question())

            for rig in (one, two):
                rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
            with ThreadPoolExecutor() as pool:
                list(pool.map(ask, [one, two]))
            assert len({row["event_id"] for row in one.rows(80)}) == 80
            assert one.query("SELECT count(DISTINCT process) AS n FROM recorder_counters") == [{"n": 2}]


def test_they_start_on_ports_of_their_own_and_end_together(tmp_path: Path) -> None:
    database = tmp_path / "metrics.db"
    with together(tmp_path, "2") as process:
        assert len(pids_of(database, 2)) == 2
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert presence.living(database) == set()


def _chain_is_trusted(port: int, ca: Path) -> bool:
    """Whether a client that trusts the file of the CA accepts what the proxy on `port` shows for an LLM's host."""
    context = ssl.create_default_context(cafile=str(ca))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
        assert b" 200 " in connection.recv(4096)
        with context.wrap_socket(connection, server_hostname="api.openai.com") as secured:
            return secured.getpeercert() is not None


def test_proxies_that_start_without_a_ca_make_one_together(tmp_path: Path) -> None:
    with together(tmp_path, "3", "--set", "connection_strategy=lazy") as process:
        assert len(pids_of(tmp_path / "metrics.db", 3)) == 3
        ports = range(first_port(process), first_port(process) + 3)
        ca = tmp_path / "confdir" / "mitmproxy-ca-cert.pem"
        assert all(_chain_is_trusted(port, ca) for port in ports)


def test_when_one_ends_the_others_do_and_it_is_said(tmp_path: Path) -> None:
    database = tmp_path / "metrics.db"
    with together(tmp_path, "2") as process:
        os.kill(pids_of(database, 2)[0], signal.SIGKILL)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "One of the 2 proxies has ended, so the others end too." in said
    assert presence.living(database) == set()


@pytest.mark.parametrize("count", ["0", "many", "-1", "1.5"])
def test_what_is_no_number_of_proxies_is_a_sentence(count: str, tmp_path: Path) -> None:
    with together(tmp_path, count) as process:
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"Invalid value for '--workers': '{count}' is not" in said or "is not in the range 1<=x<=64" in said
