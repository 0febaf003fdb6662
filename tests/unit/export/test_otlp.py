"""What a receiver of OTLP gets for a call: its span and its share of the metrics."""

import math
import sqlite3
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.export import Batch, Unacceptable, outbox
from llm_metrics_proxy.recorder.export.otlp import Otlp, names
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.exporters import Position
from tests.support.exporting.otlp_receiver import Receiver, attributes
from tests.support.exporting.otlp_rows import EVENT_ID, FULL, HERE, connected, just_now, row

pytest_plugins = ["tests.support.exporting.otlp_fixtures"]
pytestmark = pytest.mark.usefixtures("no_otlp_settings")

type MakeEvent = Callable[..., CompletionRequest]

START_NS = 1_772_366_400_123_000_000  # 2026-03-01T12:00:00.123Z
ATTRIBUTES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "azure.ai.openai",
    "gen_ai.conversation.id": "session-1",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.request.stream": True,
    "gen_ai.request.max_tokens": 1_000,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.9,
    "gen_ai.response.model": "gpt-5-2026-01-01",
    "gen_ai.response.finish_reasons": ["length"],
    "gen_ai.response.time_to_first_chunk": 0.25025,
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 80,
    "gen_ai.usage.cache_read.input_tokens": 100,
    "gen_ai.usage.cache_write.input_tokens": 7,
    "gen_ai.usage.cache_creation.input_tokens": 7,
    "gen_ai.usage.reasoning.output_tokens": 40,
    "server.address": "team.openai.azure.com",
    "server.port": 8443,
    "url.path": "/openai/deployments/gpt-5/chat/completions",
    "http.response.status_code": 200,
    "http.request.resend_count": 2,
    "http.request.body.size": 1_234,
    "http.response.body.size": 56_789,
    "network.protocol.version": "2",
    "client.address": "10.0.0.7",
    "user_agent.original": "OpenAI/Python 3.54.0",
    "llm_metrics.event_id": EVENT_ID,
    "llm_metrics.origin": "billing",
    "llm_metrics.message_count": 3,
    "llm_metrics.total_tokens": 200,
    "llm_metrics.usage_source": "provider",
    "llm_metrics.usage": '{"prompt_tokens":120}',
    "llm_metrics.cost_usd": 0.0125,
    "llm_metrics.cost_source": "provider",
    "llm_metrics.tokens_per_second": 39.5,
    "llm_metrics.time_to_first_byte_ms": 250.25,
    "llm_metrics.time_to_first_token_ms": 310.0,
    "llm_metrics.time_to_first_answer_ms": 900.5,
    "llm_metrics.time_to_last_token_ms": 2_300.0,
    "llm_metrics.output_events": 42,
    "llm_metrics.chunk_gap_p50_ms": 11.5,
    "llm_metrics.chunk_gap_p95_ms": 30.25,
    "llm_metrics.chunk_gap_max_ms": 81.0,
    "llm_metrics.upload_ms": 1.5,
    "llm_metrics.connect_ms": 22.0,
    "llm_metrics.provider_request_id": "req_123",
    "llm_metrics.retry_after_ms": 1_500,
    "llm_metrics.rate_limit_remaining_requests": 9,
    "llm_metrics.rate_limit_remaining_tokens": 10_000,
    "llm_metrics.server_timing": '{"openai-processing-ms":1900}',
    "llm_metrics.error_code": "none",
    "llm_metrics.billed": '{"input_tokens":120,"output_tokens":80}',
    "llm_metrics.service_tier": "flex",
    "llm_metrics.region": "eu",
    "llm_metrics.billing": "api_key",
    "llm_metrics.cost_complete": False,
    "llm_metrics.cost_note": "tool_fee_unknown",
    "llm_metrics.error_class": "other",
    "llm_metrics.finish_class": "length",
    "llm_metrics.agent": "Codex",
    "llm_metrics.agent_version": "1.2.3",
    "llm_metrics.agent_id": "agent-2",
    "llm_metrics.parent_agent_id": "agent-1",
    "llm_metrics.request_kind": "subagent",
    "llm_metrics.project": "shop",
    "llm_metrics.response_id": "resp_123",
    "llm_metrics.key_id": "0123456789abcdef",
    "llm_metrics.cache_saved_usd": 0.0162,
    "llm_metrics.cache_spent_usd": 0.0015,
    "llm_metrics.label.team": "search",
    "llm_metrics.label.env": "prod",
}
# Columns that are no attributes: they are the span's times, ids, status, or come with it in another form.
ELSEWHERE = {"id", "timestamp", "success", "response_time_ms", "trace_id", "parent_span_id", "error_message"}


