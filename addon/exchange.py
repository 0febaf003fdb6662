"""One request in flight: it is told what passes and when, and at its end makes one row.

Bytes are only noted as they pass, and read later, many pieces at a time. The taps are called between mitmproxy's own
steps, which leave nothing of ours in the processor's caches: there, a step of ours takes several times as long as in a
loop.

An exchange does no I/O, reads no clock and knows no mitmproxy: `at` is always nanoseconds of one monotonic clock.
"""

from llm_metrics_proxy.addon.batch_reading import BatchReading
from llm_metrics_proxy.addon.headers import Headers
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.quota.stated import Stated
from llm_metrics_proxy.addon.reading import Reading
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.recorder.events import CompletionRequest

MOST_PIECES = 250  # that may wait to be read
LONG_PIECE = 1024  # bytes, from which on it is counted how many wait
_MOST_BYTES = 64 * 1024


class Notes:
    """Pieces and their moments, side by side, until they are read. The lists stay the same ones."""

    __slots__ = ("moments", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.moments: list[int] = []

    def add(self, data: bytes, at: int) -> bool:
        """Note a piece; True if it is time to read."""
        self.pieces.append(data)
        self.moments.append(at)
        return (len(data) > LONG_PIECE or len(self.pieces) > MOST_PIECES) and self.are_many()

    def are_many(self) -> bool:
        """Tell whether so much waits that it is time to read; asked after a long piece, or after many."""
        return len(self.pieces) > MOST_PIECES or sum(map(len, self.pieces)) > _MOST_BYTES

    def take(self) -> tuple[list[bytes], list[int]]:
        """Return what there is, and begin anew."""
        taken = self.pieces.copy(), self.moments.copy()
        self.pieces.clear()
        self.moments.clear()
        return taken


class Exchange:
    """One HTTP call of an LLM's API."""

    __slots__ = (
        "_head",
        "_last",
        "_opening",
        "_reading",
        "_uploaded",
        "answered",
        "asked",
        "connect_ms",
        "has_answer",
        "request_complete",
    )

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._reading: Reading | BatchReading | None = None
        self.asked = Notes()
        """The request's body; the taps add to both bodies themselves, and call `read` in time."""
        self.answered = Notes()
        """The answer's body."""
        self._uploaded: int | None = None  # until it is read
        self.request_complete = False
        """All of the request's body has come."""
        self._head: tuple[int, Headers, int] | None = None  # until it is read
        self.has_answer = False
        """The answer's headers have come."""
        self._last = opening.at
        self.connect_ms: float | None = None
        """TCP and TLS to the provider, if this request had to wait for them."""

    @property
    def last_activity(self) -> int:
        """The moment of the last piece, head or end."""
        moments = self.answered.moments or self.asked.moments
        return max(self._last, moments[-1]) if moments else self._last

    @property
    def wanted(self) -> bool:
        """The request is an LLM's: the host says so, or the body does, once it is complete."""
        return self._opening.route.known_host or not self.request_complete or self.read().proven

    @property
    def rows(self) -> list[CompletionRequest]:
        """Rows of calls that were made before, in a batch, and whose results this exchange fetched."""
        return self._reading.rows if isinstance(self._reading, BatchReading) else []

    @property
    def stated(self) -> Stated | None:
        """The limits of its key that the answer states, as far as it was read."""
        return self._reading.stated if self._reading is not None else None

    @property
    def faults(self) -> set[str]:
        """Names of the counters that this exchange adds 1 to."""
        return self._reading.faults if self._reading is not None else set()

    def request_chunk(self, data: bytes, at: int) -> None:
        """Take the request's body, or a piece of it, that comes through no tap."""
        if self.asked.add(data, at):
            self.read()

    def request_end(self, at: int) -> None:
        """The request's body is complete."""
        self._last = self._uploaded = at
        self.request_complete = True

    def answer_head(self, status: int, headers: Headers, at: int) -> None:
        """The answer's status and headers have come."""
        self._last = at
        self._head, self.has_answer = (status, headers, at), True

    def read(self) -> Reading | BatchReading:
        """Read what has been noted; whatever raises here was not read, and is not read again."""
        if self._reading is None:
            self._reading = _reading_of(self._opening)
        reading, self._last = self._reading, self.last_activity
        if self.asked.pieces:
            reading.request_body(self.asked.take()[0])
        if self._uploaded is not None:
            uploaded, self._uploaded = self._uploaded, None
            reading.request_end(uploaded)
        if self._head is not None:
            head, self._head = self._head, None
            reading.answer_head(*head)
        if self.answered.pieces:
            reading.answer_body(*self.answered.take())
        return reading

    def stop_reading(self, fault: str) -> None:
        """Read the bodies no further; times and bytes are still taken."""
        if self._reading is None:
            self._reading = _reading_of(self._opening)
        self._reading.stop(fault)

    def finish(self, cause: Cause, at: int, reason: str = "") -> CompletionRequest | None:
        """End the exchange; None if the request never proved to be an LLM's.

        `reason` is what the transport says about a provider that could not be reached. May be called again if a
        parser raised: then nothing more is read.
        """
        return self.read().finish(cause, at, reason, last_activity=self._last, connect_ms=self.connect_ms)


def _reading_of(opening: Opening) -> Reading | BatchReading:
    later = opening.route.later
    return BatchReading(opening) if later is not None and later.of_batch else Reading(opening)
