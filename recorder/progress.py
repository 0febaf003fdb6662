"""How far long work is, on stderr: nothing for two seconds, then a line.

On a terminal the line renews itself and is gone in the end; elsewhere there is a new one every ten seconds. It is
written by a thread of its own, since SQLite says nothing while it checks or rebuilds a file. Work says where it is by
`doing` and `at`, which do nothing where nobody watches.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final

from llm_metrics_proxy.recorder.reporting import printable

QUIET_SECONDS: Final = 2.0
_RENEWED_SECONDS = 0.5
_LINE_SECONDS = 10.0
_ERASE = "\r\x1b[K"
_WHOLE = 100


class _Work:
    def __init__(self, label: str) -> None:
        self.label, self.what = label, ""
        self.percent: int | None = None
        self._began = time.monotonic()

    def line(self) -> str:
        what = f": {self.what}" if self.what else ""
        percent = "" if self.percent is None else f", {self.percent} %"
        return printable(f"{self.label}{what}{percent} ({time.monotonic() - self._began:.0f} s)")


_watched: ContextVar[_Work | None] = ContextVar("watched", default=None)


@contextmanager
def shown(label: str, *, quiet: float = QUIET_SECONDS) -> Iterator[None]:
    """Show how far the work in the `with` is once it has taken `quiet` seconds; `label` says what is done to what."""
    work, ended = _Work(label), threading.Event()
    token = _watched.set(work)
    teller = threading.Thread(target=_tell, args=(work, ended, quiet), name="llm-metrics-progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        _watched.reset(token)
        ended.set()
        teller.join()


def doing(what: str) -> None:
    """Say what the watched work is at now."""
    if (work := _watched.get()) is not None:
        work.what, work.percent = what, None


def at(done: int, total: int) -> None:
    """Say how much of that is done."""
    if (work := _watched.get()) is not None:
        work.percent = min(done * _WHOLE // total, _WHOLE) if total > 0 else None


def _tell(work: _Work, ended: threading.Event, quiet: float) -> None:
    is_terminal, said = sys.stderr.isatty(), False
    pause = quiet
    while not ended.wait(pause):
        _write(f"{_ERASE}{work.line()}" if is_terminal else f"{work.line()}\n")
        said, pause = True, _RENEWED_SECONDS if is_terminal else _LINE_SECONDS
    if said and is_terminal:
        _write(_ERASE)


def _write(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(text)
        sys.stderr.flush()
