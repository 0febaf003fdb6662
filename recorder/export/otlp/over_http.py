"""OTLP by HTTP: the SDK's exporters, on a session that notes the result of each request.

The exporters repeat requests by themselves for as long as they may take, and take a redirect for a success: so whatever
is not 2xx reaches them as an exception of ours, after which they give up at once.
"""

import socket
import ssl
import time
from collections.abc import Iterator, MutableMapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests import exceptions

from llm_metrics_proxy.recorder.export.otlp import endpoint, failure
from llm_metrics_proxy.recorder.export.otlp.deadline import Deadline
from llm_metrics_proxy.recorder.export.otlp.endpoint import Endpoint
from llm_metrics_proxy.recorder.export.otlp.failure import Failure
from llm_metrics_proxy.recorder.export.otlp.sender import POINTS_AT_ONCE, Exporting, Note, seconds

_OK: Final = range(200, 300)
_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (exceptions.ProxyError, "is not reached through the proxy of the environment"),
    (exceptions.Timeout, "does not answer in time"),
    (socket.gaierror, "has a name that is not known"),
    (ConnectionRefusedError, "refuses connections"),
    (ssl.SSLError, "does not speak TLS as it should"),
)


def sender(to: Endpoint) -> Exporting:
    """The sender for this receiver; nothing is sent yet."""
    note = Note()
    spans = OTLPSpanExporter(to.url("traces"), timeout=seconds("TRACES"), session=_Session(note))
    metrics = OTLPMetricExporter(
        to.url("metrics"),
        timeout=seconds("METRICS"),
        session=_Session(note),
        max_export_batch_size=POINTS_AT_ONCE,
    )
    return Exporting(spans, metrics, note)


class _Session(requests.Session):
    def __init__(self, note: Note) -> None:
        super().__init__()
        self._note, self._deadline = note, Deadline()
        for scheme in ("http://", "https://"):
            self.mount(scheme, self._deadline)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - those of the one above
        try:
            response = self._deadline.within(kwargs["timeout"], partial(super().request, *args, **kwargs))
        except (OSError, ValueError) as error:
            self._note.failure = _failure(error)
            raise self._note.failure from error
        if response.status_code not in _OK:
            wait = _seconds(response.headers.get("retry-after", ""))
            self._note.failure = failure.of_status(response.status_code, wait)
            raise self._note.failure
        self._note.rejected = _rejected(response)
        return response

    def merge_environment_settings(
        self,
        url: Any,  # noqa: ANN401 - those of the one above
        proxies_: Any,  # noqa: ANN401
        stream: Any,  # noqa: ANN401
        verify: Any,  # noqa: ANN401
        cert: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        settings = super().merge_environment_settings(url, proxies_, stream, verify, cert)
        found: MutableMapping[str, str] = settings["proxies"]
        settings["proxies"] = {scheme: one for scheme, one in found.items() if not endpoint.is_here(one)}
        if self.verify is not True:  # OTEL_EXPORTER_OTLP_CERTIFICATE, over which requests sets REQUESTS_CA_BUNDLE
            settings["verify"] = self.verify
        return settings


def _failure(error: Exception) -> Failure:
    if isinstance(error, exceptions.InvalidHeader | UnicodeError):
        return failure.bad_headers()
    causes = list(_causes(error))
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes):
        return failure.untrusted()
    if not isinstance(error, exceptions.RequestException):  # a path that was to be read before anything was sent
        return failure.bad_certificate()
    for kind, reason in _REASONS:
        if any(isinstance(one, kind) for one in causes):
            return failure.unreached(reason)
    return failure.unreached("broke the connection")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _seconds(retry_after: str) -> float:
    """A header Retry-After: seconds or a date; 0 if it is neither."""
    try:
        return max(float(retry_after), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0


def _rejected(response: requests.Response) -> int:
    """The spans of a request that were rejected. For metrics this counts points, which nobody asks for."""
    try:
        answer = ExportTraceServiceResponse.FromString(response.content)
        return max(int(answer.partial_success.rejected_spans), 0)
    except DecodeError:  # a receiver that answers "OK"
        return 0
