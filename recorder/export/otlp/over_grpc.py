"""OTLP by grpc: the SDK's exporters, on a stub that notes the result of each request.

The exporters repeat requests by themselves for as long as they may take, and log the results. A call that the
environment's proxy would take goes through it as grpc does, unless the proxy is on this machine (endpoint.py).
"""

import os
from typing import Any, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read when grpc is imported: its core writes to stderr by itself

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from llm_metrics_proxy.recorder.export.otlp import endpoint, failure
from llm_metrics_proxy.recorder.export.otlp.endpoint import Endpoint
from llm_metrics_proxy.recorder.export.otlp.failure import Failure
from llm_metrics_proxy.recorder.export.otlp.sender import POINTS_AT_ONCE, Exporting, Note, seconds

_RETRY_INFO: Final = "google.rpc.retryinfo-bin"
_NEVER_AGAIN: Final = (grpc.StatusCode.OK,)  # codes after which an exporter repeats; none at all would mean the usual
# Of what grpc itself says when it has no connection; a server's words are not looked at.
_REASONS: Final = (
    ("connection refused", "refuses connections"),
    ("dns", "has a name that is not known"),
    ("errors resolving", "has a name that is not known"),
    ("handshak", "does not speak TLS as it should"),
    ("ssl", "does not speak TLS as it should"),
)


def sender(to: Endpoint) -> Exporting:
    """The sender for this receiver; nothing is sent yet."""
    note = Note()
    how: dict[str, Any] = {
        "endpoint": to.parts.scheme + "://" + to.address,
        "insecure": not to.secure,
        "retryable_error_codes": _NEVER_AGAIN,
        "channel_options": (("grpc.enable_http_proxy", int(endpoint.grpc_has_one_elsewhere())),),
    }
    spans = _Spans(note, timeout=seconds("TRACES"), **how)
    metrics = _Metrics(note, timeout=seconds("METRICS"), max_export_batch_size=POINTS_AT_ONCE, **how)
    return Exporting(spans, metrics, note)


class _Stub:
    """A stub that notes."""

    def __init__(self, inner: Any, note: Note) -> None:  # noqa: ANN401 - generated, without types
        self._inner, self._note = inner, note

    def Export(self, request: Any, metadata: Any, timeout: float) -> Any:  # noqa: ANN401, N802 - as the service has it
        try:
            answer = self._inner.Export(request=request, metadata=metadata, timeout=timeout)
        except grpc.RpcError as error:
            self._note.failure = _failure(error)
            raise
        except (TypeError, ValueError):
            self._note.failure = failure.bad_headers()
            raise
        self._note.rejected = max(getattr(answer.partial_success, "rejected_spans", 0), 0)
        return answer


class _Noting:
    """The part of both exporters that is not the SDK's own."""

    _client: Any  # the SDK's stub

    def __init__(self, note: Note, **how: Any) -> None:  # noqa: ANN401 - those of the SDK's exporter
        self._note = note
        super().__init__(**how)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[misc]
        self._client = _Stub(self._client, self._note)


class _Spans(_Noting, OTLPSpanExporter):
    pass


class _Metrics(_Noting, OTLPMetricExporter):
    pass


def _failure(error: grpc.RpcError) -> Failure:
    code, details = error.code(), (error.details() or "").lower()
    if code is grpc.StatusCode.UNAVAILABLE:
        if "certificate" in details:
            return failure.untrusted()
        for part, reason in _REASONS:
            if part in details:
                return failure.unreached(reason)
    if code is grpc.StatusCode.INTERNAL and details == "invalid metadata":
        return failure.bad_headers()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return failure.unreached("does not answer in time")
    too_large = code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details
    return failure.of_code(code.name, too_large=too_large, wait=_wait(error))


def _wait(error: grpc.RpcError) -> float:
    """The seconds for which the receiver asks; 0 if it does not."""
    for key, value in error.trailing_metadata() or ():
        if key == _RETRY_INFO:
            delay = RetryInfo.FromString(value).retry_delay
            return max(float(delay.seconds + delay.nanos / 1e9), 0.0)
    return 0.0
