"""The reading of one exchange: its bytes are counted, decoded, framed and parsed, and at the end make one row.

It keeps of the bodies only what the columns need, and the request's body until it is complete and read.
"""

import dataclasses
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from llm_metrics_proxy.addon.framing import ALIKE, Event, ServerSentEvents
from llm_metrics_proxy.addon.framing.abridging import Abridged
from llm_metrics_proxy.addon.framing.body import Body, framing_of
from llm_metrics_proxy.addon.framing.json_framing import Ignored, Whole, WholeOrEvents
from llm_metrics_proxy.addon.headers import Headers, error_type, response_columns, server_timing
from llm_metrics_proxy.addon.outcomes import STREAM_TRUNCATED, UNREACHED, Cause
from llm_metrics_proxy.addon.providers.decode import Unparsed
from llm_metrics_proxy.addon.providers.errors import ProviderError, failure_in, read_error, value_of
from llm_metrics_proxy.addon.providers.format import Answer, Output, Request, WireFormat
from llm_metrics_proxy.addon.providers.repeats import Repeats
from llm_metrics_proxy.addon.providers.values import count, text
from llm_metrics_proxy.addon.quota.stated import Stated, body_of_limits, headers_of_limits
from llm_metrics_proxy.addon.row import Ending, Opening, Row
from llm_metrics_proxy.recorder.events import CompletionRequest

# What OpenAI ends a stream with, and gateways other formats' streams; an event may also be empty.
_MARKS = (b"[DONE]", b"")
_LONGEST_MARK = 16
_DISABLED = "disable"
_NONE = Output.NONE
_NO_STREAMS = (Whole, Ignored, WholeOrEvents)


