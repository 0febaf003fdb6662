"""One request in flight: it is told what passes and when, and at its end makes one row.

An exchange does no I/O, reads no clock and knows no mitmproxy: `at` is always nanoseconds of one monotonic clock.
It keeps of the bodies only what the columns need, and the request's body until it is complete and read.
"""

from dataclasses import dataclass

import msgspec

from addon.body import Body
from addon.framings import framing_of
from addon.headers import Columns, Headers, credentials, error_type, request_columns, response_columns, server_timing
from addon.json_framing import Ignored, Whole
from addon.masking import masked
from addon.outcomes import STREAM_TRUNCATED, Cause
from addon.providers import Route
from addon.providers.decode import Unparsed
from addon.providers.errors import LONGEST_MESSAGE, ProviderError, read_error
from addon.providers.format import Answer, Request
from addon.providers.usage import Usage
from addon.providers.values import text
from addon.timing import Timing
from recorder.events import CompletionRequest

_LONGEST_JSON = 8192


@dataclass(frozen=True)
class Opening:
    """What is known when a request's headers have arrived."""

    route: Route
    at: int
    timestamp: str
    event_id: str
    host: str  # with port
    path: str  # without query
    query: str
    headers: Headers
    origin: str | None
    client: str | None
    http_version: str | None


class Exchange:
    """One call of an LLM's API."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._format = opening.route.format
        self._header_columns = request_columns(opening.headers)
        self._secrets = credentials(opening.headers, opening.query)
        self._asked = Body(opening.headers.get("content-encoding", ""), Whole())
        self._request: Request | None = None
        self._status: int | None = None
        self._error_type: str | None = None
        self._answered: Body | None = None
        self._streamed = False
        self._answer = Answer()
        self._timing = Timing(opening.at)
        self.last_activity = opening.at
        self.connect_ms: float | None = None
        """TCP and TLS to the provider, if this request had to wait for them."""
        self.faults: set[str] = set()
        """Names of the counters that this exchange adds 1 to."""

    @property
    def request_complete(self) -> bool:
        """The request's body has come to its end."""
        return self._request is not None

    @property
    def answered(self) -> bool:
        """The answer's headers have come."""
        return self._status is not None

    @property
    def wanted(self) -> bool:
        """The request is an LLM's: the host says so, or the body does, once it is complete."""
        return self._opening.route.known_host or self._request is None or self._request.recognised

    def request_chunk(self, data: bytes, at: int) -> None:
        """Take a piece of the request's body, as on the wire."""
        self.last_activity = at
        self._asked.size += len(data)
        for _ in self._asked.feed(data):
            pass  # a whole body is one payload, and complete only at its end

    def request_end(self, at: int) -> None:
        """The request's body is complete."""
        self._timing.uploaded = self.last_activity = at
        self._request = self._read_request()

    def answer_head(self, status: int, headers: Headers, at: int) -> None:
        """The answer's status and headers have come."""
        self.last_activity = at
        self._status = status
        self._header_columns |= response_columns(headers)
        self._answer.learn(timing=server_timing(headers))
        self._error_type = error_type(headers)
        asked_for_stream = self._request is not None and self._request.is_streaming
        json_stream = self._format.json_stream if asked_for_stream and status < 400 else None  # noqa: PLR2004
        framing = framing_of(headers.get("content-type", ""), json_stream)
        self._streamed = not isinstance(framing, Whole | Ignored)
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
        for name, payload in body.feed(data):
            self._take(name, payload, at)

    def stop_reading(self, fault: str) -> None:
        """Read the bodies no further; times and bytes are still taken."""
        for body in (self._asked, self._answered):
            if body is not None:
                body.stop(fault)

    def finish(self, cause: Cause, at: int) -> CompletionRequest | None:
        """End the exchange; None if the request never proved to be an LLM's."""
        opening, answer, timing = self._opening, self._answer, self._timing
        asked = self._request = self._request or self._read_request()
        if not self.wanted:
            return None
        if self._answered is not None:
            for name, payload in self._answered.finish():
                self._take(name, payload, at, cut=cause is not Cause.COMPLETE)
        self.faults |= {body.fault for body in (self._asked, self._answered) if body is not None and body.fault}
        cut = not answer.ended and (cause is not Cause.COMPLETE or (self._streamed and self._format.has_end))
        error = self._failure(cause, cut=cut)
        tokens = self._format.usage_keys.tokens(answer.usage)
        columns: Columns = {
            **self._header_columns,
            **asked.columns(),
            **tokens.columns(),
            **timing.columns(at, tokens if self._streamed and error is None else None),
            "timestamp": opening.timestamp,
            "event_id": opening.event_id,
            "success": error is None,
            "status_code": cause.status_without_answer if self._status is None else self._status,
            # A request that could not be read may have asked for the stream that came.
            "is_streaming": asked.is_streaming or (asked.model is None and self._streamed),
            "model": asked.model or opening.route.model,
            "origin": opening.origin,
            "client": opening.client,
            "http_version": opening.http_version,
            "provider": opening.route.provider,
            "operation": self._format.operation,
            "host": opening.host,
            "endpoint": text(masked(opening.path, self._secrets)),
            "response_model": answer.response_model,
            "finish_reason": answer.finish_reason,
            "usage": _json(answer.usage),
            "server_timing": _json(answer.server_timing),
            "usage_source": ("partial" if cut else "provider") if answer.usage else None,
            "output_events": timing.events if self._streamed else None,
            "connect_ms": self.connect_ms,
            "request_bytes": self._asked.size,
            "response_bytes": self._answered.size if self._answered is not None else None,
        }
        if error is not None:
            message = masked(error.message or "", self._secrets)[:LONGEST_MESSAGE] or None
            columns |= {"error_type": error.type, "error_code": error.code, "error_message": message}
        return CompletionRequest(**columns)

    def _read_request(self) -> Request:
        for _, body in self._asked.finish():
            try:
                return self._format.request(body)
            except Unparsed:
                self.faults.add("unparsed")
        return Request()

    def _take(self, name: bytes, payload: bytes, at: int, *, cut: bool = False) -> None:
        try:
            if self._status is not None and self._status >= 400:  # noqa: PLR2004 - RFC 9110: client and server errors
                self._answer.error = read_error(payload) or self._answer.error
            elif not self._streamed:
                self._format.whole(payload, self._answer)
                self._answer.ended = True
            elif output := self._format.event(name, payload, self._answer):
                self._timing.output(output, at)
        except Unparsed:
            if not cut:  # what a cut leaves unfinished was never meant to be read
                self.faults.add("unparsed")

    def _failure(self, cause: Cause, *, cut: bool) -> ProviderError | None:
        said = self._answer.error or ProviderError()
        if self._status is not None and not 200 <= self._status < 300:  # noqa: PLR2004 - RFC 9110: successful
            fallback = self._error_type or f"http_{self._status}"
        elif self._answer.error is not None:
            fallback = "error"
        elif self._status is None or cut:
            fallback = STREAM_TRUNCATED if cause is Cause.COMPLETE else cause.value
        else:
            return None
        return ProviderError(type=said.type or fallback, code=said.code, message=said.message)


def _json(usage: Usage) -> str | None:
    encoded = msgspec.json.encode(usage).decode() if usage else ""
    return encoded if 0 < len(encoded) <= _LONGEST_JSON else None
