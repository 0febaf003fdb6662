"""Export to an OpenTelemetry collector, or any other receiver of OTLP: a span for each call, and metrics.

A batch is taken once its spans are there, and after them the metrics that they add to. A row that is sent again is the
same span (spans.py); receivers that keep spans by their ids show it once. Metrics count a call once for each process
that sends it: rows that a process sent, and was killed before it could note so, are counted again by the next one.

Everything here imports the SDK, which takes 0.3 s: only what exports to OTLP imports from here.
"""

import logging
import math
import os
import time
from collections.abc import Sequence
from importlib import metadata

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.export import Account, Batch, Unacceptable, Unavailable
from llm_metrics_proxy.recorder.export.otlp import endpoint as endpoints
from llm_metrics_proxy.recorder.export.otlp import spans
from llm_metrics_proxy.recorder.export.otlp.failure import Failure, Verdict
from llm_metrics_proxy.recorder.export.otlp.metrics import Metrics
from llm_metrics_proxy.recorder.export.otlp.sender import Sender
from llm_metrics_proxy.recorder.store.exporters import Position

_SERVICE = "llm-metrics-proxy"
_log = logging.getLogger(__name__)


class Otlp:
    """Sends spans and metrics of calls, by http/protobuf or grpc.

    Spans are sent of all calls. Metrics leave out calls that ended more than an hour before they are sent, as after a
    long outage or when history is filled in, since a point of a metric has the time of its sending.

    The variables that OpenTelemetry has for exporters hold here: OTEL_EXPORTER_OTLP_PROTOCOL, _HEADERS, _CERTIFICATE,
    _CLIENT_KEY, _CLIENT_CERTIFICATE, _COMPRESSION, _TIMEOUT (seconds, at most 7), _METRICS_TEMPORALITY_PREFERENCE,
    those of one signal, OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME; OTEL_METRICS_EXPORTER=none sends spans alone.
    A proxy of the environment is used, if it is not on this machine.
    """

    wants_changes = False  # a span cannot be changed
    wants_account = False
    rows_at_once = 500  # less than 1 MiB, of which grpc takes 4

    def __init__(self, endpoint: str, protocol: str | None, host_id: str) -> None:
        """`endpoint` is the base URL; `protocol` is one of `endpoint.PROTOCOLS`, None for that of the environment.

        Raises:
            ExportFailed: the endpoint or the protocol is none.
        """
        self._protocol = protocol or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or endpoints.HTTP
        self._endpoint = endpoints.read(endpoint, self._protocol)
        self.name = f"otlp {self._endpoint.shown}"
        self._disliked = ""  # why metrics were not taken
        self._host_id, self._source_id = host_id, ""
        self._resource, self._scope = Resource.get_empty(), InstrumentationScope(_SERVICE)
        self._sender: Sender | None = None
        self._metrics: Metrics | None = None
        self._not_before = 0.0  # monotonic: the receiver asked for that much time

    def connect(self, source_id: str) -> Position | None:
        """See that something is there that takes spans; None, as nobody knows what it has.

        Raises:
            Unavailable: not now.
            ExportFailed: never, before somebody does something about it.
        """
        if self._sender is None or source_id != self._source_id:
            self.close()
            self._prepare(source_id)
        self._send(())
        return None

    def send(self, batch: Batch) -> int:
        """Send the spans of these rows, then the metrics; without rows, the metrics as they were.

        Returns how many spans the receiver rejected, although it took the rest: OTLP forbids to send them again.
        It takes less than 15 s, whoever is there. Raises as `connect` does, and:
            Unacceptable: one of the rows is the matter, or they are too many for one request.
        """
        made = [spans.of(row, self._resource, self._scope) for row in batch.rows]
        rejected = self._send(made)
        if self._metrics is not None:
            self._metrics.record(made)
            self._send_metrics(self._metrics, anyway=not made)
        return rejected

    def send_account(self, account: Account) -> None:
        """Not wanted: `llm-metrics serve` has figures of the recorders."""

    def close(self) -> None:
        """Let go of connections."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def _prepare(self, source_id: str) -> None:
        self._source_id, version = source_id, metadata.version(_SERVICE)
        ours = {
            "service.name": _SERVICE,
            "service.version": version,
            "service.instance.id": source_id,
            "host.name": self._host_id,
        }
        self._resource = Resource.create(ours).merge(OTELResourceDetector().detect())  # the environment has the say
        self._scope = InstrumentationScope(_SERVICE, version)
        try:
            self._sender = self._new_sender()
        except Exception as error:  # noqa: BLE001 - each setting has errors of its own
            what = f"The SDK cannot use what the environment says of OTLP ({type(error).__name__})"
            cure = "look at the variables that begin with OTEL_EXPORTER_OTLP, such as OTEL_EXPORTER_OTLP_COMPRESSION"
            raise ExportFailed(what=what, cure=cure) from None  # its text may have a value of them
        if os.environ.get("OTEL_METRICS_EXPORTER") != "none":
            self._metrics = Metrics(self._resource, _SERVICE, version, self._sender.metric_exporter)

    def _new_sender(self) -> Sender:
        # Each takes its share of the start, and only one is needed.
        if self._protocol == endpoints.GRPC:
            from llm_metrics_proxy.recorder.export.otlp import over_grpc  # noqa: PLC0415

            return over_grpc.sender(self._endpoint)
        from llm_metrics_proxy.recorder.export.otlp import over_http  # noqa: PLC0415

        return over_http.sender(self._endpoint)

    def _send(self, made: Sequence[ReadableSpan]) -> int:
        try:
            return min(self._when_ready().spans(made), len(made))
        except Failure as failure:
            if failure.verdict is Verdict.REFUSED and not made:
                return 0  # not everybody likes an empty request, but somebody is there
            raise self._told(failure) from None  # what the libraries say may hold headers

    def _send_metrics(self, metrics: Metrics, *, anyway: bool) -> None:
        while (data := metrics.to_send(anyway=anyway)) is not None:
            try:
                self._when_ready().metrics(data)
            except Failure as failure:
                match failure.verdict:
                    case Verdict.ABSENT:
                        _log.warning("%s takes spans alone: for metrics it %s.", self.name, failure)
                        self._metrics = None
                        return
                    case Verdict.REFUSED if self._disliked != str(failure):
                        self._disliked = str(failure)
                        _log.warning("%s did not take metrics: it %s.", self.name, failure)
                    case Verdict.REFUSED:
                        pass  # that was said
                    case _:
                        raise self._told(failure) from None
            metrics.taken()
            anyway = False

    def _when_ready(self) -> Sender:
        if self._sender is None:
            message = "it is not connected"
            raise Unavailable(message)
        if (left := self._not_before - time.monotonic()) > 0:
            message = f"it asked for {math.ceil(left)} s more of patience"
            raise Unavailable(message)
        return self._sender

    def _told(self, failure: Failure) -> Exception:
        """The exception that the loop gets for a failure."""
        match failure.verdict:
            case Verdict.AGAIN:
                self._not_before = time.monotonic() + failure.wait
                return Unavailable(f"it {failure}")
            case Verdict.REFUSED:
                return Unacceptable(f"it {failure}")
            case _:
                return ExportFailed(what=f"{self.name} {failure}", cure=failure.cure)
