"""A deadline for a whole request of the library requests, which has time limits for single reads alone.

A receiver that trickles its answer, one byte within each limit, would else hold an exporter for ever: with its head,
its body, its handshake of TLS, or through a proxy. Names with many addresses, or a resolver that does not answer, would
hold it for a multiple of the limit.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple

import requests
from requests.adapters import HTTPAdapter


class _Opened(NamedTuple):
    by: Any  # a connection of urllib3
    own: socket.socket  # another handle of its socket, since TLS takes the first one over


class Deadline(HTTPAdapter):
    """An adapter for sessions that make one request at a time, each within a deadline."""

    def __init__(self) -> None:
        super().__init__()
        self._worker: threading.Thread | None = None
        self._opened: list[_Opened] = []

    def within(self, seconds: float, ask: Callable[[], requests.Response]) -> requests.Response:
        """Return what `ask` returns, which uses the session of this adapter; at the deadline its connection is cut.

        Raises:
            requests.Timeout: it took longer.
        """
        done: Future[requests.Response] = Future()

        def work() -> None:
            try:
                done.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                done.set_exception(error)

        # Ends by itself once it is cut; only while it looks for an address it may live longer, and connects no more.
        self._worker = threading.Thread(target=work, name="otlp-request", daemon=True)
        self._worker.start()
        try:
            return done.result(seconds)
        except TimeoutError:
            if done.done():  # it is an error of `ask` itself
                raise
            self._cut()
            raise requests.Timeout from None
        finally:
            self._worker = None
            self._let_go()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the one above
        """Return the pool as it would be, whose connections can be cut."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = self._cuttable(type(pool).ConnectionCls)
        return pool

    def _cuttable(self, kind: type) -> type:
        adapter = self

        class Cuttable(kind):  # type: ignore[misc] # HTTP or HTTPS
            def _new_conn(self) -> socket.socket:
                made: socket.socket = super()._new_conn()
                if threading.current_thread() is not adapter._worker:  # nobody waits for it any more
                    made.close()
                    raise TimeoutError
                adapter._opened.append(_Opened(self, made.dup()))
                return made

        return Cuttable

    def _cut(self) -> None:
        for _, own in self._opened:
            with suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)
            own.close()
        self._opened.clear()

    def _let_go(self) -> None:
        """Close the handles of closed connections, of which the other end would learn nothing else."""
        for one in [one for one in self._opened if one.by.sock is None]:
            one.own.close()
            self._opened.remove(one)

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._cut()
