"""The record of a run, in one form for all trials: what was tried, how often, and what came of it.

`tests/trials/results/` has that of the last full run of each, and `docs/promises.md` is made of them. A record holds
no path and no host name.
"""

import platform
import re
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec

from llm_metrics_proxy import __version__
from tests.support.verdict import Promise

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "trials" / "results"
_COMMIT = ("git", "describe", "--always", "--abbrev=10", "--match=", "--dirty=+changes")

type Result = Literal["kept", "broken", "blocked"]
"""`blocked` is what could not be tried on that machine."""


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was judged; `found` has the figures, or says what was wrong."""

    name: str
    result: Result
    tries: int
    found: str = ""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run. `kinds` counts what was tried by its kind; `figures` is more that was measured."""

    trial: str
    date: str
    seconds: float
    tries: int
    version: str
    commit: str
    python: str
    mitmproxy: str
    sqlite: str
    system: str
    kinds: dict[str, int]
    checks: list[Check]
    figures: dict[str, object] = {}

    def write(self, path: Path) -> None:
        """Write it as JSON, without the places of this machine."""
        text = msgspec.json.format(msgspec.json.encode(self), indent=1).decode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_PLACES.sub("...", text) + "\n")


_PLACES = re.compile("|".join(rf"{re.escape(str(place))}[^\s'\"\\]*" for place in (ROOT, tempfile.gettempdir())))


def recorded(
    trial: str,
    seconds: float,
    checks: Sequence[Check],
    kinds: Mapping[str, int],
    figures: Mapping[str, object] | None = None,
) -> Record:
    """Return the record of a run that has just ended and tried each kind so many times."""
    return Record(
        trial=trial,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        seconds=round(seconds, 1),
        tries=sum(kinds.values()),
        version=__version__,
        commit=_commit(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        mitmproxy=version("mitmproxy"),
        sqlite=sqlite3.sqlite_version,
        system=f"{platform.system()} {platform.machine()}",
        kinds=dict(sorted(kinds.items())),
        checks=list(checks),
        figures=dict(figures or {}),
    )


def judged(promises: Sequence[Promise], tries: int) -> list[Check]:
    """Return what was judged over all tries of a run."""
    return [Check(one.what, "kept" if one.kept else "broken", tries, one.found) for one in promises]


def read(path: Path) -> Record:
    """Read a record."""
    return msgspec.json.decode(path.read_bytes(), type=Record)


def added(record: Record, before: Record, names: Sequence[str]) -> Record:
    """Return a record of some checks together with what an earlier one has of the others among `names`."""
    checks = {check.name: check for check in (*before.checks, *record.checks)}
    known = [checks[name] for name in names if name in checks]
    kinds = {check.name: check.tries for check in known}
    seconds = max(before.seconds, record.seconds)
    return msgspec.structs.replace(record, checks=known, kinds=kinds, tries=sum(kinds.values()), seconds=seconds)


def _commit() -> str:
    try:
        return subprocess.run(_COMMIT, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # there is no git, or no repository
