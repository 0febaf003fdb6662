"""The HTTP server: a thread for each client, so that a slow one blocks nobody.

There are never more than `MOST_CLIENTS` at once: the one that has been there longest has to leave for a new one, and
none may be silent for long. Nothing is logged.
"""

import io
import socket
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, Final, override
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import WSGIApplication

from prometheus_client.exposition import ThreadingWSGIServer

from llm_metrics_proxy.recorder.export.prometheus.address import Address

MOST_CLIENTS: Final = 64
SILENCE_SECONDS: Final = 10.0
_LOOK_SECONDS = 0.1  # between two looks whether it is to end


class _Handler(WSGIRequestHandler):
    timeout = SILENCE_SECONDS
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "This is no request that can be answered (%(code)d).\n"

    @override
    def log_message(self, format: str, *args: Any) -> None:  # the base's own names
        """Log nothing."""

    @override
    def get_stderr(self) -> Any:
        """Nowhere: what the application does not catch is that the client has left."""
        return io.StringIO()


class Server(ThreadingWSGIServer):
    """Serves `app` on a socket that listens already, from `start` to `stop`."""

    def __init__(self, listening: socket.socket, address: Address, app: WSGIApplication) -> None:
        """Answer nobody yet."""
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = address  # the base would ask the DNS, which may take long
        self.setup_environ()
        self.set_app(app)
        self._clients: dict[socket.socket, None] = {}  # oldest first
        self._lock = Lock()
        self._thread = Thread(target=self.serve_forever, args=(_LOOK_SECONDS,), name="server", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nobody any more; whoever is being answered is left alone."""
        self.shutdown()
        self.server_close()

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin to serve a client."""
        with self._lock:
            if len(self._clients) >= MOST_CLIENTS:
                oldest = next(iter(self._clients))
                del self._clients[oldest]
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread does the rest
            self._clients[request] = None
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        """End with a client."""
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: it is a client that left, was silent, or spoke no HTTP."""
