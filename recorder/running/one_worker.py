"""One worker as its parent sees it: its process, the line to it, and how many connections it has."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.client_setup.place import Place
from llm_metrics_proxy.recorder.running import worker
from llm_metrics_proxy.recorder.running.line import Drain, FromParent, FromWorker, Left, Line, Ready, Take, Taken

_MOST_ON_THEIR_WAY: Final = 64  # connections that a worker was given and has not taken
_STUCK_SECONDS: Final = 0.25  # after which another worker comes first
_REST_SECONDS: Final = 1.0  # for one that has no descriptor left
_HOOKS: Final = Path(__file__).with_name("worker_hooks.py")
_START: Final = "from llm_metrics_proxy.recorder.running.worker import main; main()"

type Client = tuple[int, socket.socket]
"""The number of the listener that a connection came to, and the connection."""
type Heard = Callable[[OneWorker, FromWorker], None]


class OneWorker:
    """A process that was started; it serves once it `is_ready`, and no longer once it `is_draining`."""

    def __init__(self, place: Place, process: asyncio.subprocess.Process, end: socket.socket, heard: Heard) -> None:
        """Listen to the process at the other end of the line; `heard` gets all that it says."""
        self.place = place
        self.process = process
        self.is_ready = False
        self.is_draining = False
        self.ready_at = 0.0
        self.settled = asyncio.Event()
        """Set once it serves, or has ended."""
        self.open = 0
        """Connections that it has, or was given."""
        self._heard = heard
        self._given: dict[int, tuple[float, Client]] = {}
        self._last = 0
        self._last_given = 0.0
        self._rests_until = 0.0
        self._line: Line[FromWorker] = Line(end, FromWorker.__value__, self._got)

    @classmethod
    async def start(
        cls,
        place: Place,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        heard: Heard,
        *,
        greeted: bool,
    ) -> "OneWorker":
        """Start a process with the arguments of mitmdump.

        Raises:
            OSError: the system has no process for us.
        """
        ours, its = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", _START, *arguments, "-s", str(_HOOKS)),
                env={**environment, **place.environment(greeted=greeted), worker.LINE: str(its.fileno())},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                process_group=0,  # a terminal's signals are for the parent, which passes on what is for all
            )
        except BaseException:  # raised again: nobody would close it
            ours.close()
            raise
        finally:
            its.close()
        return cls(place, process, ours, heard)

    def serves(self) -> bool:
        """Tell whether it takes connections."""
        return self.is_ready and not self.is_draining and len(self._given) < _MOST_ON_THEIR_WAY and not self._rests()

    def burden(self) -> tuple[bool, int, float]:
        """Return what is least for the worker that is to have the next connection."""
        oldest = next(iter(self._given.values()), None)
        is_stuck = oldest is not None and time.monotonic() - oldest[0] > _STUCK_SECONDS
        return is_stuck, self.open, self._last_given

    def give(self, client: Client) -> bool:
        """Give it a connection, which is kept here until it says that it has it; False if it cannot be reached now."""
        self._last += 1
        listener, connection = client
        if not self._line.send_with(Take(self._last, listener), connection.fileno()):
            return False
        self._last_given = time.monotonic()
        self._given[self._last] = self._last_given, client
        self.open += 1
        return True

    def tell(self, message: FromParent) -> None:
        """Send it a message."""
        self._line.send(message)

    def drain(self, seconds: float) -> None:
        """Give it nothing more, and let it end."""
        self.is_draining = True
        self.tell(Drain(seconds))

    def take_back(self) -> list[Client]:
        """It has ended: return the connections that it never took."""
        self._line.read_rest()
        self.settled.set()
        given, self._given = self._given, {}
        self.open -= len(given)
        return [client for _, client in given.values()]

    def refused(self, number: int) -> list[Client]:
        """Return a connection that it could not take; it gets no other one for a moment."""
        self._rests_until = time.monotonic() + _REST_SECONDS
        found = self._given.pop(number, None)
        self.open -= found is not None
        return [found[1]] if found else []

    def end(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.process.returncode is None:
            os.kill(self.process.pid, number)

    def _rests(self) -> bool:
        return time.monotonic() < self._rests_until

    def _got(self, message: FromWorker, _descriptor: int | None) -> None:
        match message:
            case Ready():
                self.is_ready, self.ready_at = True, time.monotonic()
                self.settled.set()
            case Taken():
                if found := self._given.pop(message.connection, None):
                    found[1][1].close()
            case Left():
                self.open -= 1
            case _:
                pass
        self._heard(self, message)
