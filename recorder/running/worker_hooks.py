"""A script for mitmdump in a worker: it tells when the worker serves, and on which connections calls go on."""

from typing import Any

from llm_metrics_proxy.recorder.running import worker

_SWITCHING_PROTOCOLS = 101
_worker = worker.here()
_connections: dict[str, worker.Connection] = {}
_masters: list[Any] = []


def load(loader: Any) -> None:  # noqa: ANN401 - mitmproxy's, here and below
    """Keep what knows the options."""
    _masters.append(loader.master)


def running() -> None:
    """All scripts before this one run."""
    options = _masters[-1].options
    _worker.ready(options.metrics_db, writes_json=(options.metrics_log_format or "").strip().lower() == "json")


def client_connected(client: Any) -> None:  # noqa: ANN401
    """Know the connection by the name that flows give it."""
    if (connection := worker.CONNECTION.get()) is not None:
        _connections[client.id] = connection


def client_disconnected(client: Any) -> None:  # noqa: ANN401
    """Forget it."""
    _connections.pop(client.id, None)


def requestheaders(flow: Any) -> None:  # noqa: ANN401
    """A call begins."""
    if connection := _connections.get(flow.client_conn.id):
        connection.begin(flow.id)


def responseheaders(flow: Any) -> None:  # noqa: ANN401
    """While the worker drains, let no other call follow on this connection; HTTP/2 has no such header."""
    if _worker.is_draining and flow.request.http_version == "HTTP/1.1" and not _is_upgrade(flow):
        flow.response.headers["connection"] = "close"


def response(flow: Any) -> None:  # noqa: ANN401
    """A call has ended, unless it has become something longer."""
    if not _is_upgrade(flow):
        _end(flow)


def error(flow: Any) -> None:  # noqa: ANN401
    """A call was cut."""
    _end(flow)


def websocket_end(flow: Any) -> None:  # noqa: ANN401
    """A session has ended."""
    _end(flow)


def _is_upgrade(flow: Any) -> bool:  # noqa: ANN401
    return bool(flow.response is not None and flow.response.status_code == _SWITCHING_PROTOCOLS)


def _end(flow: Any) -> None:  # noqa: ANN401
    if connection := _connections.get(flow.client_conn.id):
        connection.end(flow.id)
