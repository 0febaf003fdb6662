"""A WebSocket with an LLM's API: many calls on one connection, one row for each response.

A session is told every message, whole, with who sent it and when, and returns the rows of the responses that the
message ended. Its protocol, a file beside this one, knows what the messages mean. No message is kept. Like an exchange,
a session does no I/O and reads no clock; and as with an exchange, messages are noted where they pass and read later
(inflight.py).
"""

import dataclasses
from collections.abc import Iterable

import msgspec

from llm_metrics_proxy.addon.callers.agents import PREWARM
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.providers.decode import Unparsed
from llm_metrics_proxy.addon.providers.errors import ProviderError
from llm_metrics_proxy.addon.providers.format import Output, Request
from llm_metrics_proxy.addon.row import Ending, Opening, Row
from llm_metrics_proxy.addon.websocket_protocols.message import Message
from llm_metrics_proxy.recorder.events import CompletionRequest


class Turn:
    """One response in flight."""

    __slots__ = ("call", "received", "sent")

    def __init__(self, at: int, request: Request, sent: int) -> None:
        self.call = Ending(at)
        self.call.request = request
        self.call.streamed = True
        self.call.status = 200
        self.sent = sent
        self.received = 0

    def heard(self, message: Message) -> None:
        """A message that belongs to this response has come."""
        self.received += len(message.whole)
        if self.call.timing.first_byte is None:
            self.call.timing.first_byte = message.at

    def output(self, kind: Output, at: int) -> None:
        """Note what a message carried."""
        if kind:
            self.call.timing.output(kind, at)


class Session:
    """The part that all protocols share: rows, and the end of a connection."""

    def __init__(self, opening: Opening) -> None:
        self._row = Row(opening)
        self._known_host = opening.route.known_host
        self._began = opening.at
        self._asked_model: str | None = opening.route.model
        self.unread = 0
        """Bytes of its messages that were noted and not read yet."""
        self.faults: set[str] = self._row.faults
        """Names of the counters that this session adds 1 to."""

    def message(self, message: Message) -> list[CompletionRequest]:
        """Take a message that can be read; return the rows of the responses that it ended."""
        try:
            return self._calls(self._from_client(message) if message.from_client else self._from_server(message))
        except Unparsed:
            self.faults.add("unparsed")
            return []

    def not_opened(self, status: int, error_type: str, at: int) -> list[CompletionRequest]:
        """The upgrade failed, and the client got `status`: one row, where the host is an LLM's for certain.

        None where the client goes on by HTTP: nothing was asked yet, and the call that follows has a row of its own.
        """
        if not self._known_host:
            return []
        if self._is_no_call(status):
            self.faults.add("upgrades_refused")
            return []
        turn = Turn(self._began, Request(), 0)
        turn.call.status = status
        return [self._end(turn, at, ProviderError(type=error_type))]

    def finish(self, cause: Cause, at: int) -> list[CompletionRequest]:
        """The connection has ended: return the rows of the responses that had not."""
        return self._calls(
            self._end(turn, at, ProviderError(type=cause.value), cut=True) for turn in self._unfinished()
        )

    def _calls(self, rows: Iterable[CompletionRequest]) -> list[CompletionRequest]:
        """Leave out prewarms that failed: they asked for nothing, and the call that follows has a row of its own."""
        calls = []
        for row in rows:
            if row.request_kind == PREWARM and not row.success:
                self.faults.add("prewarms_failed")
            else:
                calls.append(row)
        return calls

    def _is_no_call(self, status: int) -> bool:
        """Tell whether a client whose upgrade failed makes its call by other means."""
        del status
        return False

    def _from_client(self, message: Message) -> list[CompletionRequest]:
        raise NotImplementedError

    def _from_server(self, message: Message) -> list[CompletionRequest]:
        raise NotImplementedError

    def _unfinished(self) -> list[Turn]:
        """Take all responses that have begun, or were asked for."""
        raise NotImplementedError

    def _end(self, turn: Turn, at: int, error: ProviderError | None, *, cut: bool = False) -> CompletionRequest:
        call = turn.call
        call.cut, call.error = cut, error
        if error is not None and error.type is None:
            call.error = dataclasses.replace(error, type=error.code or "error")
        call.request = msgspec.structs.replace(call.request, is_streaming=True)
        call.columns |= {"request_bytes": turn.sent, "response_bytes": turn.received}
        return self._row.make(call, at)
