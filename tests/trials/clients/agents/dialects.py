"""The wire formats that agents speak, as the local provider does: what was asked, and an answer with known tokens."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

type Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    model: str
    streams: bool
    said: str
    """The text of the last message that a person wrote, or the agent in a person's place."""
    tools: Mapping[str, Json] = field(default_factory=dict)
    """JSON schemas of arguments, by the tool's name."""
    has_result: bool = False
    """The last message is the result of a tool."""
    is_compaction: bool = False
    """The answer has to be what the conversation is to be replaced with, in the provider's own form."""


@dataclass(frozen=True)
class Tokens:
    """The usage of an answer."""

    input: int
    output: int


@dataclass(frozen=True)
class Reply:
    """What the model says: pieces of text, or the call of a tool."""

    pieces: tuple[str, ...] = ()
    tool: str = ""
    arguments: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Dialect:
    """One wire format."""

    path: re.Pattern[str]
    read: Callable[[str, Json], Asked]
    whole: Callable[[Asked, Reply, Tokens], Json]
    events: Callable[[Asked, Reply, Tokens], Iterator[tuple[str, Json]]]
    """Names and data of a stream; those of the text are the first that may be the last ones to come."""
    named: bool = False
    """Events have a name beside their data."""
    done: bool = False
    """The stream ends with `[DONE]`."""

    def stream(self, asked: Asked, reply: Reply, tokens: Tokens) -> list[bytes]:
        """Return the events of a stream as bytes."""
        written = [
            (f"event: {name}\n" if self.named else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"
            for name, data in self.events(asked, reply, tokens)
        ]
        return [*written, b"data: [DONE]\n\n"] if self.done else written


def _text(content: object) -> str:
    """Return the text of a message's content, in whatever parts it comes."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part.get("text") or "" for part in parts if isinstance(part, dict))


def _last(messages: list[Json], role: str, content: str = "content") -> str:
    """Return the last text of a role that says anything."""
    return next((said for one in reversed(messages) if one.get("role") == role and (said := _text(one[content]))), "")


# --- Anthropic's messages


def _read_messages(_path: str, body: Json) -> Asked:
    content = body["messages"][-1]["content"]
    return Asked(
        body["model"],
        body.get("stream") is True,
        _last(body["messages"], "user"),
        {tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools", [])},
        isinstance(content, list) and any(part.get("type") == "tool_result" for part in content),
    )


def _message(asked: Asked, tokens: Tokens, **more: object) -> Json:
    usage = {"input_tokens": tokens.input, "output_tokens": tokens.output}
    message = {"id": f"msg_{tokens.input}", "type": "message", "role": "assistant", "model": asked.model}
    return message | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage} | more


def _tool_use(reply: Reply, tokens: Tokens) -> Json:
    return {"type": "tool_use", "id": f"toolu_{tokens.input}", "name": reply.tool, "input": reply.arguments}


def _whole_message(asked: Asked, reply: Reply, tokens: Tokens) -> Json:
    text = {"type": "text", "text": "".join(reply.pieces)}
    content = [_tool_use(reply, tokens) if reply.tool else text]
    return _message(asked, tokens, content=content, stop_reason="tool_use" if reply.tool else "end_turn")


def _message_events(asked: Asked, reply: Reply, tokens: Tokens) -> Iterator[tuple[str, Json]]:
    def event(kind: str, **more: object) -> tuple[str, Json]:
        return kind, {"type": kind, **more}

    block: Json = _tool_use(reply, tokens) | {"input": {}} if reply.tool else {"type": "text", "text": ""}
    deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
    if reply.tool:
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(reply.arguments)}]
    yield event("message_start", message=_message(asked, Tokens(tokens.input, 1)))
    yield event("content_block_start", index=0, content_block=block)
    for delta in deltas:
        yield event("content_block_delta", index=0, delta=delta)
    yield event("content_block_stop", index=0)
    ended = {"stop_reason": "tool_use" if reply.tool else "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=ended, usage={"output_tokens": tokens.output})
    yield event("message_stop")


# --- OpenAI's chat


def _read_chat(_path: str, body: Json) -> Asked:
    tools = (tool.get("function", {}) for tool in body.get("tools") or [])
    return Asked(
        body["model"],
        body.get("stream") is True,
        _last(body["messages"], "user"),
        {tool["name"]: tool.get("parameters", {}) for tool in tools if "name" in tool},
        body["messages"][-1].get("role") == "tool",
    )


def _chat_usage(tokens: Tokens) -> Json:
    total = tokens.input + tokens.output
    return {"prompt_tokens": tokens.input, "completion_tokens": tokens.output, "total_tokens": total}


def _chat_call(reply: Reply, tokens: Tokens) -> Json:
    function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
    return {"index": 0, "id": f"call_{tokens.input}", "type": "function", "function": function}


def _completion(asked: Asked, tokens: Tokens, kind: str, **more: object) -> Json:
    return {"id": f"chatcmpl-{tokens.input}", "object": kind, "created": 1767225600, "model": asked.model, **more}


def _whole_chat(asked: Asked, reply: Reply, tokens: Tokens) -> Json:
    message: Json = {"role": "assistant", "content": "".join(reply.pieces) or None}
    if reply.tool:
        message["tool_calls"] = [_chat_call(reply, tokens)]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if reply.tool else "stop"}
    return _completion(asked, tokens, "chat.completion", choices=[choice], usage=_chat_usage(tokens))


def _chat_events(asked: Asked, reply: Reply, tokens: Tokens) -> Iterator[tuple[str, Json]]:
    def chunk(delta: Json, reason: str | None = None) -> tuple[str, Json]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return "", _completion(asked, tokens, "chat.completion.chunk", choices=[choice])

    yield chunk({"role": "assistant", "content": ""})
    for piece in reply.pieces:
        yield chunk({"content": piece})
    if reply.tool:
        yield chunk({"tool_calls": [_chat_call(reply, tokens)]})
    yield chunk({}, "tool_calls" if reply.tool else "stop")
    yield "", _completion(asked, tokens, "chat.completion.chunk", choices=[], usage=_chat_usage(tokens))


# --- OpenAI's responses


def _read_responses(_path: str, body: Json) -> Asked:
    given = body.get("input")
    items: list[Json] = given if isinstance(given, list) else [{"role": "user", "content": given or ""}]
    return Asked(
        body["model"],
        body.get("stream") is True,
        _last([item for item in items if "content" in item], "user"),
        {tool["name"]: tool.get("parameters", {}) for tool in body.get("tools") or [] if "name" in tool},
        bool(items) and str(items[-1].get("type")).endswith("_output"),
        bool(items) and items[-1].get("type") == "compaction_trigger",
    )


def _item(asked: Asked, reply: Reply, tokens: Tokens) -> Json:
    if asked.is_compaction:
        return {"type": "compaction", "id": f"cmp_{tokens.input}", "encrypted_content": "bWFkZSB1cA=="}
    if reply.tool:
        call = {"type": "function_call", "id": f"fc_{tokens.input}", "call_id": f"call_{tokens.input}"}
        return call | {"name": reply.tool, "arguments": json.dumps(reply.arguments), "status": "completed"}
    text = {"type": "output_text", "text": "".join(reply.pieces), "annotations": []}
    message = {"type": "message", "id": f"msg_{tokens.input}", "role": "assistant"}
    return message | {"content": [text], "status": "completed"}


def _response(asked: Asked, tokens: Tokens, status: str, output: list[Json]) -> Json:
    response: Json = {"id": f"resp_{tokens.input}", "object": "response", "created_at": 1767225600, "status": status}
    usage = {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens.input + tokens.output,
    }
    common = {"model": asked.model, "output": output, "parallel_tool_calls": True, "tools": [], "tool_choice": "auto"}
    return response | common | {"usage": usage if status == "completed" else None}


def _whole_response(asked: Asked, reply: Reply, tokens: Tokens) -> Json:
    return _response(asked, tokens, "completed", [_item(asked, reply, tokens)])


def response_events(asked: Asked, reply: Reply, tokens: Tokens) -> Iterator[tuple[str, Json]]:
    """Yield the events of a response, which are the same over a WebSocket."""
    numbers = iter(range(1000))

    def event(kind: str, **more: object) -> tuple[str, Json]:
        return kind, {"type": kind, "sequence_number": next(numbers), **more}

    item = _item(asked, reply, tokens)
    at = {"item_id": item["id"], "output_index": 0}
    yield event("response.created", response=_response(asked, tokens, "in_progress", []))
    if asked.is_compaction:
        yield event("response.output_item.added", output_index=0, item=item)
    elif reply.tool:
        begun = item | {"arguments": "", "status": "in_progress"}
        yield event("response.output_item.added", output_index=0, item=begun)
        yield event("response.function_call_arguments.delta", **at, delta=item["arguments"])
        yield event("response.function_call_arguments.done", **at, arguments=item["arguments"])
    else:
        part = {"type": "output_text", "text": "", "annotations": []}
        yield event("response.output_item.added", output_index=0, item=item | {"content": [], "status": "in_progress"})
        yield event("response.content_part.added", **at, content_index=0, part=part)
        for piece in reply.pieces:
            yield event("response.output_text.delta", **at, content_index=0, delta=piece)
        yield event("response.output_text.done", **at, content_index=0, text="".join(reply.pieces))
        yield event("response.content_part.done", **at, content_index=0, part=item["content"][0])
    yield event("response.output_item.done", output_index=0, item=item)
    yield event("response.completed", response=_response(asked, tokens, "completed", [item]))


# --- Google's generateContent


def _read_generate(path: str, body: Json) -> Asked:
    found = re.search(r"/models/([^/:]+):", path)
    asked = body.get("request", body)
    contents = asked["contents"]
    declared = [one for tool in asked.get("tools") or [] for one in tool.get("functionDeclarations") or []]
    return Asked(
        found.group(1) if found else body["model"],
        "streamGenerateContent" in path,
        _last(contents, "user", "parts"),
        {one["name"]: one.get("parametersJsonSchema") or one.get("parameters") or {} for one in declared},
        any("functionResponse" in part for part in contents[-1]["parts"]),
    )


def _generated(asked: Asked, tokens: Tokens, part: Json, reason: str | None, *, counted: bool = True) -> Json:
    usage = {"promptTokenCount": tokens.input, "totalTokenCount": tokens.input + tokens.output}
    candidate: Json = {"content": {"role": "model", "parts": [part]}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    if counted:
        usage["candidatesTokenCount"] = tokens.output
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": asked.model}


def _function_call(reply: Reply) -> Json:
    return {"functionCall": {"name": reply.tool, "args": reply.arguments}}


def _whole_generated(asked: Asked, reply: Reply, tokens: Tokens) -> Json:
    part = _function_call(reply) if reply.tool else {"text": "".join(reply.pieces)}
    return _generated(asked, tokens, part, "STOP")


def _generated_events(asked: Asked, reply: Reply, tokens: Tokens) -> Iterator[tuple[str, Json]]:
    if reply.tool:
        yield "", _generated(asked, tokens, _function_call(reply), "STOP")
        return
    for piece in reply.pieces[:-1]:
        yield "", _generated(asked, tokens, {"text": piece}, None, counted=False)
    yield "", _generated(asked, tokens, {"text": reply.pieces[-1]}, "STOP")


def _wrapped(asked: Asked, reply: Reply, tokens: Tokens) -> Iterator[tuple[str, Json]]:
    for name, data in _generated_events(asked, reply, tokens):
        yield name, {"response": data}


DIALECTS: Final = (
    Dialect(re.compile(r"/messages$"), _read_messages, _whole_message, _message_events, named=True),
    Dialect(re.compile(r"/chat/completions$"), _read_chat, _whole_chat, _chat_events, done=True),
    Dialect(re.compile(r"/responses(?:/compact)?$"), _read_responses, _whole_response, response_events, named=True),
    Dialect(
        re.compile(r"/v1internal:(?:streamG|g)enerateContent$"),
        _read_generate,
        lambda asked, reply, tokens: {"response": _whole_generated(asked, reply, tokens)},
        _wrapped,
    ),
    Dialect(re.compile(r":(?:streamG|g)enerateContent$"), _read_generate, _whole_generated, _generated_events),
)
"""The first whose pattern is found in a request's path answers it."""
