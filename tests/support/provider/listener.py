"""A server on the loopback interface that hands out its connections, of TLS and of plain text on the same port."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self
from weakref import WeakSet

from tests.support.certificates import Authority

TLS_HANDSHAKE = b"\x16"  # the first byte of a TLS connection
_BACKLOG = 512
_LOOK_SECONDS = 0.2  # for the end, where a shutdown does not wake a socket that listens


class Listener(ABC):
    """A thread for each connection, as a context manager; when it ends, what is still open is cut."""

    def __init__(self, authority: Authority) -> None:
        """Listen on a free port; connections wait until the listener is entered."""
        self.authority = authority
        self.raw = False  # connections are handed out as they come, without TLS's handshake
        self.closing = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listening.settimeout(_LOOK_SECONDS)
        self.port: int = self._listening.getsockname()[1]
        self._open = WeakSet[socket.socket]()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, name="listener")

    @abstractmethod
    def serve(self, connection: socket.socket) -> None:
        """Use a connection, whose handshake is done, in a thread of its own, and close it.

        It may raise OSError: the other side may leave at any moment.
        """

    def __enter__(self) -> Self:
        """Start to accept."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Cut what is still open and wait for every thread."""
        self.closing.set()
        cut(self._listening)
        self._thread.join()
        self._listening.close()
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            cut(connection)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection = self._listening.accept()[0]
            except TimeoutError:
                continue
            except OSError:  # it was shut down
                return
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._threads.append(threading.Thread(target=self._begin, args=(connection,), name="connection"))
            self._threads[-1].start()

    def _begin(self, connection: socket.socket) -> None:
        self._cut_at_the_end(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or small chunks wait for each other
            if not self.raw and connection.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
                context = self.authority.server_context()
                connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                self._cut_at_the_end(connection)
                connection.do_handshake()
        except OSError:  # of a handshake that failed, or a client that left
            connection.close()
            return
        with contextlib.suppress(OSError):
            self.serve(connection)

    def _cut_at_the_end(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)


def cut(connection: socket.socket) -> None:
    """End a connection without a word of goodbye, neither TLS's nor HTTP's."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
