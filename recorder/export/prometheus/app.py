"""`/metrics` and `/healthz` as a WSGI application; prometheus_client knows what Prometheus wants to read."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import Metric

from llm_metrics_proxy.recorder.export.prometheus.keeper import Figures
from llm_metrics_proxy.recorder.reporting import own_fault

_OK, _NOT_FOUND, _NOT_ALLOWED = "200 OK", "404 Not Found", "405 Method Not Allowed"
_BROKEN, _UNAVAILABLE = "500 Internal Server Error", "503 Service Unavailable"
_DOWN = "The database cannot be read: see llm-metrics status."


class App:
    """The application: `ask` says what the figures are.

    A wrong method, an unknown path and a database that cannot be read get one line of text.
    """

    def __init__(self, ask: Callable[[], Figures]) -> None:
        """It answers each request with figures of its own."""
        self._ask = ask

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"].rstrip("/")
        if path not in ("/metrics", "/healthz"):
            return _line(environ, start_response, _NOT_FOUND, "There are /metrics and /healthz.")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _line(environ, start_response, _NOT_ALLOWED, "Only GET and HEAD.", ("Allow", "GET, HEAD"))
        try:
            return self._answer(environ, start_response, path)
        except Exception as error:  # noqa: BLE001 - its text may quote what a client wrote
            with suppress(OSError, ValueError):
                sys.stderr.write(f"{own_fault(error)}\n")
            return _line(environ, start_response, _BROKEN, own_fault(error))

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse, path: str) -> Iterable[bytes]:
        figures = self._ask()
        if path == "/metrics":
            return _metrics(environ, start_response, figures.metrics)
        if figures.database_up:
            return _line(environ, start_response, _OK, "ok")
        return _line(environ, start_response, _UNAVAILABLE, _DOWN)


class _Collected:
    """Figures in the shape of prometheus_client's collectors."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics

    describe = collect  # so that `?name[]=` chooses among them


def _metrics(environ: WSGIEnvironment, start_response: StartResponse, metrics: Sequence[Metric]) -> Iterable[bytes]:
    registry = CollectorRegistry()
    registry.register(_Collected(metrics))
    answer: list[tuple[str, list[tuple[str, str]]]] = []
    body = b"".join(
        make_wsgi_app(registry)(
            {**environ, "REQUEST_METHOD": "GET"}, lambda status, headers: answer.append((status, headers))
        )
    )
    [(status, headers)] = answer
    start_response(status, [*headers, ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _line(
    environ: WSGIEnvironment, start_response: StartResponse, status: str, text: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    more = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*more, ("Cache-Control", "no-store"), *headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
