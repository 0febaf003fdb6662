"""OpenAI's events over a WebSocket: the Responses API (also Codex), and Realtime, which Azure and xAI speak too.

A client asks with `response.create`; the server answers with `response.created`, deltas, and an end that holds the
whole response with its usage. In Realtime a server that detects the end of speech answers without being asked: then
the response begins with its `response.created`. Several responses at once are told apart by their ids, and by the lane
(`stream_id`) of a message that has none.
A model of its own transcribes speech, and is billed beside the responses: each transcript with a usage is a call, which
nobody asked to stream.
https://platform.openai.com/docs/api-reference/realtime-server-events
"""

import itertools
from collections import deque
from http import HTTPStatus
from typing import Any, NamedTuple, override

import msgspec

from llm_metrics_proxy.addon.callers.agents import caller_of
from llm_metrics_proxy.addon.callers.fields import whole_field
from llm_metrics_proxy.addon.privacy.quotation import quotable
from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.errors import ProviderError, read_error
from llm_metrics_proxy.addon.providers.format import Request
from llm_metrics_proxy.addon.providers.openai_responses import RESPONSES
from llm_metrics_proxy.addon.providers.values import integer, text
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.addon.websocket_protocols.message import Message
from llm_metrics_proxy.addon.websocket_protocols.session import Session, Turn
from llm_metrics_proxy.recorder.events import CompletionRequest

USAGE = RESPONSES.usage_keys
_MOST_OPEN = 256
_CALLER = "client_metadata"
_ABANDONED = "abandoned"  # the counter of responses that were given up, to bound what is kept


