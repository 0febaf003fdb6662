"""The same exchange through two real mitmdumps: one with an addon that only streams, and one with ours.

    for side in sides:
        client, provider = side.connected(HOST)
        ...

runs its block twice, and fails if in the end one of the ends had got other bytes with us than without us.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ends.connection import HTTP1, DrivenProvider, End, connect
from tests.support.proxy import ADDON, ROOT, Proxy
from tests.support.rig import ANTHROPIC, OPENAI
from tests.support.waiting import PATIENCE

FLOOR = ROOT / "tests" / "trials" / "bench" / "scripts" / "passthrough.py"
NOBODY = "files.example.org"
NAMES = (OPENAI, ANTHROPIC, "generativelanguage.googleapis.com", NOBODY, "*.example.org")


@dataclass
class Side:
    """A proxy and the provider behind it; `seen` is what the ends of the present exchange have got."""

    name: str
    proxy: Proxy
    provider: DrivenProvider
    seen: list[Any] = field(default_factory=list)
    _ends: list[End] = field(default_factory=list)

    def connected(self, host: str, alpn: Sequence[str] = (HTTP1,)) -> tuple[End, End]:
        """Connect through the proxy, which opens the TLS; return the client's end and the provider's."""
        return self.follow(connect(self.proxy.port, self.proxy.ca, host, alpn)), self.accepted()

    def accepted(self) -> End:
        """Return the provider's end of the next connection of the proxy."""
        return self.follow(self.provider.accepted())

    def follow(self, end: End) -> End:
        """Compare what this end gets, and close it in the end."""
        self._ends.append(end)
        return end

    def note(self, *what: object) -> None:
        """Compare this as well."""
        self.seen.extend(what)

    def begin(self) -> None:
        self.seen, self._ends = [], []

    def end(self, *, bytewise: bool) -> list[Any]:
        """Close what is open, and return all that was seen."""
        for end in self._ends:
            end.leave()
        assert self.provider.waiting() == 0, "connections that nobody needed"
        return [*([bytes(end.got) for end in self._ends] if bytewise else []), *self.seen]


class Sides:
    """Both proxies. Iterate, and what was seen is compared; `without_bytes` compares only what is noted."""

    def __init__(self, floor: Side, ours: Side) -> None:
        self.floor, self.ours = floor, ours

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read our database."""
        uri = f"{self.ours.proxy.database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as connection:
            return connection.execute(sql).fetchall()

    def __iter__(self) -> Iterator[Side]:
        return self._both(bytewise=True)

    def without_bytes(self) -> Iterator[Side]:
        return self._both(bytewise=False)

    def _both(self, *, bytewise: bool) -> Iterator[Side]:
        seen = []
        for side in (self.floor, self.ours):
            side.begin()
            try:
                yield side
            finally:
                seen.append(side.end(bytewise=bytewise))
        without, with_us = seen
        assert with_us == without, "the same exchange looked different"


@contextmanager
def started(folder: Path, name: str, addon: Path | None = ADDON, **how: Any) -> Iterator[Side]:  # noqa: ANN401 - those of `Proxy`
    """Start one proxy, before a provider of its own; without `addon` it is the one that only streams."""
    place = folder / name
    place.mkdir()
    scripts = [*([] if addon else [FLOOR]), *how.pop("scripts", [])]
    with (
        DrivenProvider(place, NAMES) as provider,
        Proxy(place, provider.port, provider.ca, addon=addon, scripts=scripts, **how) as proxy,
    ):
        yield Side(name, proxy, provider)


@contextmanager
def both(folder: Path, **how: Any) -> Iterator[Sides]:  # noqa: ANN401 - those of `Proxy`
    """Start both proxies; ours must not have met a fault of its own in the end."""
    with started(folder, "floor", None, **how) as floor, started(folder, "ours", **how) as ours:
        sides = Sides(floor, ours)
        yield sides
        ours.proxy.stop()
        faults = sides.query("SELECT name, value FROM recorder_counters WHERE name LIKE '%errors'")
        assert not faults, f"{faults}\n{ours.proxy.log}"
        assert "Traceback" not in ours.proxy.log
