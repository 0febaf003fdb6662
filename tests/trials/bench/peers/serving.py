"""Starting somebody else's proxy, and waiting until its port answers."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.trials.bench.load import BenchFailedError

_START_SECONDS = 120
_STOP_SECONDS = 10


@contextmanager
def serving(command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """Start a server, wait for its port, yield its process id, and end it with all that it started.

    Raises:
        BenchFailedError: it does not serve.
    """
    with log.open("ab") as told:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=told, stderr=told, start_new_session=True
        )
    try:
        _wait_for(port, process)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)  # another process's port gives no signal
    msg = "it ended at once" if process.poll() is not None else f"it did not serve within {_START_SECONDS} s"
    raise BenchFailedError(msg)
