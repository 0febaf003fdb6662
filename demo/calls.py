"""The six calls of the demo: what each model answers, and which of its writes carry the first and the last output."""

import json
from dataclasses import dataclass

from tests.support.provider import anthropic_answers, openai_answers
from tests.support.provider.scenario import Request, Scenario


@dataclass(frozen=True, slots=True)
class Call:
    """One call, known by its model; `first` and `last` are indices of steps, None where there is nothing to time."""

    what: str
    model: str
    scenario: Scenario
    first: int | None = None
    last: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ends: str = "ok"  # or the error_type that the row should have


CALLS = (
    Call(
        "stream, role chunk long before the text",
        "gpt-5.5",
        openai_answers.stream("gpt-5.5", role_ms=50, content_ms=1000, gap_ms=40, pieces=14),
        first=1,
        last=14,
        prompt_tokens=12,
        completion_tokens=14,
    ),
    Call(
        "stream that thinks first",
        "claude-sonnet-5",
        anthropic_answers.reasoning("claude-sonnet-5", start_ms=40, thinking_ms=400, text_ms=800, gap_ms=50),
        first=3,
        last=13,
        prompt_tokens=30,
        completion_tokens=24,
    ),
    Call(
        "stream that calls a tool",
        "claude-haiku-4-5",
        anthropic_answers.tool_call("claude-haiku-4-5", start_ms=40, tool_ms=300, gap_ms=60),
        first=2,
        last=6,
        prompt_tokens=30,
        completion_tokens=16,
    ),
    Call(
        "plain answer",
        "gpt-5.4-mini",
        openai_answers.plain("gpt-5.4-mini", at_ms=400),
        prompt_tokens=12,
        completion_tokens=7,
    ),
    Call(
        "client leaves after three pieces",
        "gpt-5.4",
        openai_answers.stream("gpt-5.4", role_ms=30, content_ms=200, gap_ms=100, pieces=50),
        first=1,
        last=3,
        ends="client_disconnect",
    ),
    Call(
        "too many requests",
        "gpt-5.4-nano",
        openai_answers.rate_limited(at_ms=60),
        ends="requests",
    ),
)


def asked_model(request: Request) -> str:
    """Return the model that a request asks for."""
    return str(json.loads(request.body)["model"])


def answer(request: Request) -> Scenario:
    """Choose the scenario by the model, as both providers' requests name it in the same place."""
    return next(call.scenario for call in CALLS if call.model == asked_model(request))
