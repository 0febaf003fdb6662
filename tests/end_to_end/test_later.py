"""Answers that are fetched later: of calls in the background, also through another proxy, and of batches."""

import json
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.prices.history import Span
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.recost import recost
from tests.support.rig import Rig, at_once, started
from tests.support.waiting import eventually

CALL = b'{"model": "gpt-5.4", "input": "hi", "background": true}'
RESPONSE = {"id": "resp_1", "object": "response", "background": True, "model": "gpt-5.4-2026-03-05", "output": []}
USAGE = {"input_tokens": 9350, "output_tokens": 2140, "total_tokens": 11490}
ROW = "SELECT model, response_model, origin, success, finish_reason, prompt_tokens FROM completion_requests"


RESULT = {
    "custom_id": "first",
    "result": {
        "type": "succeeded",
        "message": {
            "id": "msg_1",
            "type": "message",
            "model": "claude-sonnet-4-5-20250929",
            "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 100_000, "output_tokens": 100_000, "service_tier": "batch"},
        },
    },
}


def _answer(rig: Rig, status: str, usage: object = None) -> None:
    rig.answer(at_once(json.dumps({**RESPONSE, "status": status, "usage": usage}).encode()))


def test_a_call_is_completed_by_whoever_fetches_its_answer_also_through_a_proxy_that_was_started_later(
    tmp_path: Path,
) -> None:
    with started(tmp_path) as rig:
        _answer(rig, "queued")
        asked = [("content-type", "application/json"), ("x-llm-origin", "billing")]
        rig.ask(CALL, host="api.openai.com", path="/v1/responses", headers=asked)
        assert rig.row()["finish_reason"] is None
        _answer(rig, "in_progress")
        rig.ask(method="GET", host="api.openai.com", path="/v1/responses/resp_1")
        assert rig.proxy.stop() == 0
    with started(tmp_path) as rig:
        _answer(rig, "completed", USAGE)
        for _ in range(3):
            rig.ask(method="GET", host="api.openai.com", path="/v1/responses/resp_1")
        eventually(lambda: rig.counter("duplicates") == 2)
        assert rig.counter("completed") == 1
        completed = ("gpt-5.4", "gpt-5.4-2026-03-05", "billing", 1, "completed", 9350)
        assert [tuple(row.values()) for row in rig.query(ROW)] == [completed]
        assert rig.proxy.stop() == 0


def test_results_of_a_batch_are_rows_at_half_the_price_however_often_they_are_fetched(tmp_path: Path) -> None:
    with started(tmp_path) as rig:
        results = [json.dumps(RESULT | {"custom_id": f"call-{n}"}).replace("msg_1", f"msg_{n}") for n in range(1_200)]
        rig.answer(at_once("\n".join(results).encode(), headers=[("content-type", "application/x-jsonl")]))
        for _ in range(2):
            rig.ask(method="GET", host="api.anthropic.com", path="/v1/messages/batches/msgbatch_1/results")
        eventually(lambda: rig.counter("duplicates") == 1_200)
        assert rig.counter("written") == 1_200
        assert rig.proxy.stop() == 0
        recost(rig.proxy.database, OwnPrices(), Span())
        costs = "SELECT DISTINCT service_tier, success, prompt_tokens, cost_usd, cost_complete FROM completion_requests"
        assert [tuple(row.values()) for row in rig.query(costs)] == [("batch", 1, 100_000, pytest.approx(0.9), 1)]