class Reading:
    """The reading of one exchange, whose parts come in the order of its methods."""

    def __init__(self, opening: Opening) -> None:
        self._row = Row(opening)
        self._format: WireFormat = opening.route.speaks
        self._known_host = opening.route.known_host
        self._is_later = opening.route.later is not None
        self._wall_at_0 = opening.wall - opening.at
        self.stated: Stated | None = None
        """The limits of its key that the answer states."""
        self._path_model = opening.route.model
        self._asks_by_header = opening.headers.get(self._format.stream_header, _DISABLED) != _DISABLED
        self._call = Ending(opening.at)
        self._timing = self._call.timing
        # What takes the answer's payloads. No bound method: this object would be garbage in a cycle.
        self._take: Callable[..., None] = Reading._read_whole
        self._question = Abridged()
        self._asked = Body(opening.headers.get("content-encoding", ""), self._question)
        self._answered: Body | None = None
        self._repeats: Repeats | None = None
        self._is_whole = False
        """The answer's framing has one payload, which its end completes."""
        self._undecided: WholeOrEvents | None = None
        self._status: int | None = None
        self._promised = 0  # bytes of the answer, by its Content-Length
        self._error_type: str | None = None
        self._request_read = False
        self._stopped: str | None = None
        self.faults: set[str] = self._row.faults
        """Names of the counters that the exchange adds 1 to."""

    @property
    def proven(self) -> bool:
        """The request's body is that of an LLM's API."""
        asked = self._call.request
        return asked.recognised and (asked.model or self._path_model) is not None

    def request_body(self, pieces: list[bytes]) -> None:
        """Take pieces of the request's body, as on the wire."""
        self._asked.size += sum(map(len, pieces))
        for piece in pieces:
            self._asked.feed(piece)  # a whole body is one payload, and complete only at its end

    def request_end(self, at: int) -> None:
        """The request's body is complete, since `at`."""
        self._timing.uploaded = at
        self._read_request()

    def answer_head(self, status: int, headers: Headers, at: int) -> None:
        """The answer's status and headers have come."""
        self._status = status
        if (of_limits := headers_of_limits(headers)) is not None:
            self.stated = Stated(self._wall_at_0 + at, of_limits)
        self._promised = count(headers.get("content-length", "")) or 0
        self._error_type = error_type(headers)
        call = self._call
        call.columns |= response_columns(headers)
        if (timing := server_timing(headers)) is not None:
            call.answer.learn(timing=timing)
        self._format.head(headers, call.answer)
        streams = call.request.is_streaming and not _is_error(status)
        framing = framing_of(headers.get("content-type", ""), self._format.json_stream, streams=streams)
        self._undecided = framing if isinstance(framing, WholeOrEvents) else None
        call.streamed = not isinstance(framing, _NO_STREAMS)
        if _is_error(status):
            self._take = Reading._read_error
        elif self._undecided is not None:
            self._take = Reading._read_as_it_turns_out
        elif call.streamed:
            self._take = Reading._read_stream
        self._answered = Body(headers.get("content-encoding", ""), framing)
        if self._format.free is not None and type(framing) is ServerSentEvents:
            self._repeats = Repeats(framing, self._format.free)
        self._is_whole = type(framing) is Whole
        if self._stopped:
            self._answered.stop(self._stopped)

    def answer_body(self, pieces: list[bytes], moments: list[int]) -> None:
        """Take pieces of the answer's body, as on the wire, each with when it came."""
        body = self._answered
        if body is None:
            return
        body.size += sum(map(len, pieces))
        if self._timing.first_byte is None:
            self._timing.first_byte = moments[0]
        if self._is_whole:
            for piece in pieces:
                body.feed(piece)  # one payload, and complete only at its end
        else:
            self._take(self, body.feed_all(pieces, moments), cut=False)

    def stop(self, fault: str) -> None:
        """Read the bodies no further; they are still counted."""
        self._stopped = fault
        for body in (self._asked, self._answered):
            if body is not None:
                body.stop(fault)

    def finish(
        self, cause: Cause, at: int, reason: str, *, last_activity: int, connect_ms: float | None
    ) -> CompletionRequest | None:
        """Make the row; None if the request never proved to be an LLM's, or its answer is not the final one.

        See `Exchange.finish`.
        """
        complete = cause is Cause.COMPLETE
        if not self._request_read:
            self._read_request(cut=not complete)
        if not (self._known_host or self.proven):
            return None
        call, body = self._call, self._answered
        if body is not None:
            self._take(self, [(name, payload, last_activity) for name, payload in body.finish()], cut=not complete)
        self.faults |= {part.fault for part in (self._asked, body) if part is not None and part.fault}
        if self._is_later and not call.answer.is_final:
            return None
        call.cut = self._is_cut(cause)
        call.status = cause.status_without_answer if self._status is None else self._status
        call.error = self._failure(cause, reason)
        call.columns |= {
            "connect_ms": connect_ms,
            "request_bytes": self._asked.size,
            "response_bytes": body.size if body is not None else None,
        }
        if self._is_later:
            call.streamed = False  # the times of a fetch say nothing of the call
        elif call.streamed and not call.request.recognised:  # a request that could not be read may have asked for it
            call.columns["is_streaming"] = True
        return self._row.make(call, at)

    def _is_cut(self, cause: Cause) -> bool:
        """Tell whether the client lacks a part of the answer.

        A stream is whole once its own end has come, whatever HTTP says. An answer that is none is whole where HTTP says
        so; but a client that leaves by itself, after all that was promised, needed no more.
        """
        ended, body = self._call.answer.ended, self._answered
        if self._call.streamed:
            unread = body is not None and body.fault is not None  # then nobody knows whether the stream's end came
            return not ended and (cause is not Cause.COMPLETE or (self._format.has_end and not unread))
        if cause is not Cause.CLIENT_DISCONNECT:
            return cause is not Cause.COMPLETE
        return not ended or body is None or body.size < self._promised

    def _read_request(self, *, cut: bool = False) -> None:
        self._request_read = True
        if self._is_later:
            return
        if self._asked.fault:
            self.faults.add(self._asked.fault)
        for _, body in self._asked.finish():
            self._call.quotable = self._question.quotable
            try:
                asked = self._format.request(body)
                self._call.request = replace(asked, is_streaming=True) if self._asks_by_header else asked
            except Unparsed:
                self._call.request = Request()
                self._note_unparsed(cut=cut)

    def _read_error(self, events: Iterable[Event], *, cut: bool) -> None:  # noqa: ARG002 - as of the others
        for _, payload, at in events:
            self._call.answer.error = read_error(payload) or self._call.answer.error
            if of_limits := body_of_limits(payload):
                self.stated = Stated(self._wall_at_0 + at, self.stated.headers if self.stated else {}, of_limits)

    def _read_whole(self, events: Iterable[Event], *, cut: bool) -> None:
        for _, payload, _ in events:
            try:
                self._read_one(payload, self._call.answer)
            except Unparsed:
                self._note_unparsed(cut=cut)

    def _read_as_it_turns_out(self, events: Iterable[Event], *, cut: bool) -> None:
        events = list(events)
        self._call.streamed = self._undecided is not None and self._undecided.streams
        read = self._read_stream if self._call.streamed else self._read_whole
        read(events, cut=cut)

    def _read_one(self, payload: bytes, answer: Answer) -> None:
        self._format.whole(payload, answer)
        answer.ended = True
        if answer.error is None and (failure := failure_in(payload, finished=answer.finish_reason is not None)):
            answer.fail(failure)

    def _read_stream(self, events: Iterable[Event], *, cut: bool) -> None:
        timing, repeats = self._call.timing, self._repeats
        outputs: list[int] = []
        before = _NONE
        if repeats is not None:
            repeats.begin()
        for name, payload, at in events:
            if repeats is not None and name is ALIKE:
                kind = repeats.kind
                outputs += repeats.moments
            else:
                kind = self._read_event(name, payload, cut=cut)
                if not kind:
                    continue
                outputs.append(at)
            if kind is not before:
                before = kind
                timing.turn(kind, at)
        timing.outputs.add_all(outputs)

    def _read_event(self, name: bytes, payload: bytes, *, cut: bool) -> Output:
        answer, kind = self._call.answer, _NONE
        try:
            if len(payload) <= _LONGEST_MARK and payload.strip() in _MARKS:
                answer.ended = answer.ended or (b"DONE" in payload and not self._format.has_end)
            elif name == b"error":
                answer.fail(value_of(payload))
            else:
                kind = self._format.event(name, payload, answer)
        except Unparsed:
            self._note_unparsed(cut=cut)
        if self._repeats is not None:
            self._repeats.note(name, payload, kind, answer)
        return kind

    def _note_unparsed(self, *, cut: bool) -> None:
        if not cut:  # what a cut leaves unfinished was never meant to be read
            self.faults.add("unparsed")

    def _failure(self, cause: Cause, reason: str) -> ProviderError | None:
        said = self._call.answer.error
        if self._status is not None and not 200 <= self._status < 300:  # noqa: PLR2004 - RFC 9110: successful
            fallback = self._error_type or f"http_{self._status}"
        elif said is not None:
            fallback = "error"
        elif self._status is None or self._call.cut:
            fallback = STREAM_TRUNCATED if cause is Cause.COMPLETE else cause.value
        else:
            return None
        if said is None:
            return ProviderError(type=fallback, message=text(reason) if cause in UNREACHED else None)
        return dataclasses.replace(said, type=said.type or fallback)


def _is_error(status: int | None) -> bool:
    return status is not None and status >= 400  # noqa: PLR2004 - RFC 9110: client and server errors
