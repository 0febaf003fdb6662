"""One request in flight: it is told what passes and when, and at its end makes one row.

An exchange does no I/O, reads no clock and knows no mitmproxy: `at` is always nanoseconds of one monotonic clock.
It keeps of the bodies only what the columns need, and the request's body until it is complete and read.
"""

from collections.abc import Callable

from addon.body import Body
from addon.framings import framing_of
from addon.headers import Headers, error_type, response_columns, server_timing
from addon.json_framing import Ignored, Whole
from addon.outcomes import STREAM_TRUNCATED, UNREACHED, Cause
from addon.providers.decode import Unparsed
from addon.providers.errors import ProviderError, read_error, value_of
from addon.providers.format import Request, WireFormat
from addon.providers.values import text
from addon.quotation import quotable
from addon.row import Ending, Opening, Row
from recorder.events import CompletionRequest

# What OpenAI ends a stream with, and gateways other formats' streams; an event may also be empty.
_MARKS = (b"[DONE]", b"")
_LONGEST_MARK = 16


class Exchange:
    """One HTTP call of an LLM's API."""

    def __init__(self, opening: Opening) -> None:
        self._row = Row(opening)
        self._format: WireFormat = opening.route.speaks
        self._known_host = opening.route.known_host
        self._path_model = opening.route.model
        self._call = Ending(opening.at)
        self._timing, self._answer = self._call.timing, self._call.answer
        self._event, self._output = self._format.event, self._timing.output
        self._asked = Body(opening.headers.get("content-encoding", ""), Whole())
        self._answered: Body | None = None
        self._read: Callable[[bytes, bytes, int], None] = self._read_whole  # what takes a payload of the answer
        self._status: int | None = None
        self._error_type: str | None = None
        self.request_complete = False
        self.last_activity = opening.at
        self.connect_ms: float | None = None
        """TCP and TLS to the provider, if this request had to wait for them."""
        self.faults: set[str] = set()
        """Names of the counters that this exchange adds 1 to."""

    @property
    def answered(self) -> bool:
        """The answer's headers have come."""
        return self._status is not None

    @property
    def wanted(self) -> bool:
        """The request is an LLM's: the host says so, or the body does, once it is complete."""
        asked = self._call.request
        proven = asked.recognised and (asked.model or self._path_model) is not None
        return self._known_host or not self.request_complete or proven

    def request_chunk(self, data: bytes, at: int) -> None:
        """Take a piece of the request's body, as on the wire."""
        self.last_activity = at
        self._asked.size += len(data)
        self._asked.feed(data)  # a whole body is one payload, and complete only at its end

    def request_end(self, at: int) -> None:
        """The request's body is complete."""
        self._timing.uploaded = self.last_activity = at
        self._read_request()

    def answer_head(self, status: int, headers: Headers, at: int) -> None:
        """The answer's status and headers have come."""
        self.last_activity = at
        self._status = status
        self._error_type = error_type(headers)
        call = self._call
        call.columns |= response_columns(headers)
        call.answer.learn(timing=server_timing(headers))
        streams = call.request.is_streaming and not _is_error(status)
        framing = framing_of(headers.get("content-type", ""), self._format.json_stream, streams=streams)
        call.streamed = not isinstance(framing, Whole | Ignored)
        self._read = self._read_error if _is_error(status) else self._read_event if call.streamed else self._read_whole
        self._answered = Body(headers.get("content-encoding", ""), framing)

    def chunk(self, data: bytes, at: int) -> None:
        """Take a piece of the answer's body, as on the wire."""
        body = self._answered
        if body is None or not data:
            return
        self.last_activity = at
        body.size += len(data)
        if self._timing.first_byte is None:
            self._timing.first_byte = at
        read = self._read
        for name, payload in body.feed(data):
            try:
                read(name, payload, at)
            except Unparsed:
                self._note_unparsed(cut=False)

    def stop_reading(self, fault: str) -> None:
        """Read the bodies no further; times and bytes are still taken."""
        for body in (self._asked, self._answered):
            if body is not None:
                body.stop(fault)

    def finish(self, cause: Cause, at: int, reason: str = "") -> CompletionRequest | None:
        """End the exchange; None if the request never proved to be an LLM's.

        `reason` is what the transport says about a provider that could not be reached. May be called again if a
        parser raised: then nothing more is read.
        """
        complete = cause is Cause.COMPLETE
        if not self.request_complete:
            self._read_request(cut=not complete)
        if not self.wanted:
            return None
        call, body = self._call, self._answered
        if body is not None:
            for name, payload in body.finish():
                try:
                    self._read(name, payload, self.last_activity)
                except Unparsed:
                    self._note_unparsed(cut=not complete)
        self.faults |= {part.fault for part in (self._asked, body) if part is not None and part.fault}
        unread = body is not None and body.fault is not None  # then nobody knows whether the stream's end came
        truncated = call.streamed and self._format.has_end and not unread
        call.cut = not call.answer.ended and (not complete or truncated)
        call.status = cause.status_without_answer if self._status is None else self._status
        call.error = self._failure(cause, reason)
        call.columns |= {
            "connect_ms": self.connect_ms,
            "request_bytes": self._asked.size,
            "response_bytes": body.size if body is not None else None,
        }
        if call.streamed and call.request.model is None:  # a request that could not be read may have asked for it
            call.columns["is_streaming"] = True
        return self._row.make(call, at)

    def _read_request(self, *, cut: bool = False) -> None:
        self.request_complete = True
        if self._asked.fault:
            self.faults.add(self._asked.fault)
        for _, body in self._asked.finish():
            self._call.quotable = quotable(body)
            try:
                self._call.request = self._format.request(body)
            except Unparsed:
                self._call.request = Request()
                self._note_unparsed(cut=cut)

    def _read_error(self, _name: bytes, payload: bytes, _at: int) -> None:
        self._call.answer.error = read_error(payload) or self._call.answer.error

    def _read_whole(self, _name: bytes, payload: bytes, _at: int) -> None:
        self._format.whole(payload, self._call.answer)
        self._call.answer.ended = True

    def _read_event(self, name: bytes, payload: bytes, at: int) -> None:
        answer = self._answer
        if len(payload) <= _LONGEST_MARK and payload.strip() in _MARKS:
            answer.ended = answer.ended or (b"DONE" in payload and not self._format.has_end)
        elif name == b"error":
            answer.fail(value_of(payload))
        elif output := self._event(name, payload, answer):
            self._output(output, at)

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
        return ProviderError(type=said.type or fallback, code=said.code, message=said.message)


def _is_error(status: int | None) -> bool:
    return status is not None and status >= 400  # noqa: PLR2004 - RFC 9110: client and server errors
