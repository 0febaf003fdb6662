"""A call in the background: its answer is fetched later, here through another proxy with the same database."""

import json
from pathlib import Path

from tests.support.rig import Rig, at_once, started
from tests.support.waiting import eventually

CALL = b'{"model": "gpt-5.4", "input": "hi", "background": true}'
RESPONSE = {"id": "resp_1", "object": "response", "background": True, "model": "gpt-5.4-2026-03-05", "output": []}
USAGE = {"input_tokens": 9350, "output_tokens": 2140, "total_tokens": 11490}
ROW = "SELECT model, response_model, origin, success, finish_reason, prompt_tokens FROM completion_requests"


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