def test_every_column_of_a_call_is_in_its_span(otlp: Otlp, receiver: Receiver, current_db: Path) -> None:
    with closing(open_writer(current_db)) as connection:
        CompletionRequestsDAO(connection).insert_completion_request(msgspec.convert(FULL, CompletionRequest))
        otlp.send(Batch(outbox.rows(connection, 0, 1), Position(1, 0)))
    span = receiver.span()
    assert attributes(span.attributes) == ATTRIBUTES
    assert (span.name, span.kind, span.status.code) == ("chat gpt-5", span.SPAN_KIND_CLIENT, 0)
    made_of = {column for column in outbox.COLUMNS if column not in ELSEWHERE}
    assert made_of <= FULL.keys() | {"error_type"}


def test_a_span_begins_and_ends_when_the_call_did(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([row(**FULL)], HERE))
    span = receiver.span()
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (START_NS, START_NS + 2_345_000_000)
    assert [(event.name, event.time_unix_nano - START_NS) for event in span.events] == [
        ("llm_metrics.first_chunk", 250_250_000),
        ("llm_metrics.first_token", 310_000_000),
    ]


def test_an_answer_that_is_no_stream_has_no_first_chunk(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([row(**FULL | {"is_streaming": 0})], HERE))
    assert list(receiver.span().events) == []
    assert names.TIME_TO_FIRST_CHUNK not in attributes(receiver.span().attributes)


def test_what_is_unknown_is_left_out(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([row(timestamp=FULL["timestamp"], event_id=EVENT_ID)], HERE))
    span = receiver.span()
    assert attributes(span.attributes) == {"llm_metrics.event_id": EVENT_ID}
    assert (span.name, span.start_time_unix_nano, span.end_time_unix_nano) == ("request", START_NS, START_NS)


def test_a_zero_is_not_unknown(otlp: Otlp, receiver: Receiver) -> None:
    zeros = {"prompt_tokens": 0, "cost_usd": 0.0, "temperature": 0, "is_streaming": 0}
    otlp.send(Batch([row(timestamp=FULL["timestamp"], event_id=EVENT_ID, **zeros)], HERE))
    assert attributes(receiver.span().attributes) == {
        "gen_ai.usage.input_tokens": 0,
        "llm_metrics.cost_usd": 0.0,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.stream": False,
        "llm_metrics.event_id": EVENT_ID,
    }


def test_a_failed_call_is_an_error(otlp: Otlp, receiver: Receiver) -> None:
    failed = {"success": 0, "status_code": 429, "error_type": "rate_limit_error", "error_message": "Slow down."}
    otlp.send(Batch([row(**FULL | failed)], HERE))
    span = receiver.span()
    assert (span.status.code, span.status.message) == (span.status.STATUS_CODE_ERROR, "Slow down.")
    assert attributes(span.attributes)["error.type"] == "rate_limit_error"
    assert attributes(span.attributes)["http.response.status_code"] == 429


