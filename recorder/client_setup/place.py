"""Which of several workers on one port this process is: the process that starts them says it in the environment.

A proxy that serves alone has neither variable.
"""

import os
from typing import Final, NamedTuple

_PLACE: Final = "LLM_METRICS_WORKER"  # such as 2/4
_GREETED: Final = "LLM_METRICS_GREETED"


class Place(NamedTuple):
    """Worker `number` of so many, counted from 1."""

    number: int
    of: int

    def environment(self, *, greeted: bool) -> dict[str, str]:
        """Return the variables that tell a worker its place, and whether another one has said the first words."""
        return {_PLACE: f"{self.number}/{self.of}"} | ({_GREETED: "1"} if greeted else {})


def place() -> Place | None:
    """Return this process's place; None if it serves alone."""
    number, _, count = os.environ.get(_PLACE, "").partition("/")
    return Place(int(number), int(count)) if number.isdecimal() and count.isdecimal() else None


def is_greeted() -> bool:
    """Tell whether another worker has said what a start says."""
    return _GREETED in os.environ
