"""Google's Live API over a WebSocket, on Gemini's hosts and on Vertex AI.

With an ephemeral token the method is called BidiGenerateContentConstrained.

The client's first message is `setup`. A turn has no number and no beginning of its own: it begins with the model's
first output, was asked for by the client's last content before that, and ends with `turnComplete`. Usage is the
turn's, not the session's. Keys are in camel case or with underscores, and frames may be binary.
https://ai.google.dev/api/live
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.errors import ProviderError, error_from
from llm_metrics_proxy.addon.providers.format import Output, Request, request_of
from llm_metrics_proxy.addon.providers.gemini import GENERATE, GenerationConfig, searches_of
from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.addon.websocket_protocols.message import Message
from llm_metrics_proxy.addon.websocket_protocols.session import Session, Turn
from llm_metrics_proxy.recorder.events import CompletionRequest

USAGE = GENERATE.usage_keys


class _Setup(msgspec.Struct, gc=False):
    model: Any = None
    generationConfig: GenerationConfig | None = None  # noqa: N815 - the wire's name
    generation_config: GenerationConfig | None = None


class _FromClient(msgspec.Struct, gc=False):
    setup: _Setup | None = None
    client_content: msgspec.Raw = msgspec.Raw()
    clientContent: msgspec.Raw = msgspec.Raw()  # noqa: N815 - the wire's names, here and below
    realtime_input: msgspec.Raw = msgspec.Raw()
    realtimeInput: msgspec.Raw = msgspec.Raw()  # noqa: N815
    tool_response: msgspec.Raw = msgspec.Raw()
    toolResponse: msgspec.Raw = msgspec.Raw()  # noqa: N815


class _Part(msgspec.Struct, rename="camel", gc=False):
    text: Any = None
    thought: Any = None
    inline_data: Any = None
    executable_code: Any = None


class _ModelTurn(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Content(msgspec.Struct, rename="camel", gc=False):
    model_turn: _ModelTurn | None = None
    output_transcription: Any = None
    interrupted: Any = None
    turn_complete: Any = None
    turn_complete_reason: Any = None
    grounding_metadata: msgspec.Raw = msgspec.Raw()


class _FromServer(msgspec.Struct, rename="camel", gc=False):
    server_content: _Content | None = None
    tool_call: Any = None
    usage_metadata: Any = None
    error: Any = None


_CLIENT = msgspec.json.Decoder(_FromClient)
_CONTENT = ("client_content", "clientContent", "realtime_input", "realtimeInput", "tool_response", "toolResponse")
_SERVER = msgspec.json.Decoder(_FromServer)
_NO_REASON = "TURN_COMPLETE_REASON_UNSPECIFIED"


class GeminiLive(Session):
    """One turn at a time."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._setup = Request()
        self._content: tuple[int, int] | None = None  # when the client's last content came, and its size
        self._turn: Turn | None = None

    def _from_client(self, message: Message) -> list[CompletionRequest]:
        said = decoded(_CLIENT, message.readable)
        if said.setup is not None:
            config = said.setup.generationConfig or said.setup.generation_config or GenerationConfig()
            self._setup = request_of(
                model=(text(said.setup.model) or "").rpartition("models/")[2],
                max_tokens=(config.maxOutputTokens, config.max_output_tokens),
                temperature=config.temperature,
                top_p=config.top_p if config.topP is None else config.topP,
                recognised=True,
            )
        if any(bytes(getattr(said, name)) for name in _CONTENT):
            self._content = (message.at, len(message.whole))
        return []

    def _from_server(self, message: Message) -> list[CompletionRequest]:
        said, at = decoded(_SERVER, message.readable), message.at
        content = said.server_content or _Content()
        output = Output.ANSWER if said.tool_call else _output(content)
        turn = self._turn
        # Usage that comes after its turn has ended begins no other.
        if turn is None and (output or said.error or (content.turn_complete is True and said.usage_metadata)):
            asked, sent = self._content or (at, 0)
            turn = self._turn = Turn(asked, self._setup, sent)
            self._content = None
        if turn is None:
            return []
        answer = turn.call.answer
        turn.heard(message)
        turn.output(output, at)
        answer.learn(usage=said.usage_metadata)
        answer.learn(usage=searches_of(content.grounding_metadata, answer.usage))
        if content.interrupted is True:
            answer.learn(finish_reason="interrupted")
        if content.turn_complete_reason != _NO_REASON:
            answer.learn(finish_reason=content.turn_complete_reason)
        if said.error:
            answer.error = error_from({"error": said.error}) or ProviderError(type="error")
        if content.turn_complete is not True and not said.error:
            return []
        answer.finish_reason = answer.finish_reason or "turnComplete"
        answer.ended = True
        self._turn = None
        return [self._end(turn, at, answer.error)]

    def _unfinished(self) -> list[Turn]:
        turn, self._turn = self._turn, None
        return [turn] if turn is not None else []


def _output(content: _Content) -> Output:
    transcription = content.output_transcription
    output = Output.ANSWER if isinstance(transcription, dict) and transcription.get("text") else Output.NONE
    for part in (content.model_turn and content.model_turn.parts) or ():
        if part.thought and part.text:
            output = max(output, Output.REASONING)
        elif part.text or part.inline_data or part.executable_code:
            output = Output.ANSWER
    return output
