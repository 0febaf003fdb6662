"""Whether the environment sends calls to the proxy: which of the many spellings is set, and who reads it."""

from collections.abc import Iterator, Mapping

from llm_metrics_proxy.recorder.client_setup import proxy_url
from llm_metrics_proxy.recorder.client_setup.variables import sh_line
from llm_metrics_proxy.recorder.doctor.circumstances import HTTPS_VARIABLES, Circumstances
from llm_metrics_proxy.recorder.doctor.result import Check, fail, ok, warn
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
    return "It is not set: what is started here does not use the proxy."
