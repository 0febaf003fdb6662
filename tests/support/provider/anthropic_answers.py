"""Answers in the wire format of Anthropic's messages, with known delays."""

import json
from collections.abc import Mapping

from tests.support.provider.scenario import Scenario, Step


def reasoning(model: str, *, start_ms: float, thinking_ms: float, text_ms: float, gap_ms: float) -> Scenario:
    """Return a stream that thinks aloud before it answers: four pieces of each."""
    steps = [
        _start(start_ms, model),
        _event(start_ms, "ping"),
        _block(start_ms, 0, {"type": "thinking", "thinking": ""}),
    ]
    steps += [
        _delta(thinking_ms + index * gap_ms, 0, {"type": "thinking_delta", "thinking": piece})
        for index, piece in enumerate(("The user", " asks for", " a delay", "."))
    ]
    steps += [_delta(text_ms, 0, {"type": "signature_delta", "signature": "ZGVtbw=="}), _stop(text_ms, 0)]
    steps.append(_block(text_ms, 1, {"type": "text", "text": ""}))
    steps += [
        _delta(text_ms + index * gap_ms, 1, {"type": "text_delta", "text": piece})
        for index, piece in enumerate(("It", " took", " some", " time."))
    ]
    end_ms = text_ms + 4 * gap_ms
    return Scenario((*steps, _stop(end_ms, 1), *_end(end_ms, "end_turn", 24)))


def tool_call(model: str, *, start_ms: float, tool_ms: float, gap_ms: float) -> Scenario:
    """Return a stream that calls a tool: its name, an empty piece as Anthropic sends it, three pieces of arguments."""
    tool = {"type": "tool_use", "id": "toolu_demo", "name": "get_weather", "input": {}}
    steps = [_start(start_ms, model), _event(start_ms, "ping"), _block(tool_ms, 0, tool)]
    steps += [
        _delta(tool_ms + index * gap_ms, 0, {"type": "input_json_delta", "partial_json": piece})
        for index, piece in enumerate(("", '{"city"', ': "Par', 'is"}'))
    ]
    end_ms = tool_ms + 4 * gap_ms
    return Scenario((*steps, _stop(end_ms, 0), *_end(end_ms, "tool_use", 16)))


def _event(at_ms: float, kind: str, **fields: object) -> Step:
    body = json.dumps({"type": kind, **fields})
    return Step(at_ms, f"event: {kind}\ndata: {body}\n\n".encode())


def _start(at_ms: float, model: str) -> Step:
    message = {"id": "msg_demo", "type": "message", "role": "assistant", "model": model, "content": []}
    usage = {"input_tokens": 30, "output_tokens": 1}
    return _event(
        at_ms, "message_start", message=message | {"stop_reason": None, "stop_sequence": None, "usage": usage}
    )


def _block(at_ms: float, index: int, block: Mapping[str, object]) -> Step:
    return _event(at_ms, "content_block_start", index=index, content_block=block)


def _delta(at_ms: float, index: int, delta: dict[str, str]) -> Step:
    return _event(at_ms, "content_block_delta", index=index, delta=delta)


def _stop(at_ms: float, index: int) -> Step:
    return _event(at_ms, "content_block_stop", index=index)


def _end(at_ms: float, stop_reason: str, output_tokens: int) -> tuple[Step, Step]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    usage = {"output_tokens": output_tokens}
    return _event(at_ms, "message_delta", delta=delta, usage=usage), _event(at_ms, "message_stop")
