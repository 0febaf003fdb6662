"""Results of batches that pass become rows, one for each call that was successful, at the batch's price."""

import json
from collections.abc import Iterable

import pytest

from llm_metrics_proxy.addon import batch_reading
from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.recorder.events import CompletionRequest
from tests.support.exchanges import CODINGS, begun, cut_anyhow, cut_at, encoded

ANTHROPIC = ("api.anthropic.com", "/v1/messages/batches/msgbatch_1/results")
OPENAI = ("api.openai.com", "/v1/files/file-1/content")

MESSAGE = {
    "id": "msg_014VwiXbi91y3JMjcpyGBHX5",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Hello again!"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 36, "service_tier": "batch"},
}
OF_ANTHROPIC = [
    {"custom_id": "second", "result": {"type": "succeeded", "message": MESSAGE}},
    {"custom_id": "first", "result": {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded"}}}},
    {"custom_id": "third", "result": {"type": "expired"}},
]
CHAT = {
    "id": "chatcmpl-9x",
    "object": "chat.completion",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 22, "completion_tokens": 2, "total_tokens": 24},
}
RESPONSE = {
    "id": "resp_9x",
    "object": "response",
    "status": "completed",
    "model": "gpt-5.4-2026-03-05",
    "output": [],
    "usage": {"input_tokens": 50, "output_tokens": 60, "total_tokens": 110},
}
EMBEDDINGS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
OF_OPENAI = [
    {
        "id": f"batch_req_{number}",
        "custom_id": f"request-{number}",
        "response": {"status_code": status, "request_id": "req_1", "body": body},
        "error": None,
    }
    for number, (status, body) in enumerate(
        [(200, CHAT), (200, RESPONSE), (429, {"error": {"message": "no"}}), (200, EMBEDDINGS), (200, {"object": "new"})]
    )
]


def lines(values: Iterable[object]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def fetch(host: str, path: str, pieces: list[bytes], coding: str = "") -> Exchange:
    exchange = begun(path, host=host, method="GET")
    exchange.request_end(1)
    exchange.answer_head(200, {"content-type": "application/octet-stream", "content-encoding": coding}, 2)
    for piece in pieces:
        if exchange.answered.add(piece, 3):
            exchange.read()
    assert exchange.finish(Cause.COMPLETE, 4) is None
    return exchange


def seen(row: CompletionRequest) -> tuple[object, ...]:
    return (
        row.response_id,
        row.response_model,
        row.endpoint,
        row.operation,
        row.prompt_tokens,
        row.completion_tokens,
        row.service_tier,
    )


CASES = [
    (
        ANTHROPIC,
        lines(OF_ANTHROPIC),
        [(MESSAGE["id"], MESSAGE["model"], "/v1/messages", "chat", 100, 36, "batch")],
    ),
    (
        OPENAI,
        lines(OF_OPENAI),
        [
            ("batch_req_0", CHAT["model"], "/v1/chat/completions", "chat", 22, 2, "batch"),
            ("batch_req_1", RESPONSE["model"], "/v1/responses", "chat", 50, 60, "batch"),
            ("batch_req_3", EMBEDDINGS["model"], "/v1/embeddings", "embeddings", 8, None, "batch"),
        ],
    ),
]


@pytest.mark.parametrize(("address", "body", "expected"), CASES, ids=["Anthropic", "OpenAI"])
@pytest.mark.parametrize("coding", ["", *CODINGS])
def test_each_successful_call_is_a_row_however_the_bytes_come(
    address: tuple[str, str], body: bytes, expected: list[tuple[object, ...]], coding: str
) -> None:
    whole = b"".join(encoded(coding, [body])) if coding else body
    token = CODINGS[coding][0] if coding else ""
    for pieces in ([whole], cut_anyhow(whole, seed=4), cut_at(whole, range(len(whole)))):
        exchange = fetch(*address, pieces, token)
        assert [seen(row) for row in exchange.rows] == expected
        assert all(row.success and row.finish_reason != "" for row in exchange.rows)
        assert not exchange.faults


def test_an_answer_that_failed_inside_is_no_success() -> None:
    failed = RESPONSE | {"status": "failed", "error": {"code": "server_error", "message": "sorry"}}
    line = {"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "body": failed}}
    (row,) = fetch(*OPENAI, [lines([line])]).rows
    assert (row.success, row.error_code, row.error_class) == (False, "server_error", "server_error")


@pytest.mark.parametrize(
    "body",
    [b"%PDF-1.7\n" + b"\x00\xff" * 500, b'{"messages": [{"role": "user"}]}\n' * 9, b"[1, 2]\n", b"", b"\n\n"],
    ids=["a PDF", "training data", "a list", "nothing", "empty lines"],
)
def test_another_file_leaves_nothing(body: bytes) -> None:
    exchange = fetch(*OPENAI, cut_anyhow(body, seed=1))
    assert exchange.rows == []
    assert not exchange.faults


def test_a_line_that_cannot_be_read_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = fetch(*OPENAI, [lines(OF_OPENAI[:1]) + b'{"id": \n' + lines(OF_OPENAI[1:2])])
    assert [row.response_id for row in exchange.rows] == ["batch_req_0", "batch_req_1"]
    assert exchange.faults == {"unparsed"}
    monkeypatch.setattr(batch_reading, "MOST_ROWS", 1)
    exchange = fetch(*OPENAI, [lines(OF_OPENAI)])
    assert [row.response_id for row in exchange.rows] == ["batch_req_0"]
    assert exchange.faults == {"batch_results_left_out"}
