"""One answer of the provider as data, and what was then really served."""

import enum
from dataclasses import dataclass, field, replace
from typing import Self


class End(enum.Enum):
    """The end of an answer, after its last step."""

    CLEAN = "clean"  # as HTTP asks for
    CUT = "cut"  # the connection is closed, whatever HTTP asks for
    HANG = "hang"  # nothing more comes, the connection stays open until the client leaves


class Framing(enum.Enum):
    """The sign by which a client knows where the body ends."""

    CHUNKED = "chunked"  # every step is one HTTP chunk
    LENGTH = "length"  # content-length: all steps together
    CLOSE = "close"  # the end of the connection
    NONE = "none"  # the status alone says that there is none


@dataclass(frozen=True, slots=True)
class Step:
    """One write. `at_ms` counts from the arrival of the request, so that delays do not add up."""

    at_ms: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Scenario:
    """One answer: when which bytes are written, and how it ends. Headers that are no text are sent as they are."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: tuple[tuple[str, str | bytes], ...] = (("content-type", "text/event-stream"),)
    head_at_ms: float | None = 0  # None: not even a status line comes
    framing: Framing = Framing.CHUNKED
    end: End = End.CLEAN
    end_at_ms: float = 0  # the end does not come before
    never_sent: int = 0  # bytes that content-length promises beyond the steps


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it reached the provider."""

    method: str
    target: str
    tls: bool
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whose name is given in small letters."""
        return next((value for its_name, value in self.headers if its_name.lower() == name), None)

    def with_body(self, body: bytes) -> Self:
        """Return the same request with this body."""
        return replace(self, body=body)


@dataclass(slots=True)
class Served:
    """The truth about one answer. Moments are `time.monotonic_ns()`, taken just before each write."""

    request: Request
    arrived_ns: int  # the request's headers were read
    head_ns: int | None = None
    step_ns: list[int] = field(default_factory=list)
    end_ns: int | None = None
    client_left: bool = False

    def step_ms(self, index: int) -> float:
        """Return when a step was written, in ms after the request had arrived."""
        return (self.step_ns[index] - self.arrived_ns) / 1e6