class _Identified(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None
    max_output_tokens: Any = None


class _SessionOptions(msgspec.Struct, gc=False):
    model: Any = None
    audio: Any = None
    input_audio_transcription: Any = None  # before audio had an object of its own


class _Message(msgspec.Struct, gc=False):
    type: Any = None
    event_id: Any = None
    stream_id: Any = None
    response_id: Any = None
    item_id: Any = None
    response: _Identified | None = None
    session: _SessionOptions | None = None
    usage: Any = None
    error: Any = None
    status: Any = None
    rate_limits: Any = None


_MESSAGE = msgspec.json.Decoder(_Message)
_ENDS = ("response.done", "response.completed", "response.incomplete", "response.failed", "response.cancelled")
_TRANSCRIPT = "conversation.item.input_audio_transcription."
_REMAINING = {"requests": "rate_limit_remaining_requests", "tokens": "rate_limit_remaining_tokens"}


class Realtime(Session):
    """Responses are told apart by their ids, since a session may have several at once."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._asked: deque[_Asked] = deque()
        self._open: dict[str, Turn] = {}
        self._lanes: dict[str, str] = {}  # the response that a lane has open
        self._transcripts = Transcripts()
        self._numbers = itertools.count()
        self._model: str | None = None

    def _from_client(self, message: Message) -> list[CompletionRequest]:
        said = decoded(_MESSAGE, message.readable)
        if said.type == "response.create":
            turn = Turn(message.at, self._request(message.readable, said), len(message.whole))
            turn.call.quotable = quotable(message.whole)
            if message.readable is not message.whole and (told := whole_field(message.whole, _CALLER)) is not None:
                asked = turn.call.request
                turn.call.request = msgspec.structs.replace(asked, said={**asked.said, _CALLER: told})
            self._asked.append(_Asked(turn, text(said.event_id), text(said.stream_id)))
            if len(self._asked) > _MOST_OPEN:
                self._asked.popleft()
                self.faults.add(_ABANDONED)
        return []

    def _from_server(self, message: Message) -> list[CompletionRequest]:
        said, at = decoded(_MESSAGE, message.readable), message.at
        kind = said.type if isinstance(said.type, str) else ""
        if said.session is not None:
            self._model = text(said.session.model) or self._model
            self._transcripts.model = _transcriber(said.session) or self._transcripts.model
        if kind == "response.created":
            self._begin(said, at)
        if kind == "error":
            return self._fail(message, said)
        if kind == "input_audio_buffer.committed" or kind.startswith(_TRANSCRIPT):
            transcript = self._transcripts.heard(said, kind, message)
            return [super()._end(transcript, message.at, None)] if transcript is not None else []
        turn = self._turn(said)
        if turn is None:
            return []
        turn.heard(message)
        if kind == "rate_limits.updated":
            turn.call.columns |= _remaining(said.rate_limits)
        turn.output(RESPONSES.event(b"", message.readable, turn.call.answer), at)
        if kind not in _ENDS:
            return []
        self._forget(turn)
        turn.call.answer.ended = True
        return [self._end(turn, at, turn.call.answer.error)]

    def _unfinished(self) -> list[Turn]:
        turns = [*self._open.values(), *(asked.turn for asked in self._asked)]
        self._open.clear()
        self._lanes.clear()
        self._asked.clear()
        return turns

    def _request(self, data: bytes, said: _Message) -> Request:  # noqa: ARG002 - what Responses needs
        options = said.response or _Identified()
        return Request(model=text(options.model), max_tokens=integer(options.max_output_tokens))

    def _begin(self, said: _Message, at: int) -> None:
        lane = text(said.stream_id)
        asked = next((one for one in self._asked if one.lane == lane), None)
        if asked is not None:
            self._asked.remove(asked)
        turn = asked.turn if asked is not None else Turn(at, Request(), 0)
        name = _id_of(said) or f"unnamed {next(self._numbers)}"
        if lane is not None:
            self._lanes[lane] = name
        overwritten = self._open.pop(name, None)
        self._open[name] = turn
        if overwritten is not None or len(self._open) > _MOST_OPEN:  # a server that never ends its responses
            if overwritten is None:
                del self._open[next(iter(self._open))]
            self.faults.add(_ABANDONED)

    def _turn(self, said: _Message) -> Turn | None:
        """Find the response that a message belongs to: the one that it or its lane names, or else the only one."""
        lane = text(said.stream_id)
        named = _id_of(said) or self._lanes.get(lane or "", "")
        if named or (lane is not None and self._lanes) or len(self._open) != 1:
            return self._open.get(named)
        return next(iter(self._open.values()))

    def _forget(self, turn: Turn) -> None:
        self._open = {key: other for key, other in self._open.items() if other is not turn}
        self._lanes = {lane: name for lane, name in self._lanes.items() if name in self._open}

    def _fail(self, message: Message, said: _Message) -> list[CompletionRequest]:
        """An error ends the request that it names, or else the one that waits; in Realtime all others go on."""
        named = text(said.error.get("event_id")) if isinstance(said.error, dict) else None
        for asked in self._asked:
            if named is None or asked.event_id == named:
                self._asked.remove(asked)
                return [self._refused(asked.turn, message, said)]
        return []

    def _refused(self, turn: Turn, message: Message, said: _Message) -> CompletionRequest:
        turn.heard(message)
        if isinstance(said.status, int) and 100 <= said.status <= 999:  # noqa: PLR2004 - a status has three digits
            turn.call.status = said.status
        return self._end(turn, message.at, read_error(message.readable) or ProviderError(type="error"))

    def _end(self, turn: Turn, at: int, error: ProviderError | None, *, cut: bool = False) -> CompletionRequest:
        if turn.call.request.model is None and self._asked_model is None:
            turn.call.request = msgspec.structs.replace(turn.call.request, model=self._model)
        return super()._end(turn, at, error, cut=cut)


class Responses(Realtime):
    """The Responses API: requests hold all that they hold over HTTP, and an error ends the response."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._goes_on_by_http = caller_of(opening.headers).goes_on_by_http

    @override
    def _is_no_call(self, status: int) -> bool:
        return status == HTTPStatus.UPGRADE_REQUIRED or (
            self._goes_on_by_http and status != HTTPStatus.TOO_MANY_REQUESTS
        )

    def _request(self, data: bytes, said: _Message) -> Request:  # noqa: ARG002 - what Realtime needs
        return RESPONSES.request(data)

    def _fail(self, message: Message, said: _Message) -> list[CompletionRequest]:
        lane = text(said.stream_id)
        turn = self._turn(said) if lane is not None else next(iter(self._open.values()), None)
        if turn is not None:
            self._forget(turn)
        elif asked := next((one for one in self._asked if lane in (None, one.lane)), None):
            self._asked.remove(asked)
            turn = asked.turn
        return [self._refused(turn, message, said)] if turn is not None else []


class _Asked(NamedTuple):
    """A response that has not begun."""

    turn: Turn
    event_id: str | None
    lane: str | None


class Transcripts:
    """Transcripts of speech, each of which begins when its speech is complete."""

    def __init__(self) -> None:
        self.model: str | None = None
        """The model that transcribes."""
        self._open: dict[str, Turn] = {}

    def heard(self, said: _Message, kind: str, message: Message) -> Turn | None:
        """Take a message about an item of speech; return the transcript that it ended, if that has a usage."""
        item = text(said.item_id) or ""
        turn = self._open.get(item)
        if turn is None:
            turn = self._open[item] = Turn(message.at, Request(model=self.model), 0)
            if len(self._open) > _MOST_OPEN:  # a session without transcripts never ends one
                del self._open[next(iter(self._open))]
        if not kind.startswith(_TRANSCRIPT):
            return None
        turn.heard(message)
        if kind.endswith(".delta"):
            return None
        del self._open[item]
        if not isinstance(said.usage, dict):
            return None
        turn.call.answer.learn(usage=said.usage)
        turn.call.answer.ended = True
        turn.call.streamed = False
        turn.call.columns |= {"operation": "transcription", "model": self.model, "is_streaming": False}
        return turn


def _transcriber(session: _SessionOptions) -> str | None:
    """Return the model that transcribes a session's speech."""
    heard = session.audio.get("input") if isinstance(session.audio, dict) else None
    options = heard.get("transcription") if isinstance(heard, dict) else session.input_audio_transcription
    return text(options.get("model")) if isinstance(options, dict) else None


def _id_of(said: _Message) -> str:
    named = said.response_id if said.response is None else said.response.id
    return text(named) or ""


def _remaining(limits: object) -> dict[str, int]:
    found = {}
    for limit in limits if isinstance(limits, list) else ():
        if isinstance(limit, dict) and (column := _REMAINING.get(str(limit.get("name")))):
            remaining = integer(limit.get("remaining"))
            if remaining is not None:
                found[column] = remaining
    return found
