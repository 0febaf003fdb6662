"""A recorder in a process of its own, as its parent sees it: started, listened to, stopped or killed."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from tests.support.forked import forking
from tests.trials.torture.case import Broken
from tests.trials.torture.load import Plan, Progress, record

# Children are forked from a process that has imported everything: a kill every few milliseconds needs fast starts.
_RUN = ("copies", "full", "load", "loads", "restores", "rights", "starting")
processes: Final = forking(*(f"tests.trials.torture.{name}" for name in _RUN))

_PATIENCE = 60.0


class Recording:
    """A running child, as a context manager; `last` is what it said last. Nobody outlives the context."""

    def __init__(self, plan: Plan) -> None:
        """Start nothing yet."""
        self.plan = plan
        self.last = Progress()
        self.ended = False
        self._pipe, theirs = processes.Pipe()
        self._process = processes.Process(target=record, args=(plan, theirs), daemon=True)
        self._theirs = theirs
        self._heard = threading.Event()
        self._listener = threading.Thread(target=self._listen)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid or 0

    @property
    def is_alive(self) -> bool:
        """False once it has ended, or was killed."""
        return self._process.is_alive()

    @property
    def promised(self) -> Iterator[str]:
        """The ids of all events that must not be lost."""
        if self.ended:
            lost = set(self.last.dropped)
            return (self.plan.event_id(n) for n in range(self.last.submitted) if n not in lost)
        return (self.plan.event_id(n) for n in range(self.last.acknowledged))

    def __enter__(self) -> Self:
        """Start, and wait until it records."""
        self._process.start()
        self._theirs.close()
        self._listener.start()
        if not self._heard.wait(_PATIENCE) or self.last.refused:
            self.kill()
            raise Broken(f"the recorder did not start: {self.last.refused}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Kill it, unless it has ended."""
        self.kill()

    def kill(self) -> None:
        """SIGKILL; what it said up to then has been heard afterwards."""
        if self._process.is_alive():
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()
        self._listener.join()
        self._pipe.close()

    def stop(self) -> Progress:
        """End it as the proxy's end does.

        Raises:
            Broken: it did not end.
        """
        self._pipe.send("stop")
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            raise Broken("the recorder did not end")
        self._listener.join()
        if self.last.close_ms is None:
            raise Broken(f"the recorder's process ended with {self._process.exitcode}")
        self.ended = True
        return self.last

    def _listen(self) -> None:
        with suppress(EOFError, ConnectionResetError):
            while True:
                self.last = self._pipe.recv()
                self._heard.set()
        self._heard.set()
