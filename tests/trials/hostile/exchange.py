"""One exchange as it goes over the wire: what the client sends, what the provider answers, and what must come of it."""

from dataclasses import dataclass, field
from enum import Enum


class Ends(Enum):
    """How the provider ends its answer."""

    WELL = "well"
    CUT = "cut"  # in the middle, or before it began
    LEFT = "left"  # the client goes before the end


class Framing(Enum):
    """How the other side can tell where a body ends."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


@dataclass
class Exchange:
    """A request and its answer. Bodies are pieces, in which they are written."""

    kind: str
    host: str
    path: str
    tls: bool = False
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    body: bytes = b""
    chunked: bool = False
    status: int = 200
    answer_headers: list[tuple[str, bytes]] = field(default_factory=list)
    answer: list[bytes] = field(default_factory=list)
    framing: Framing = Framing.LENGTH
    more_promised: int = 0  # bytes of Content-Length that never come
    ends: Ends = Ends.WELL
    silent: bool = False  # the provider hangs up without a word
    rows: int = 1  # that it must leave

    @property
    def answered(self) -> bytes:
        """The whole body of the answer."""
        return b"".join(self.answer)
