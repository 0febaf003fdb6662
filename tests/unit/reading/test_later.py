"""Answers that are fetched later: only a final one is an event, with the id that its call had."""

import json

import pytest

from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.providers.format import Later
from llm_metrics_proxy.addon.providers.later import match_later
from llm_metrics_proxy.recorder.events import CompletionRequest
from tests.support.exchanges import begun

RESPONSE = {"id": "resp_1", "object": "response", "background": True, "model": "gpt-5", "output": []}
USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def fetched(answer: object, status: int = 200, faults: frozenset[str] = frozenset()) -> CompletionRequest | None:
    exchange = begun("/v1/responses/resp_1", host="api.openai.com", method="GET")
    exchange.request_end(1)
    exchange.answer_head(status, {"content-type": "application/json"}, 2)
    exchange.answered.add(json.dumps(answer).encode(), 3)
    row = exchange.finish(Cause.COMPLETE, 4)
    assert exchange.faults == faults
    return row


def test_the_final_answer_is_an_event() -> None:
    row = fetched({**RESPONSE, "status": "completed", "usage": USAGE})
    assert row is not None
    assert (row.response_id, row.finish_reason, row.prompt_tokens, row.endpoint) == (
        "resp_1",
        "completed",
        5,
        "/v1/responses",
    )


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({**RESPONSE, "status": "queued", "usage": None}, 200),
        ({**RESPONSE, "status": "in_progress", "usage": None}, 200),
        ({**RESPONSE, "status": "completed", "usage": USAGE, "background": False}, 200),
        ({"error": {"message": "No such response", "type": "invalid_request_error"}}, 404),
        ({"object": "list", "data": []}, 200),
    ],
    ids=["queued", "in progress", "answered at once", "unknown", "a list"],
)
def test_what_is_no_final_answer_of_a_call_in_the_background_leaves_nothing(answer: object, status: int) -> None:
    assert fetched(answer, status) is None


def test_an_answer_of_another_shape_leaves_nothing_but_is_counted() -> None:
    assert fetched("nothing of the kind", faults=frozenset({"unparsed"})) is None


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("GET", "api.openai.com", "/v1/responses"),
        ("GET", "api.openai.com", "/v1/responses/resp_1/input_items"),
        ("DELETE", "api.openai.com", "/v1/responses/resp_1"),
        ("POST", "api.openai.com", "/v1/responses/resp_1"),
        ("GET", "shop.example.com", "/v1/responses/resp_1"),
        ("GET", "api.openai.com", f"/v1/responses/{'x' * 10_000}"),
    ],
)
def test_other_requests_fetch_no_answer(method: str, host: str, path: str) -> None:
    assert match_later(method, host, 443, path) is None


def test_a_host_that_somebody_named_has_later_answers() -> None:
    route = match_later("GET", "llm.example.com", 443, "//v1/responses/resp_1/", named=True)
    assert route is not None
    assert route.later == Later("resp_1", "/v1/responses")
