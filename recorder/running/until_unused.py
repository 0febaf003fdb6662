"""A script for mitmdump: the proxy that a run started ends when nobody uses it any more.

Every run and every program that a run started shares a lock (flock) on one file, which ends with its process, however
that ends. Once this thread has the lock alone, nobody is left, and the proxy ends as it does by Ctrl-C: with its rows.
"""

import fcntl
import os
import signal
import threading

LOCK = "LLM_METRICS_USERS"
"""The variable that names the file."""


def running() -> None:
    """Start to wait; mitmproxy calls this when it serves."""
    threading.Thread(target=_wait, args=(os.environ[LOCK],), name="llm-metrics-users", daemon=True).start()


def _wait(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # kept until the process ends: who comes now sees that it is ending
    os.kill(os.getpid(), signal.SIGTERM)
