"""Starts of mitmdump that cost a fifth of a second of CPU instead of a whole one, of which the tests make hundreds.

They are forked from a process that has imported what they run and has no threads. All else is as if Python had been
started anew: the child has the words, variables, folder and descriptors that it was given and no others, and it ends as
an interpreter does. Trials, which measure, start theirs alone, and so does a test that sets a variable of Python's.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

MITMDUMP = ("mitmproxy.tools.main", "mitmproxy.tools.dump")
ADDON = "llm_metrics_proxy.addon.main"
_MOST = 1 << 20  # bytes of what is asked for
_NOT_TOLD = 255  # the exit code of one that nobody waited for


class Warm:
    """A process that has imported `modules`, and forks for each start."""

    def __init__(self, modules: Sequence[str]) -> None:
        """Start it; it ends with this process."""
        self._asking, asked = socket.socketpair()
        self._one_at_a_time = threading.Lock()
        with asked:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(asked.fileno()), *modules],
                pass_fds=[asked.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def start(
        self, words: list[str], environment: Mapping[str, str], folder: Path, stdout: IO[Any], stderr: IO[Any]
    ) -> "Forked":
        """Start mitmdump with `words` after its name."""
        os.umask(umask := os.umask(0o077))
        asked = json.dumps([words, {**environment}, str(folder), umask]).encode()
        told, tell = os.pipe()
        with self._one_at_a_time:  # so that the next one is not read with this one
            try:
                socket.send_fds(self._asking, [asked + b"\n"], [stdout.fileno(), stderr.fileno(), tell])
            finally:
                os.close(tell)
            return Forked(told)


@cache
def warm(*modules: str) -> Warm:
    """Return this process's server for `modules`."""
    return Warm(modules)


class Forked:
    """A started process; as `subprocess.Popen`, as far as tests need it."""

    def __init__(self, told: int) -> None:
        """Wait for its number; its exit code comes through the same pipe."""
        self._told = told
        self._lock = threading.Lock()
        self.returncode: int | None = None
        self.pid = int(os.read(told, 100))
        os.set_blocking(told, False)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self.returncode is None:
                self.returncode = int(os.read(self._told, 100) or _NOT_TOLD)
                os.close(self._told)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(MITMDUMP, timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _serve(asking: socket.socket) -> list[Any]:
    """Fork for each that is asked for; return in the child alone, with what was asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and this with them
    while True:
        data, descriptors, _, _ = socket.recv_fds(asking, _MOST, 3)
        while data and not data.endswith(b"\n"):
            data += asking.recv(_MOST)
        if not data:
            sys.exit()  # nobody can ask any more
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that only wait and tell are nobody's concern
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            stdout, stderr, tell = descriptors
            end = max(asking.fileno(), *descriptors) + 1
            if child := os.fork():
                os.write(tell, b"%d\n" % child)
                os.closerange(0, tell)  # what the child has to itself must end with it
                os.closerange(tell + 1, end)
                os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                os._exit(0)
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            os.closerange(3, end)
            asking.detach()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return list(json.loads(data))
        for one in descriptors:
            os.close(one)


def _become(words: list[str], environment: Mapping[str, str], folder: str, umask: int) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.umask(umask)
    os.chdir(folder)
    sys.argv = ["mitmdump", *words]
    sys.path[0:0] = [""]


if __name__ == "__main__":
    del sys.path[0]  # this folder
    for module in sys.argv[2:]:
        import_module(module)
    _become(*_serve(socket.socket(fileno=int(sys.argv[1]))))
    from mitmproxy.tools.main import mitmdump

    sys.exit(mitmdump())
