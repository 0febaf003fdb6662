"""One exchange as it goes over the wire: what the client sends, what the provider answers, and what must come of it."""

from dataclasses import dataclass, field

from tests.support.provider.scenario import End, Framing, Scenario, Step


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
    ends: End = End.CLEAN
    silent: bool = False  # the provider hangs up without a word
    rows: int = 1  # that it must leave

    @property
    def answered(self) -> bytes:
        """The whole body of the answer."""
        return b"".join(self.answer)

    @property
    def scenario(self) -> Scenario:
        """The provider's part."""
        if self.silent:
            return Scenario(head_at_ms=None, end=End.CUT)
        return Scenario(
            tuple(Step(0, piece) for piece in self.answer),
            self.status,
            tuple(self.answer_headers),
            framing=self.framing,
            end=self.ends,
            never_sent=self.more_promised,
        )
