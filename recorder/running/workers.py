"""Proxies that serve until somebody ends them: their ports, and several that record into one database."""

import errno
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from llm_metrics_proxy.recorder.errors import RunRefused
from llm_metrics_proxy.recorder.running import CommandLine

_CA_SECONDS = 10.0
_POLL_SECONDS = 0.1


def check_ports(asked: CommandLine, count: int) -> None:
    """See that `count` proxies can listen from the port on; modes that name their own (`@`) need none.

    Raises:
        RunRefused: a port is another program's, or this machine has no such address.
    """
    if not asked.port or (asked.modes and all("@" in mode for mode in asked.modes)):
        return
    family = socket.AF_INET6 if ":" in asked.host else socket.AF_INET
    for port in range(asked.port, asked.port + count):
        try:
            socket.create_server((asked.host, port), family=family).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                what = f"Port {port} of {asked.host} is another program's"
                raise RunRefused(what=what, cure="choose another port with --port, or end that program") from error
            what = f"{asked.host} cannot be listened on at port {port} ({error.strerror})"
            raise RunRefused(what=what, cure="choose others with --host and --port") from error


def serve(commands: Sequence[Sequence[str]], certificate: Path) -> int:
    """Run all commands until one of them ends or this process is told to end; return the exit code.

    At the very first start mitmproxy makes its CA, and several that start together would each make one, of which a
    client could trust only the last: so each waits until `certificate` is there.
    """
    told: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            running.append(subprocess.Popen(command))  # noqa: S603 - a command of our own
            ends = time.monotonic() + _CA_SECONDS
            while not certificate.is_file() and running[-1].poll() is None and time.monotonic() < ends and not told:
                time.sleep(_POLL_SECONDS)
        while not told:
            if any(process.poll() is not None for process in running):
                sys.stderr.write(f"One of the {len(running)} proxies has ended, so the others end too.\n")
                return 1
            time.sleep(_POLL_SECONDS)
        return 0
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
