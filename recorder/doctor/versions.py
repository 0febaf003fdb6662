"""Versions with known defects, of what is installed beside this program. A proxy elsewhere may have others."""

import sqlite3
from collections.abc import Iterator

from llm_metrics_proxy.recorder.doctor import mitmproxy_defects
from llm_metrics_proxy.recorder.doctor.result import Check, ok, untried, warn
from llm_metrics_proxy.recorder.store import sqlite_defects


def look() -> Iterator[Check]:
    """Look at SQLite's and mitmproxy's."""
    yield _check(
        "SQLite", sqlite3.sqlite_version, sqlite_defects.defects(), "a Python with a newer SQLite has none of it"
    )
    version = mitmproxy_defects.installed()
    if version is None:
        yield untried("mitmproxy", "It is not installed beside this program.")
    else:
        fix = "pip install --upgrade mitmproxy"
        yield _check("mitmproxy", version, mitmproxy_defects.defects_of(version), fix)


def _check(name: str, version: str, defects: list[str], fix: str) -> Check:
    if defects:
        return warn(name, f"{version} has a known defect: {'; '.join(defects)}.", fix)
    return ok(name, f"{version} has no known defect that matters here.")
