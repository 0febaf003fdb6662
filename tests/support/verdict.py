"""Verdicts of trials: promises that were kept or broken, and the run that ends in them.

What several trials promise is judged here. Such a function returns a sentence for each problem; none means kept.
"""

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SHOWN = 5
_FAULTS = ("Traceback", "A fault in")


@dataclass(frozen=True)
class Promise:
    """One promise, whether it was kept, and the figures."""

    what: str
    kept: bool
    found: str

    @classmethod
    def unless(cls, problems: Sequence[str], what: str, fine: str) -> Self:
        """Return a promise that is kept unless there are problems, of which the first are shown; else `fine` is."""
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        return cls(what, not problems, "; ".join(problems[:_SHOWN]) + more if problems else fine)


def not_once(found: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    """Compare how many rows each call has with how many it must have; a call that nobody made must have none."""
    return [
        f"{name}: {found.get(name, 0)} rows instead of {expected.get(name, 0)}"
        for name in sorted(found.keys() | expected.keys(), key=str)
        if found.get(name, 0) != expected.get(name, 0)
    ]


def uncounted(counters: Mapping[str, int], stored: Iterable[str] = ("written",)) -> list[str]:
    """Look for events that were dropped, refused or met a fault, or did not end in one of the counters `stored`."""
    bad = ("dropped", "error", "rejected")
    problems = [f"{name} {n}" for name, n in counters.items() if n and any(word in name for word in bad)]
    received, kept = counters.get("received", 0), sum(counters.get(name, 0) for name in stored)
    return problems if received == kept else [*problems, f"{received} received, {kept} written"]


def faults_in(log: str) -> list[str]:
    """Look for faults of the addon in what the proxy has printed."""
    return [f"{mark!r} in its log" for mark in _FAULTS if mark in log]


def counters_in(database: Path) -> dict[str, int]:
    """Return the counters of all recorders of a database, added up."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT name, sum(value) FROM recorder_counters GROUP BY name").fetchall())


def table(judged: Sequence[Promise]) -> str:
    """Return a line for each promise."""
    width = max(len(promise.what) for promise in judged)
    return "\n".join(f"{'ok' if one.kept else 'BROKEN':7} {one.what:{width}}  {one.found}" for one in judged)


def tried(name: str, keep: Path | None, trial: Callable[[Path], Awaitable[Sequence[Promise]]]) -> int:
    """Run a trial in the folder `keep`, or in a temporary one that is gone in the end.

    Returns the exit code: 1 if a promise was broken, if none was judged, or if somebody interrupted the trial.
    """

    async def judged(folder: Path) -> Sequence[Promise]:
        return await trial(folder)

    with tempfile.TemporaryDirectory(prefix=f"{name}-") as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            found = asyncio.run(judged(folder))
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            return 1
    return 0 if found and all(promise.kept for promise in found) else 1
