"""An HTTP message of tests/fixtures, as on the wire."""

from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True)
class Message:
    first_line: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read(cls, path: Path) -> "Message":
        head, _, body = path.read_bytes().partition(b"\n\n")
        first_line, *lines = head.decode().split("\n")
        fields = (line.partition(": ") for line in lines)
        return cls(first_line, {name.lower(): value for name, _, value in fields}, body)

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.first_line.split(" ")[0]

    @property
    def path(self) -> str:
        """The path that a request asks for, with its query."""
        return self.first_line.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.first_line.split(" ")[1])
