"""Checks of the environment: a variable sends calls to the proxy, and NO_PROXY does not lead them around it.

Variables have many spellings, and not every client reads each. For NO_PROXY Python's own function is asked, entry by
entry. Other clients have rules of their own for stars, which only some know.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # its stubs do not know it

from llm_metrics_proxy.recorder.client_setup import proxy_url
from llm_metrics_proxy.recorder.client_setup.variables import sh_line
from llm_metrics_proxy.recorder.doctor import HTTPS_VARIABLES, Check, Circumstances, fail, ok, warn
from llm_metrics_proxy.recorder.errors import BadProxyUrl

_NAME = "HTTPS_PROXY"
_HTTP = ("http_proxy", "HTTP_PROXY")
_ALL = ("all_proxy", "ALL_PROXY")


def look(at: Circumstances) -> Iterator[Check]:
    """Look at the variables for https, then at the one for http."""
    right = sh_line(_NAME, at.url)
    name = at.first_set(HTTPS_VARIABLES)
    odd = [one for one in at.environment if one.upper() == _NAME and one not in HTTPS_VARIABLES]
    if name is None:
        yield fail(_NAME, _without(at, odd), right)
        return
    value = at.environment[name]
    if not at.names_the_proxy(value):
        fix = right if name == _NAME else f"unset {name}; {right}"
        yield fail(_NAME, f"{name} is {value}, which is not the proxy at {at.url}{_hidden(at, name)}.", fix)
    elif (other := _hidden(at, name)) and not at.names_the_proxy(at.environment[_NAME]):
        fix = f"unset {name}, if the proxy is the other one"
        yield fail(_NAME, f"{name} is {value}{other}.", fix)
    else:
        yield ok(_NAME, f"{name} is {value}.")
    if odd:
        yield warn(_NAME, f"{odd[0]} is set too: Python reads it, curl and Node do not.", f"unset {odd[0]}")
    plain = at.first_set(_HTTP)
    if plain is None:
        what = "HTTP_PROXY is not set: calls to http:// addresses, such as Ollama's, go around the proxy."
        yield warn("HTTP_PROXY", what, sh_line("HTTP_PROXY", at.url))
    elif not at.names_the_proxy(at.environment[plain]):
        what = f"{plain} is {at.environment[plain]}: calls to http:// addresses go there."
        yield warn("HTTP_PROXY", what, sh_line(plain, at.url))
    else:
        yield ok("HTTP_PROXY", f"{plain} is {at.environment[plain]}.")


def guess(environment: Mapping[str, str]) -> str | None:
    """Return the best guess of the proxy's URL: what clients take, else what was meant for them by somebody."""
    spellings = [name for name in environment if name.upper() == _NAME]
    for name in (*HTTPS_VARIABLES, *spellings, *_ALL, *_HTTP):
        try:
            if (value := environment.get(name)) and proxy_url.parse(value):
                return value
        except BadProxyUrl:
            continue  # its check says so
    return None


def _hidden(at: Circumstances, name: str) -> str:
    if name != _NAME and at.environment.get(_NAME):
        return f"; {_NAME} is {at.environment[_NAME]}, but clients prefer the lower case"
    return ""


def _without(at: Circumstances, odd: list[str]) -> str:
    if odd:
        return f"{odd[0]} is set in a spelling that curl and Node do not read, and {_NAME} is not set."
    if (name := at.first_set(_ALL)) is not None:
        return f"Only {name} is set, which urllib, boto3 and Node do not read: their calls go around the proxy."
    if (name := at.first_set(_HTTP)) is not None:
        return f"Only {name} is set, which is for http:// addresses: calls to https:// hosts go around the proxy."
    return "It is not set: programs started here do not use the proxy."


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
