"""The systems that are measured, as data; each starts in a folder of its own, before the same provider."""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.support.proxy import ADDON, Proxy
from tests.trials.bench.commands import Target
from tests.trials.bench.provider import Provider

SCRIPTS = Path(__file__).parent / "scripts"
_LATENESS = SCRIPTS / "lateness.py"


class Served(NamedTuple):
    """Somebody else's proxy that serves."""

    pid: int
    target: Target


type Foreign = Callable[[Path, Provider], AbstractContextManager[Served]]


@dataclass(frozen=True)
class System:
    """One way from the client to the provider. `rows` is the SQL that counts the calls which it recorded."""

    name: str
    title: str
    proxied: bool = True
    addon: Path | None = None
    options: tuple[str, ...] = ()
    scripts: tuple[Path, ...] = ()
    rows: str | None = None
    python: Path | str = sys.executable
    paths: tuple[Path, ...] = ()  # where it finds packages before all others
    foreign: Foreign | None = None  # no mitmdump: starts it in a folder, before a provider
    share: float = 1.0  # of the requests of each workload, for one that would take as long as all others together
    note: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether every call through it must have its row."""
        return self.addon is not None


FLOOR, AGAIN, OURS, OFF, DIRECT, BARE = "floor", "again", "ours", "off", "direct", "bare"
OUR_ROWS = "SELECT count(*) FROM completion_requests"
SYSTEMS = (
    System(DIRECT, "no proxy", proxied=False),
    System(BARE, "mitmproxy, no addon"),
    System(FLOOR, "mitmproxy, pass-through addon", scripts=(SCRIPTS / "passthrough.py",)),
    System(AGAIN, "the same again", scripts=(SCRIPTS / "passthrough.py",)),
    System(OURS, "llm-metrics", addon=ADDON, rows=OUR_ROWS),
    System(OFF, "llm-metrics, fast path off", addon=ADDON, options=("metrics_fast_path=off",), rows=OUR_ROWS),
    System("naive", "mitmproxy, naive addon", scripts=(SCRIPTS / "naive.py",), rows="SELECT count(*) FROM calls"),
)


@dataclass
class Running:
    """A system that serves, and what it was asked."""

    system: System
    target: Target
    pid: int | None = None
    database: Path | None = None
    lateness: Path | None = None
    proxy: Proxy | None = None
    sent: int = 0
    events: int = 0

    def count(self, sql: str) -> int:
        """Ask the database for a number, while it is being written."""
        if self.database is None:
            return 0
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            return int(connection.execute(sql).fetchone()[0])


@contextmanager
def started(
    system: System, folder: Path, provider: Provider, *, watched: bool = False, database: Path | None = None
) -> Iterator[Running]:
    """Start a system; `watched` adds the script that watches the event loop, `database` is that of another proxy."""
    folder.mkdir(parents=True)
    if database is not None:
        (folder / "metrics.db").symlink_to(database)
    if not system.proxied:
        yield Running(system, Target(provider.ports.tls, str(provider.ca), tunnel=False))
        return
    if system.foreign is not None:
        with system.foreign(folder, provider) as served:
            yield Running(system, served.target, pid=served.pid)
        return
    paths = {"PYTHONPATH": os.pathsep.join(map(str, system.paths))} if system.paths else {}
    lateness, naive = folder / "lateness.txt", folder / "naive.db"
    proxy = Proxy(
        folder,
        provider.ports.tls,
        provider.ca,
        addon=system.addon,
        options=system.options,
        scripts=(*system.scripts, *((_LATENESS,) if watched else ())),
        environment={"BENCH_LATENESS_FILE": str(lateness), "BENCH_NAIVE_DATABASE": str(naive), **paths},
        python=system.python,
    )
    with proxy:
        yield Running(
            system,
            Target(proxy.port, str(proxy.ca), tunnel=True),
            pid=proxy.pid,
            database=(proxy.database if system.addon else naive) if system.rows else None,
            lateness=lateness if watched else None,
            proxy=proxy,
        )
