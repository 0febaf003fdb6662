"""Commands to the load client, and its reports: one line of JSON each."""

import msgspec

from tests.trials.bench.traffic import Answer


class Target(msgspec.Struct, frozen=True):
    """The server to ask. With a CA over TLS, `tunnel` through a proxy's CONNECT; without one in plain text."""

    port: int
    ca: str | None
    tunnel: bool
    rewrites: bool = False
    """It writes answers anew: only their size is checked, roughly."""


class Open(msgspec.Struct, tag=True):
    """Make `connections` to the target; 0 if each request makes its own."""

    target: Target
    connections: int


class Run(msgspec.Struct, tag=True):
    """Ask `count` times on each of `concurrency` connections, or for `seconds`."""

    answer: Answer
    concurrency: int
    count: int
    body: int
    seconds: float = 0.0


class Close(msgspec.Struct, tag=True):
    """Close all connections."""


class Report(msgspec.Struct, tag=True):
    """The results of a run; `figures` are named with their unit."""

    requests: int = 0
    events: int = 0
    figures: dict[str, float] = {}
    ended: list[int] = []
    """When each answer had come, nanoseconds of the monotonic clock."""


class Failed(msgspec.Struct, tag=True):
    """The reason why a command could not be done."""

    reason: str


type Command = Open | Run | Close
