"""What an upstream does with one request, as data, and what it then did."""

import enum
from dataclasses import dataclass, field


class End(enum.Enum):
    """How an answer ends after its last step."""

    CLEAN = "clean"  # as HTTP asks for
    CUT = "cut"  # the connection is closed, whatever HTTP asks for
    HANG = "hang"  # nothing more comes, the connection stays open until the client leaves


class Framing(enum.Enum):
    """How the client can tell where the body ends."""

    CHUNKED = "chunked"  # every step is one HTTP chunk
    LENGTH = "length"  # content-length: all steps together
    CLOSE = "close"  # the end of the connection


@dataclass(frozen=True, slots=True)
class Step:
    """One write. `at_ms` counts from the arrival of the request, so that delays do not add up."""

    at_ms: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Scenario:
    """One answer: when which bytes are written, and how it ends."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "text/event-stream"),)
    head_at_ms: float | None = 0  # None: not even a status line comes
    framing: Framing = Framing.CHUNKED
    end: End = End.CLEAN
    end_at_ms: float = 0  # the end does not come before


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it reached the upstream."""

    method: str
    target: str
    tls: bool
    headers: tuple[tuple[str, str], ...]
    body: bytes


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
