"""OpenAI's images and audio.

POST .../images/generations, /edits, /variations; .../audio/speech; .../audio/transcriptions, /translations. Requests
are JSON, or forms where a file goes along; answers are JSON, audio, or SSE streams of typed events.
https://platform.openai.com/docs/api-reference/images-streaming, .../audio
"""

import re
from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import (
    AUDIO_SECONDS,
    INPUT,
    INPUT_AUDIO,
    INPUT_AUDIO_SECONDS,
    INPUT_IMAGE,
    INPUT_TEXT,
    OUTPUT,
    OUTPUT_IMAGE,
    OUTPUT_TEXT,
    REASONING,
    TOTAL,
)
from llm_metrics_proxy.addon.providers.usage import Instead, Keys, OtherModel, Quantities, UsageKeys
from llm_metrics_proxy.addon.providers.values import has_value


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    stream_format: Any = None
    temperature: Any = None
    prompt: Any = None
    input: Any = None
    file: Any = None


class _Said(msgspec.Struct, gc=False):
    """A whole answer, or one event, which has a type."""

    type: Any = None
    model: Any = None
    delta: Any = None
    text: msgspec.Raw = msgspec.Raw()
    audio: msgspec.Raw = msgspec.Raw()
    b64_json: msgspec.Raw = msgspec.Raw()
    usage: Any = None
    svg_usage: Any = None
    error: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_SAID = msgspec.json.Decoder(_Said)

_FIELD_NAME = re.compile(rb'\bname="([^"]*)"')
_LONGEST_FIELD = 512

# The end of an event's type tells what it is: `transcript.text.delta`, `image_generation.completed`, ...
_FINAL = (".done", ".completed")
_WITH_OUTPUT = (".delta", ".segment", ".partial_image", ".completed")


_TOKENS: Keys = {
    "input_tokens": INPUT,
    "output_tokens": OUTPUT,
    "total_tokens": TOTAL,
    # Mistral, OpenRouter and other servers use the words of chat completions.
    "prompt_tokens": Instead(INPUT),
    "completion_tokens": Instead(OUTPUT),
}
_IMAGE_TOKENS: Keys = {
    "input_tokens_details": {"text_tokens": INPUT_TEXT, "image_tokens": INPUT_IMAGE},
    "output_tokens_details": {"text_tokens": OUTPUT_TEXT, "image_tokens": OUTPUT_IMAGE},
}
_IMAGES: Keys = {
    **_TOKENS,
    **_IMAGE_TOKENS,
    "svg_usage": OtherModel(  # of the model that draws vectors
        UsageKeys(
            {"input_tokens": INPUT, "output_tokens": OUTPUT, "reasoning_tokens": REASONING, "total_tokens": TOTAL}
        )
    ),
}
_AUDIO: Keys = {
    **_TOKENS,
    "input_token_details": {"text_tokens": INPUT_TEXT, "audio_tokens": INPUT_AUDIO},
    "seconds": AUDIO_SECONDS,  # of models whose transcriptions are paid by their length
    "prompt_audio_seconds": INPUT_AUDIO_SECONDS,  # Mistral's word for it
}


def _count_images(counts: Quantities) -> None:
    """Take all output for image where nothing tells it apart: a stream has details of its input alone."""
    if OUTPUT in counts and OUTPUT_TEXT not in counts and INPUT_IMAGE in counts:
        counts.setdefault(OUTPUT_IMAGE, counts[OUTPUT])


IMAGE_TOOL = UsageKeys({"input_tokens": INPUT, "output_tokens": OUTPUT, **_IMAGE_TOKENS}, settle=_count_images)
"""What a model uses that draws for another one."""


class OpenAIMedia(WireFormat):
    """Images (`image_generation`), `speech`, or `transcription`."""

    usage_keys = UsageKeys(_AUDIO)

    def __init__(self, operation: str, *, usage_keys: UsageKeys | None = None) -> None:
        self.operation = operation
        if usage_keys is not None:
            self.usage_keys = usage_keys

    def request(self, body: bytes) -> Request:
        """Read a request body, JSON or a form."""
        form = body.startswith(b"--")
        asked = msgspec.convert(_fields(body), _Request) if form else decoded(_REQUEST, body)
        return request_of(
            model=asked.model,
            stream=asked.stream is True or asked.stream == "true" or asked.stream_format == "sse",
            temperature=_number(asked.temperature) if form else asked.temperature,
            recognised=form or asked.prompt is not None or asked.input is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream; transcriptions may also be plain text."""
        if body.lstrip().startswith(b"{"):
            self._learn(decoded(_SAID, body), answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event."""
        said = decoded(_SAID, data)
        kind = said.type if isinstance(said.type, str) else name.decode("ascii", "replace")
        self._learn(said, answer)
        if kind.endswith(_FINAL):
            answer.ended = True
        has_output = said.delta or any(map(has_value, (said.text, said.audio, said.b64_json)))
        return Output.ANSWER if kind.endswith(_WITH_OUTPUT) and has_output else Output.NONE

    @staticmethod
    def _learn(said: _Said, answer: Answer) -> None:
        answer.learn(model=said.model, usage=said.usage)
        if said.svg_usage:
            answer.learn(usage={"svg_usage": said.svg_usage})
        if said.error:
            answer.fail({"error": said.error})


def _fields(body: bytes) -> dict[str, str]:
    """Return a multipart form's (RFC 7578) fields that are no files and at most 512 bytes long, name to value."""
    boundary = body[: body.find(b"\r\n")]
    found = {}
    if boundary.startswith(b"--"):
        for part in body.split(boundary)[1:]:
            head, separator, value = part.partition(b"\r\n\r\n")
            name = _FIELD_NAME.search(head)
            if separator and name and b"filename" not in head and len(value) <= _LONGEST_FIELD:
                found[name.group(1).decode(errors="replace")] = value.removesuffix(b"\r\n").decode(errors="replace")
    return found


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


IMAGES = OpenAIMedia("image_generation", usage_keys=UsageKeys(_IMAGES, settle=_count_images))
SPEECH = OpenAIMedia("speech")
TRANSCRIPTION = OpenAIMedia("transcription")
