"""Ollama's own API.

POST /api/chat with `messages`, /api/generate with `prompt`: one JSON object a line, unless `stream` is false; the last
line has `done` and the counts. Its durations are nanoseconds. /api/embed, /api/embeddings: one JSON answer.
https://docs.ollama.com/api
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.framing.json_framing import Lines
from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import INPUT, OUTPUT
from llm_metrics_proxy.addon.providers.usage import UsageKeys


class _Options(msgspec.Struct, gc=False):
    num_predict: Any = None
    temperature: Any = None
    top_p: Any = None


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    options: _Options | None = None
    messages: Items = None
    prompt: Items = None
    input: Items = None


class _Message(msgspec.Struct, gc=False):
    content: Any = None
    thinking: Any = None
    tool_calls: Any = None


class _Line(msgspec.Struct, gc=False):
    model: Any = None
    message: _Message | None = None
    response: Any = None
    thinking: Any = None
    done: Any = None
    done_reason: Any = None
    error: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    total_duration: Any = None
    load_duration: Any = None
    prompt_eval_duration: Any = None
    eval_duration: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_LINE = msgspec.json.Decoder(_Line)
_COUNTS = ("prompt_eval_count", "eval_count")
_DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


class Ollama(WireFormat):
    """Chat, generate, or embed."""

    has_end = True
    json_stream = Lines
    usage_keys = UsageKeys({"prompt_eval_count": INPUT, "eval_count": OUTPUT})

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        options = asked.options or _Options()
        subject = {"chat": asked.messages, "text_completion": asked.prompt}
        return request_of(
            model=asked.model,
            stream=self.operation != "embeddings" and asked.stream is not False,
            max_tokens=(options.num_predict,),
            temperature=options.temperature,
            top_p=options.top_p,
            messages=asked.messages if self.operation == "chat" else None,
            recognised=subject.get(self.operation, asked.input or asked.prompt) is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        self._learn(decoded(_LINE, body), answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one line."""
        del name
        line = decoded(_LINE, data)
        self._learn(line, answer)
        message = line.message
        if line.response or (message is not None and (message.content or message.tool_calls)):
            return Output.ANSWER
        return Output.REASONING if line.thinking or (message is not None and message.thinking) else Output.NONE

    @staticmethod
    def _learn(line: _Line, answer: Answer) -> None:
        answer.learn(model=line.model)
        if line.message is not None and line.message.tool_calls:
            answer.calls_tools = True
        if line.done is True or line.eval_count is not None or line.prompt_eval_count is not None:
            counts = {name: value for name in _COUNTS if (value := getattr(line, name)) is not None}
            durations = {name: value for name in _DURATIONS if (value := getattr(line, name)) is not None}
            answer.learn(finish_reason=line.done_reason, usage=counts, timing=durations)
            answer.ended = True
        if line.error:
            answer.fail({"error": line.error})


CHAT = Ollama("chat")
GENERATE = Ollama("text_completion")
EMBED = Ollama("embeddings")
