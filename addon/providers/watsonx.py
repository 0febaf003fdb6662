"""IBM's watsonx.ai.

POST /ml/v1/text/chat and /text/chat_stream: chat completions, whose request names the model `model_id`.
POST .../text/generation and .../generation_stream: `input`, `parameters`; `results` with the counts, which a stream
repeats, the input's as 0. POST .../text/embeddings, .../text/rerank: `inputs`. A deployment stands in the path.
https://cloud.ibm.com/apidocs/watsonx-ai
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.openai_chat import OpenAIChat
from llm_metrics_proxy.addon.providers.quantities import INPUT, OUTPUT
from llm_metrics_proxy.addon.providers.usage import UsageKeys
from llm_metrics_proxy.addon.providers.values import integer, text


class _Parameters(msgspec.Struct, gc=False):
    max_new_tokens: Any = None
    temperature: Any = None
    top_p: Any = None


class _Request(msgspec.Struct, gc=False):
    model_id: Any = None
    input: Any = None
    inputs: Items = None
    parameters: _Parameters | None = None


class _Result(msgspec.Struct, gc=False):
    generated_text: Any = None
    generated_token_count: Any = None
    input_token_count: Any = None
    stop_reason: Any = None


class _Answer(msgspec.Struct, gc=False):
    model_id: Any = None
    results: list[_Result] | None = None
    input_token_count: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_ANSWER = msgspec.json.Decoder(_Answer)
_GOES_ON = "not_finished"


class WatsonxChat(OpenAIChat):
    """Chat completions; the path says whether they are streamed."""

    def __init__(self, *, stream: bool) -> None:
        super().__init__("chat")
        self._stream = stream

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        model = text(decoded(_REQUEST, body).model_id)
        return replace(super().request(body), model=model, is_streaming=self._stream)


class Watsonx(WireFormat):
    """Generation (`text_completion`), embeddings, or rerank."""

    usage_keys = UsageKeys({"input_token_count": INPUT, "generated_token_count": OUTPUT})

    def __init__(self, operation: str, *, stream: bool = False) -> None:
        self.operation = operation
        self._stream = stream

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        options = asked.parameters or _Parameters()
        return request_of(
            model=asked.model_id,
            stream=self._stream,
            max_tokens=(options.max_new_tokens,),
            temperature=options.temperature,
            top_p=options.top_p,
            recognised=(asked.inputs or asked.input) is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        self.event(b"", body, answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event."""
        del name
        said = decoded(_ANSWER, data)
        answer.learn(model=said.model_id)
        if (count := integer(said.input_token_count)) is not None:
            answer.learn(usage={"input_token_count": count})
        for one in (said.results or ())[:1]:
            counts = {"input_token_count": one.input_token_count, "generated_token_count": one.generated_token_count}
            answer.learn(usage={name: count for name, count in counts.items() if count is not None})
            if one.stop_reason and one.stop_reason != _GOES_ON:
                answer.learn(finish_reason=one.stop_reason)
                answer.ended = True
        return Output.ANSWER if any(one.generated_text for one in said.results or ()) else Output.NONE


CHAT = WatsonxChat(stream=False)
CHAT_STREAM = WatsonxChat(stream=True)
GENERATION = Watsonx("text_completion")
GENERATION_STREAM = Watsonx("text_completion", stream=True)
EMBEDDINGS = Watsonx("embeddings")
RERANK = Watsonx("rerank")