def test_a_failure_without_a_type_has_that_of_the_conventions(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([row(**FULL | {"success": 0})], HERE))
    assert attributes(receiver.span().attributes)["error.type"] == "_OTHER"


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("api.openai.com:443", "api.openai.com", 443),
        ("[::1]:11434", "::1", 11434),
        ("api.openai.com", "api.openai.com", None),
        ("a:b", "a:b", None),
    ],
)
def test_the_server_is_that_of_the_provider(
    otlp: Otlp, receiver: Receiver, host: str, address: str, port: int | None
) -> None:
    otlp.send(Batch([row(**FULL | {"host": host})], HERE))
    found = attributes(receiver.span().attributes)
    assert (found["server.address"], found.get("server.port")) == (address, port)


def test_a_call_is_a_child_of_its_callers_span(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([row(**FULL)], HERE))
    span = receiver.span()
    assert span.trace_id.hex() == FULL["trace_id"]
    assert span.parent_span_id.hex() == FULL["parent_span_id"]
    assert span.span_id.hex() == EVENT_ID[16:]
    assert span.flags & 0x300 == 0x300  # it is known of the parent that it is remote


@pytest.mark.parametrize(
    ("trace_id", "parent"),
    [
        (None, None),
        ("0" * 32, FULL["parent_span_id"]),
        (FULL["trace_id"], "0" * 16),
        (FULL["trace_id"], None),
        ("0af7651916cd43dd", FULL["parent_span_id"]),
        ("0AF7651916CD43DD8448EB211C80319C", FULL["parent_span_id"]),
        ("+x7651916cd43dd8448eb211c80319c1", FULL["parent_span_id"]),
        (FULL["trace_id"], "b7ad6b716920333\n"),
        (b"0af7651916cd43dd8448eb211c80319c", FULL["parent_span_id"]),
        (1, 2),
    ],
)
def test_what_is_no_id_is_no_parent(otlp: Otlp, receiver: Receiver, trace_id: object, parent: object) -> None:
    otlp.send(Batch([row(**FULL | {"trace_id": trace_id, "parent_span_id": parent})], HERE))
    span = receiver.span()
    assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id) == (EVENT_ID, EVENT_ID[16:], b"")


def test_a_row_that_is_sent_twice_is_the_same_span(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([row(**FULL)], HERE))
    otlp.send(Batch([row(**FULL)], HERE))
    first, second = receiver.spans()
    assert first == second


@pytest.mark.parametrize("event_id", ["", "0" * 32, "a" * 16 + "0" * 16, "no hex digits", 7, b"\xff"])
def test_each_row_has_ids_of_its_own_whatever_its_event_id(otlp: Otlp, receiver: Receiver, event_id: object) -> None:
    otlp.send(Batch([row(**FULL | {"event_id": event_id, "trace_id": None})], HERE))
    span = receiver.span()
    assert len(span.trace_id) == 16
    assert len(span.span_id) == 8
    assert any(span.trace_id)
    assert any(span.span_id)


def test_the_resource_names_host_and_proxy(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([row(**FULL)], HERE))
    found = receiver.resource()
    assert found["service.name"] == "llm-metrics-proxy"
    assert (found["host.name"], found["service.instance.id"]) == ("host-1", "source-1")
    assert found["service.version"]


def test_the_environment_has_the_last_word_on_the_resource(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,host.name=other")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gateway")
    with connected(receiver) as to:
        to.send(Batch([row(**FULL)], HERE))
    found = receiver.resource()
    assert (found["service.name"], found["host.name"]) == ("gateway", "other")
    assert found["deployment.environment.name"] == "staging"


def test_headers_and_compression_are_those_of_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=one%20two,authorization=Bearer s3cret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with connected(receiver) as to:
        to.send(Batch([row(**FULL)], HERE))
    headers = receiver.asked[-1].headers
    assert (headers["x-team"], headers["authorization"]) == ("one two", "Bearer s3cret")
    assert headers["content-encoding"] == "gzip"
    assert attributes(receiver.span().attributes) == ATTRIBUTES


def test_user_and_query_of_the_endpoint_are_used(receiver: Receiver) -> None:
    address = receiver.url.removeprefix("http://")
    with closing(Otlp(f"http://user:s3cret@{address}/?key=s3cret", None, "host-1")) as to:
        to.connect("source-1")
    headers = receiver.asked[0].headers
    assert headers[":path"] == "/v1/traces?key=s3cret"
    assert headers["authorization"] == "Basic " + b64encode(b"user:s3cret").decode()


