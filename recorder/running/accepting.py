"""Connections of clients, dealt out to workers: each goes to the worker that has the fewest.

While no worker can take any, the system keeps those that come (listening.py), so a client waits and is not refused. A
connection is kept here until a worker says that it has it; when the worker ends before that, another one gets it.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from llm_metrics_proxy.recorder.running.line import Listen, Listening, NotListening
from llm_metrics_proxy.recorder.running.listening import listen, refusal
from llm_metrics_proxy.recorder.running.one_worker import Client, OneWorker

_AT_ONCE = 64  # connections that are accepted in one turn
_AGAIN_SECONDS = 0.05  # until connections that nobody could take are tried again
_REST_SECONDS = 1.0  # when this process has as many descriptors as it may


class _Listener(NamedTuple):
    number: int
    sockets: Sequence[socket.socket]


class Accepting:
    """Listens where workers want it."""

    def __init__(self, workers: Callable[[], Iterable[OneWorker]]) -> None:
        """`workers` are those that live."""
        self._workers = workers
        self._listeners: dict[tuple[str | None, int], _Listener] = {}
        self._waiting: deque[Client] = deque()
        self._is_accepting = False
        self._is_closed = False
        self._later: asyncio.TimerHandle | None = None

    def listen(self, host: str | None, port: int) -> _Listener:
        """Listen on an address, once for all workers; connections wait. Port 0 is a free one.

        Raises:
            OSError: that is not possible.
        """
        known = self._listeners.get((host, port))
        if known is None:
            sockets = listen(host, port)
            known = _Listener(len(self._listeners), sockets)
            self._listeners[host, int(sockets[0].getsockname()[1])] = known
            self._is_accepting = False  # this one is not heard yet
        return known

    def listen_early(self, host: str, port: int) -> int:
        """Listen before a worker asks for it; return the port.

        Raises:
            RunRefused: that is not possible.
        """
        try:
            return int(self.listen(host, port).sockets[0].getsockname()[1])
        except OSError as error:
            raise refusal(host, port, error) from error

    def answer(self, message: Listen) -> Listening | NotListening:
        """Do as a worker asks."""
        if self._is_closed:
            return NotListening(0, "all workers are ending")
        try:
            found = self.listen(message.host, message.port)
        except OSError as error:
            return NotListening(error.errno or 0, error.strerror or str(error))
        return Listening(found.number, [one.getsockname() for one in found.sockets])

    def go_on(self) -> None:
        """Give what waits to the workers that can take it, and accept as long as there are any."""
        while self._waiting and self._give(self._waiting[0]):
            self._waiting.popleft()
        can_take = not self._waiting and any(one.serves() for one in self._workers())
        self._accept(wanted=can_take and not self._is_closed)
        if not can_take and self._later is None and not self._is_closed:
            self._later = asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._try_again)

    def give_back(self, clients: Iterable[Client]) -> None:
        """These connections are nobody's again."""
        self._waiting.extend(clients)
        self.go_on()

    def close(self) -> None:
        """Listen no longer; whoever waits is refused."""
        self._is_closed = True
        self._accept(wanted=False)
        for listener in self._listeners.values():
            for one in listener.sockets:
                one.close()
        for _, connection in self._waiting:
            connection.close()

    def _try_again(self) -> None:
        self._later = None
        self.go_on()

    def _give(self, client: Client) -> bool:
        able = [one for one in self._workers() if one.serves()]
        return any(one.give(client) for one in sorted(able, key=OneWorker.burden))

    def _accept(self, *, wanted: bool) -> None:
        if wanted == self._is_accepting:
            return
        self._is_accepting = wanted
        loop = asyncio.get_running_loop()
        for listener in self._listeners.values():
            for one in listener.sockets:
                if wanted:
                    loop.add_reader(one, self._arrived, listener.number, one)
                else:
                    loop.remove_reader(one)

    def _arrived(self, number: int, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # too many descriptors, for example: asyncio itself waits as long
                self._accept(wanted=False)
                if self._later is None:
                    self._later = asyncio.get_running_loop().call_later(_REST_SECONDS, self._try_again)
                return
            if not self._give((number, connection)):
                self._waiting.append((number, connection))
                self.go_on()
                return
