"""A fault test: an id, a sentence, and a function that returns figures, or raises what is wrong.

A control is the same test with a known weakness put in. It has to find that weakness: a control that finds nothing
shows that the test beside it proves nothing, and fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class Broken(Exception):  # noqa: N818 - read as a word: the promise is broken
    """A promise was not kept; the message says which, and by how much."""


class Blocked(Exception):  # noqa: N818
    """It cannot run here; the message says why. Nothing has been shown."""


@dataclass(frozen=True)
class Stage:
    """The place and the length of a case: `folder` is empty and its own.

    Bounds of time are multiplied by `slack`, for machines that do much else.
    """

    folder: Path
    rounds_wanted: int | None = None
    seconds_wanted: float | None = None
    megabytes: int = 1000
    slack: float = 1.0

    def rounds(self, usual: int) -> int:
        """The number of repetitions."""
        return self.rounds_wanted or usual

    def seconds(self, usual: float) -> float:
        """The seconds for which a load is kept up."""
        return self.seconds_wanted or usual

    def sub(self, name: object) -> Path:
        """A new folder in the case's own."""
        folder = self.folder / str(name)
        folder.mkdir()
        return folder


@dataclass(frozen=True)
class Outcome:
    """The result: the number of rounds, and figures by name, which includes their unit."""

    rounds: int
    figures: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One line of the summary."""

    id: str
    what: str
    run: Callable[[Stage], Outcome]
    is_control: bool = False

    @property
    def label(self) -> str:
        """The id, and whether this is a control."""
        return f"{self.id} control" if self.is_control else self.id

    @property
    def name(self) -> str:
        """The name in records."""
        return f"{self.label}: {self.what}"


def expect(holds: object, otherwise: str) -> None:
    """Go on if it holds.

    Raises:
        Broken: with the sentence.
    """
    if not holds:
        raise Broken(otherwise)
