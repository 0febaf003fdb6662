"""Answers in the wire format of OpenAI's chat completions, with known delays."""

import json

from tests.support.provider.scenario import Framing, Scenario, Step

PIECES = ("Tokens", " arrive", " one", " after", " the", " other", ".")
JSON = (("content-type", "application/json"), ("x-request-id", "req_demo"))


def stream(model: str, *, role_ms: float, content_ms: float, gap_ms: float, pieces: int) -> Scenario:
    """Return a stream: a chunk with nothing but the role, `pieces` of text, a finish reason, the usage, [DONE]."""
    steps = [Step(role_ms, _chunk(model, {"role": "assistant", "content": ""}))]
    for index in range(pieces):
        text = PIECES[index % len(PIECES)]
        steps.append(Step(content_ms + index * gap_ms, _chunk(model, {"content": text})))
    end_ms = content_ms + pieces * gap_ms
    steps.append(Step(end_ms, _chunk(model, {}, "stop")))
    steps.append(
        Step(end_ms, _event(_body(model, "chat.completion.chunk") | {"choices": [], "usage": _usage(12, pieces)}))
    )
    steps.append(Step(end_ms, b"data: [DONE]\n\n"))
    return Scenario(tuple(steps))


def plain(model: str, *, at_ms: float) -> Scenario:
    """Return a whole answer at once."""
    message = {"role": "assistant", "content": "".join(PIECES), "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = _body(model, "chat.completion") | {"choices": [choice], "usage": _usage(12, 7)}
    return Scenario((Step(at_ms, json.dumps(body).encode()),), headers=JSON, head_at_ms=at_ms, framing=Framing.LENGTH)


def rate_limited(*, at_ms: float) -> Scenario:
    """Return the refusal of a caller who asks too often."""
    error = {"message": "Rate limit reached, try again in 2s.", "type": "requests", "param": None}
    body = json.dumps({"error": error | {"code": "rate_limit_exceeded"}}).encode()
    headers = (*JSON, ("retry-after", "2"), ("x-ratelimit-remaining-requests", "0"))
    return Scenario((Step(at_ms, body),), status=429, headers=headers, head_at_ms=at_ms, framing=Framing.LENGTH)


def _body(model: str, kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-demo", "object": kind, "created": 1767225600, "model": model}


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _chunk(model: str, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event(_body(model, "chat.completion.chunk") | {"choices": [choice]})


def _event(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"
