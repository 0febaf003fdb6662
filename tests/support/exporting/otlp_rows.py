"""Rows to send by OTLP, and a destination that is connected."""

import time
from contextlib import closing
from typing import Any

from llm_metrics_proxy.recorder.events import new_event_id, timestamp_of
from llm_metrics_proxy.recorder.export import Row, outbox
from llm_metrics_proxy.recorder.export.otlp import Otlp
from llm_metrics_proxy.recorder.store.exporters import Position
from tests.support.exporting.otlp_receiver import Receiver

HERE = Position(0, 0)
EVENT_ID = "019ca9a2d1c071238aaabbbbccccdddd"
FULL = {
    "timestamp": "2026-03-01T12:00:00.123Z",
    "success": True,
    "status_code": 200,
    "response_time_ms": 2_345,
    "model": "gpt-5",
    "origin": "billing",
    "is_streaming": True,
    "max_tokens": 1_000,
    "temperature": 0.5,
    "top_p": 0.9,
    "message_count": 3,
    "prompt_tokens": 120,
    "completion_tokens": 80,
    "total_tokens": 200,
    "finish_reason": "length",
    "time_to_first_token_ms": 310,
    "time_to_last_token_ms": 2_300,
    "tokens_per_second": 39.5,
    "event_id": EVENT_ID,
    "provider": "azure.ai.openai",
    "operation": "chat",
    "host": "team.openai.azure.com:8443",
    "endpoint": "/openai/deployments/gpt-5/chat/completions",
    "response_model": "gpt-5-2026-01-01",
    "cached_tokens": 100,
    "cache_write_tokens": 7,
    "reasoning_tokens": 40,
    "usage_source": "provider",
    "usage": '{"prompt_tokens":120}',
    "cost_usd": 0.0125,
    "cost_source": "provider",
    "time_to_first_byte_ms": 250.25,
    "time_to_first_answer_ms": 900.5,
    "output_events": 42,
    "chunk_gap_p50_ms": 11.5,
    "chunk_gap_p95_ms": 30.25,
    "chunk_gap_max_ms": 81.0,
    "upload_ms": 1.5,
    "connect_ms": 22.0,
    "request_bytes": 1_234,
    "response_bytes": 56_789,
    "http_version": "2",
    "client": "10.0.0.7",
    "user_agent": "OpenAI/Python 3.54.0",
    "session_id": "session-1",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "parent_span_id": "b7ad6b7169203331",
    "retry_count": 2,
    "provider_request_id": "req_123",
    "retry_after_ms": 1_500,
    "rate_limit_remaining_requests": 9,
    "rate_limit_remaining_tokens": 10_000,
    "server_timing": '{"openai-processing-ms":1900}',
    "error_code": "none",
    "billed": '{"input_tokens":120,"output_tokens":80}',
    "service_tier": "flex",
    "region": "eu",
    "billing": "api_key",
    "cost_complete": 0,
    "cost_note": "tool_fee_unknown",
    "error_class": "other",
    "finish_class": "length",
    "agent": "Codex",
    "agent_version": "1.2.3",
    "agent_id": "agent-2",
    "parent_agent_id": "agent-1",
    "request_kind": "subagent",
    "project": "shop",
    "response_id": "resp_123",
    "labels": '{"team":"search","env":"prod"}',
    "key_id": "0123456789abcdef",
    "cache_saved_usd": 0.0162,
    "cache_spent_usd": 0.0015,
}


def connected(receiver: Receiver, protocol: str | None = None) -> Any:  # noqa: ANN401 - closing() of an Otlp
    to = Otlp(receiver.url, protocol, "host-1")
    to.connect("source-1")
    return closing(to)


def row(**fields: Any) -> Row:  # noqa: ANN401 - what SQLite may hold
    return tuple(fields.get(name) for name in outbox.COLUMNS)


def just_now(**fields: Any) -> Row:  # noqa: ANN401
    """A call that began two seconds ago and took one."""
    now = time.time_ns() - 2_000_000_000
    usual = {"response_time_ms": 1_000, "success": 1, "is_streaming": 0, "operation": "chat", "provider": "openai"}
    at = {"timestamp": timestamp_of(now), "event_id": new_event_id(now // 1_000_000)}
    return row(**usual | at | fields)
