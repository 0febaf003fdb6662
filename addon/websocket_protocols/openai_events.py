"""OpenAI's events over a WebSocket: the Responses API (also Codex), and Realtime, which Azure and xAI speak too.

A client asks with `response.create`; the server answers with `response.created`, deltas, and an end that holds the
whole response with its usage. In Realtime a server that detects the end of speech answers without being asked: then
the response begins with its `response.created`.
https://platform.openai.com/docs/api-reference/realtime-server-events
"""

import itertools
from collections import deque
from typing import Any

import msgspec

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
_ABANDONED = "abandoned"  # the counter of responses that were given up, to bound what is kept


class _Identified(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None
    max_output_tokens: Any = None


class _Message(msgspec.Struct, gc=False):
    type: Any = None
    event_id: Any = None
    response_id: Any = None
    response: _Identified | None = None
    session: _Identified | None = None
    error: Any = None
    status: Any = None
    rate_limits: Any = None


_MESSAGE = msgspec.json.Decoder(_Message)
_ENDS = ("response.done", "response.completed", "response.incomplete", "response.failed", "response.cancelled")
_REMAINING = {"requests": "rate_limit_remaining_requests", "tokens": "rate_limit_remaining_tokens"}


class Realtime(Session):
    """Responses are told apart by their ids, since a session may have several at once."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._asked: deque[tuple[Turn, str | None]] = deque()
        self._open: dict[str, Turn] = {}
        self._numbers = itertools.count()
        self._model: str | None = None

    def _from_client(self, message: Message) -> list[CompletionRequest]:
        said = decoded(_MESSAGE, message.readable)
        if said.type == "response.create":
            turn = Turn(message.at, self._request(message.readable, said), len(message.whole))
            turn.call.quotable = quotable(message.whole)
            self._asked.append((turn, text(said.event_id)))
            if len(self._asked) > _MOST_OPEN:
                self._asked.popleft()
                self.faults.add(_ABANDONED)
        return []

    def _from_server(self, message: Message) -> list[CompletionRequest]:
        said, at = decoded(_MESSAGE, message.readable), message.at
        kind = said.type if isinstance(said.type, str) else ""
        if said.session is not None:
            self._model = text(said.session.model) or self._model
        if kind == "response.created":
            self._begin(said, at)
        if kind == "error":
            return self._fail(message, said)
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
        turns = [*self._open.values(), *(turn for turn, _ in self._asked)]
        self._open.clear()
        self._asked.clear()
        return turns

    def _request(self, data: bytes, said: _Message) -> Request:  # noqa: ARG002 - what Responses needs
        options = said.response or _Identified()
        return Request(model=text(options.model), max_tokens=integer(options.max_output_tokens))

    def _begin(self, said: _Message, at: int) -> None:
        turn = self._asked.popleft()[0] if self._asked else Turn(at, Request(), 0)
        name = _id_of(said) or f"unnamed {next(self._numbers)}"
        overwritten = self._open.pop(name, None)
        self._open[name] = turn
        if overwritten is not None or len(self._open) > _MOST_OPEN:  # a server that never ends its responses
            if overwritten is None:
                del self._open[next(iter(self._open))]
            self.faults.add(_ABANDONED)

    def _turn(self, said: _Message) -> Turn | None:
        """Find the response that a message belongs to: the one that it names, or else the only one."""
        named = _id_of(said)
        if named or len(self._open) != 1:
            return self._open.get(named)
        return next(iter(self._open.values()))

    def _forget(self, turn: Turn) -> None:
        self._open = {key: other for key, other in self._open.items() if other is not turn}

    def _fail(self, message: Message, said: _Message) -> list[CompletionRequest]:
        """An error ends the request that it names, or else the one that waits; in Realtime all others go on."""
        named = text(said.error.get("event_id")) if isinstance(said.error, dict) else None
        for asked in self._asked:
            if named is None or asked[1] == named:
                self._asked.remove(asked)
                return [self._refused(asked[0], message, said)]
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

    def _request(self, data: bytes, said: _Message) -> Request:  # noqa: ARG002 - what Realtime needs
        return RESPONSES.request(data)

    def _fail(self, message: Message, said: _Message) -> list[CompletionRequest]:
        if turns := self._unfinished():
            first, *others = turns
            self._asked.extend((turn, None) for turn in others)
            return [self._refused(first, message, said)]
        return []


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
