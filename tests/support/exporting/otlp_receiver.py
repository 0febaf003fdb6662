"""A receiver of OTLP that keeps what it is sent, decoded: by HTTP and by grpc, or that answers as a test wants."""

import gzip
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # as the exporter does before it imports grpc

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

CODE = grpc.StatusCode
TRACES, METRICS = "/v1/traces", "/v1/metrics"

_REQUESTS: dict[str, type[Message]] = {
    TRACES: trace_service.ExportTraceServiceRequest,
    METRICS: metrics_service.ExportMetricsServiceRequest,
}
_CODINGS: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}


@dataclass(frozen=True)
class Asked:
    """A request; `path` is that of HTTP also where it came by grpc."""

    path: str
    headers: Mapping[str, str]
    message: Any


@dataclass(frozen=True)
class Answer:
    """An answer by HTTP; `hangs` sends nothing before the receiver ends."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs: bool = False


@dataclass(frozen=True)
class Refusal:
    """A refusal of a call by grpc."""

    code: grpc.StatusCode
    details: str = ""
    metadata: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Receiver:
    """A receiver: the requests that came, and the answers to give."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[str], Answer] = lambda _path: Answer()
    refusal: Callable[[str], Refusal | None] = lambda _path: None
    rejects: int = 0  # spans, by grpc
    closing: threading.Event = field(default_factory=threading.Event)

    def paths(self) -> list[str]:
        """The paths of all requests, in order."""
        return [one.path for one in self.asked]

    def spans(self) -> list[Span]:
        """All spans, in the order in which they came."""
        return [
            span
            for one in self.asked
            if one.path == TRACES
            for of_resource in one.message.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def span(self) -> Span:
        """The only one."""
        (span,) = self.spans()
        return span

    def resource(self) -> dict[str, Any]:
        """The attributes of the last resource."""
        (of_resource,) = next(one for one in reversed(self.asked) if one.message.ByteSize()).message.ListFields()[0][1]
        return attributes(of_resource.resource.attributes)

    def points(self, name: str) -> list[NumberDataPoint | HistogramDataPoint]:
        """The points of a metric in the last request that has it."""
        for one in reversed(self.asked):
            for of_resource in one.message.resource_metrics if one.path == METRICS else ():
                for of_scope in of_resource.scope_metrics:
                    if found := [metric for metric in of_scope.metrics if metric.name == name]:
                        (metric,) = found
                        return list(getattr(metric, metric.WhichOneof("data")).data_points)
        return []


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes as Python has them."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


@contextmanager
def by_http() -> Iterator[Receiver]:
    """Listen on the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = _CODINGS[self.headers.get("content-encoding", "")](body)
            path = self.path.partition("?")[0]
            if path in _REQUESTS:
                headers = {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
                receiver.asked.append(Asked(path, headers, _REQUESTS[path].FromString(body)))
            answer = receiver.answer(path)
            if answer.hangs:
                receiver.closing.wait()
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def by_grpc() -> Iterator[Receiver]:
    """Listen on the loopback interface."""
    server = grpc.server(ThreadPoolExecutor(4))
    receiver = Receiver(f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")

    def take(path: str, request: Message, context: grpc.ServicerContext) -> None:
        headers = {name: str(value) for name, value in context.invocation_metadata()}
        receiver.asked.append(Asked(path, headers, request))
        if refusal := receiver.refusal(path):
            context.set_trailing_metadata(refusal.metadata)
            context.abort(refusal.code, refusal.details)

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(  # noqa: N802 - its name in the service
            self, request: Message, context: grpc.ServicerContext
        ) -> trace_service.ExportTraceServiceResponse:
            take(TRACES, request, context)
            partial = trace_service.ExportTracePartialSuccess(rejected_spans=receiver.rejects)
            return trace_service.ExportTraceServiceResponse(partial_success=partial)

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(  # noqa: N802
            self, request: Message, context: grpc.ServicerContext
        ) -> metrics_service.ExportMetricsServiceResponse:
            take(METRICS, request, context)
            return metrics_service.ExportMetricsServiceResponse()

    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)  # type: ignore[no-untyped-call]
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)  # type: ignore[no-untyped-call]
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()
