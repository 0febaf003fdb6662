"""All checks, in the order in which a call passes the things that they check; the last is of installed versions.

A proxy elsewhere may have other versions than those installed beside this program.
"""

import sqlite3
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from llm_metrics_proxy.recorder.doctor import (
    Check,
    Circumstances,
    authority,
    clients,
    connect,
    ok,
    port,
    proxy_variables,
    storage,
    untried,
    warn,
)
from llm_metrics_proxy.recorder.store import sqlite


def examine(at: Circumstances) -> Iterator[Check]:
    """Check everything; each result comes as soon as it is known."""
    yield from proxy_variables.look(at)
    yield from proxy_variables.look_at_no_proxy(at)
    found = port.ask(at)
    yield found.check
    yield authority.look(at, found)
    yield from authority.look_at_files(at)
    yield from clients.look(at, found)
    yield connect.look(at, found)
    yield from storage.look(at, found)
    yield from look_at_versions()


type Version = tuple[int, ...]

# Since which version it can be lived with, and what it does before.
DEFECTS: Final[tuple[tuple[Version, str], ...]] = (
    (
        (12, 2, 1),
        "calls that say nothing for ten minutes are cut, and no option changes that (tcp_timeout came with 12.2.1)",
    ),
)


def installed() -> str | None:
    """Return the version that is installed beside this program."""
    try:
        return metadata.version("mitmproxy")
    except metadata.PackageNotFoundError:
        return None


def defects_of(version: str) -> list[str]:
    """Return what is known to be wrong with a version."""
    numbers = tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:3])
    return [what for fixed, what in DEFECTS if numbers < fixed]


def look_at_versions() -> Iterator[Check]:
    """Look at SQLite's and mitmproxy's."""
    yield _check("SQLite", sqlite3.sqlite_version, sqlite.defects(), "use a Python with a newer SQLite")
    version = installed()
    if version is None:
        yield untried("mitmproxy", "It is not installed beside this program.")
    else:
        fix = "pip install --upgrade mitmproxy"
        yield _check("mitmproxy", version, defects_of(version), fix)


def _check(name: str, version: str, defects: list[str], fix: str) -> Check:
    if defects:
        return warn(name, f"{version} has a known defect: {'; '.join(defects)}.", fix)
    return ok(name, f"{version} has no known defect that matters here.")
