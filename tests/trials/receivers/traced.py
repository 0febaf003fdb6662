"""A call whose client is traced: its span, the header that says so, and the row of the call as the exporter's span."""

from contextlib import closing
from typing import NamedTuple

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from llm_metrics_proxy.recorder.export import Batch, outbox
from llm_metrics_proxy.recorder.export.otlp import Otlp
from llm_metrics_proxy.recorder.store.database import open_reader
from llm_metrics_proxy.recorder.store.exporters import Position
from tests.support.provider import openai_answers
from tests.support.rig import JSON, Rig, Row, question

CLIENT_SPAN = "answer a customer"
MODEL = "gpt-traced"


class Traced(NamedTuple):
    """The client's own span, and the row that the proxy wrote."""

    span: ReadableSpan
    row: Row


def call(rig: Rig, endpoint: str) -> Traced:
    """Ask through the proxy within a span, and send that span to `endpoint` as any traced program does."""
    rig.answer(openai_answers.stream(MODEL, role_ms=5, content_ms=20, gap_ms=5, pieces=7))
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    with provider.get_tracer("shop").start_as_current_span(CLIENT_SPAN, kind=trace.SpanKind.INTERNAL) as span:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        asked = question(MODEL, stream=True, stream_options={"include_usage": True})
        reply = rig.ask(asked, headers=[*JSON, *carrier.items()])
    provider.shutdown()
    if reply.status != 200 or not isinstance(span, Span):
        msg = f"the call ended with {reply.status}"
        raise RuntimeError(msg)
    return Traced(span, rig.row())


def export(rig: Rig, row: Row, endpoint: str, protocol: str | None = None) -> None:
    """Send the row to `endpoint` as the exporter does, twice, as after an outage."""
    with closing(open_reader(rig.proxy.database)) as connection:
        rows = outbox.rows(connection, row["id"] - 1, row["id"])
    with closing(Otlp(endpoint, protocol, "host-1")) as to:
        for _ in range(2):
            to.connect("source-1")
            to.send(Batch(rows, Position(row["id"], 0)))
