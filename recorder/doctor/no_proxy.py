"""Whether NO_PROXY leads calls around the proxy. Python's own function is asked, entry by entry.

Other clients have rules of their own for stars, which only some know.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # its stubs do not know it

from llm_metrics_proxy.recorder.client_setup.variables import sh_line
from llm_metrics_proxy.recorder.doctor.circumstances import Circumstances
from llm_metrics_proxy.recorder.doctor.result import Check, fail, ok, warn

_NAMES = ("no_proxy", "NO_PROXY")
# Asked about where no host is given.
WELL_KNOWN: Final = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com")


def look_at_no_proxy(at: Circumstances) -> Iterator[Check]:
    """Look for entries that hit the host, or one of the best known."""
    name = at.first_set(_NAMES)
    if name is None:
        yield ok("NO_PROXY", "It is not set.")
        return
    entries = [entry.strip() for entry in at.environment[name].split(",") if entry.strip()]
    hosts = (at.host,) if at.host else WELL_KNOWN
    hit = {entry: host for entry in entries for host in hosts if _python_skips(entry, host, at.port)}
    starred = {entry: host for entry in entries for host in hosts if entry not in hit and _some_skip(entry, host)}
    left = ",".join(entry for entry in entries if entry not in hit and entry not in starred)
    fix = "; ".join(
        sh_line(one, left) if left else f"unset {one}" for one in _NAMES if at.environment.get(one) is not None
    )
    for entry, host in hit.items():
        yield fail("NO_PROXY", f"{name} has the entry {entry}, so calls to {host} go around the proxy.", fix)
    for entry, host in starred.items():
        what = f"{name} has the entry {entry}, by which some clients, such as Node, go to {host} around the proxy."
        yield warn("NO_PROXY", what, fix)
    if not hit and not starred:
        yield ok("NO_PROXY", f"{name} has no entry for {' or '.join(hosts)}.")


def _python_skips(entry: str, host: str, port: int) -> bool:
    return any(proxy_bypass_environment(one, {"no": entry}) for one in (host, f"{host}:{port}"))


def _some_skip(entry: str, host: str) -> bool:
    return "*" in entry and fnmatchcase(host.lower(), entry.lower())