@pytest.mark.xdist_group("otlp-grpc")
def test_by_grpc_it_is_the_same(grpc_server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=one%20two")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with connected(grpc_server) as to:
        to.send(Batch([row(**FULL), just_now()], HERE))
    full, _ = grpc_server.spans()
    assert attributes(full.attributes) == ATTRIBUTES
    assert (full.span_id.hex(), full.parent_span_id.hex()) == (EVENT_ID[16:], FULL["parent_span_id"])
    (point,) = grpc_server.points("gen_ai.client.operation.duration")
    assert point.count == 1
    assert grpc_server.asked[-1].headers["x-team"] == "one two"
    assert grpc_server.resource()["service.instance.id"] == "source-1"


HOSTILE = (
    "\0",
    "\ud800",
    "\x1b[2J\u202e",
    "x" * 3_000_000,
    "\0\udfff" * 100_000,
    b"\xff\xfe\0" * 10,
    float("inf"),
    float("-inf"),
    float("nan"),
    1e308,
    2**63 - 1,
    -(2**63),
    -1,
    "",
    "12",
)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:12])
def test_nothing_in_a_row_stops_it(otlp: Otlp, receiver: Receiver, value: object) -> None:
    kept = {name: just_now()[outbox.COLUMN[name]] for name in ("timestamp", "event_id")}
    hostile = row(**dict.fromkeys(outbox.COLUMNS, value) | kept)
    began = time.monotonic()
    otlp.send(Batch([hostile, just_now(model="harmless")], HERE))
    assert time.monotonic() - began < 5
    assert len(receiver.spans()) == 2
    (harmless,) = [span for span in receiver.spans() if span.name == "chat harmless"]
    (other,) = [span for span in receiver.spans() if span is not harmless]
    assert attributes(harmless.attributes)["gen_ai.request.model"] == "harmless"
    for sent in attributes(other.attributes).values():
        assert not isinstance(sent, float) or math.isfinite(sent)
        assert "\0" not in str(sent)
    assert all(one.message.ByteSize() < 100_000 for one in receiver.asked)
    assert receiver.points("gen_ai.client.operation.duration")


@pytest.mark.parametrize("timestamp", ["", "soon", None, "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z", 1.5])
def test_a_call_that_was_at_no_moment_is_refused_here(otlp: Otlp, receiver: Receiver, timestamp: object) -> None:
    with pytest.raises(Unacceptable, match="its timestamp is invalid"):
        otlp.send(Batch([row(**FULL | {"timestamp": timestamp})], HERE))
    assert receiver.asked == []


def test_what_sqlite_keeps_can_be_sent(otlp: Otlp, receiver: Receiver, current_db: Path) -> None:
    with closing(sqlite3.connect(current_db)) as connection:
        connection.execute(
            "INSERT INTO completion_requests (timestamp, success, status_code, response_time_ms, is_streaming, model, "
            "prompt_tokens, cost_usd, event_id) VALUES (?, 1, 200, 9e999, 1, CAST(x'00ff41' AS BLOB), 'many', ?, ?)",
            (FULL["timestamp"], float("-inf"), EVENT_ID),
        )
        otlp.send(Batch(outbox.rows(connection, 0, 1), Position(1, 0)))
    span = receiver.span()
    assert span.name == "request \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}A"
    assert span.start_time_unix_nano == span.end_time_unix_nano
    assert names.INPUT_TOKENS not in attributes(span.attributes)


def test_another_database_is_another_instance(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([just_now()], HERE))
    otlp.connect("source-2")
    otlp.send(Batch([just_now()], HERE))
    assert receiver.resource()["service.instance.id"] == "source-2"
    (point,) = receiver.points("gen_ai.client.operation.duration")
    assert point.count == 1
