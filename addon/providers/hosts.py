"""The hosts of LLM providers: the lines of `hosts.csv`, looked up by name.

    host      a name; `*` is a label or a part of one, `**` one label or more
    provider  OpenTelemetry's `gen_ai.provider.name` where it has one, else genai-prices' name, else the provider's own
    opened    no: the host carries much else, so its TLS is opened only where `metrics_hosts` names it
    under     where the API begins on a host that carries other things too; several are separated by a space
    path      a call's path there, which a wire format knows
    source    whose default, list or documentation names the host: a package with its version; `public code` is the
              source of several programs that call it; `first list` was here before sources were noted
    date      when that was looked at

A whole name goes before a pattern, and no two patterns fit the same name. Names have no port.
"""

import csv
import re
from functools import lru_cache
from importlib.resources import files
from itertools import groupby
from typing import Final, NamedTuple

UNKNOWN: Final = "custom"

_LOCAL_PORTS: Final = {11434: "ollama"}
_REMEMBERED: Final = 4096  # names: clients ask the same few all day
_WILD: Final = {"*": "[a-z0-9_-]+", "**": "[a-z0-9_.-]+"}
_ONE_SEGMENT: Final = "[^/]+"


class Host(NamedTuple):
    """A line of the table."""

    name: str
    provider: str
    is_opened: bool
    under: tuple[str, ...]
    path: str
    source: str
    date: str


def _read() -> tuple[Host, ...]:
    text = files("llm_metrics_proxy.addon.providers").joinpath("hosts.csv").read_text(encoding="utf-8")
    return tuple(
        Host(
            row["host"],
            row["provider"],
            row["opened"] == "yes",
            tuple(row["under"].split()),
            row["path"],
            row["source"],
            row["date"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def _end(name: str) -> str:
    """Return the last two labels of a name: patterns are kept by theirs, so that few are tried."""
    return ".".join(name.rsplit(".", 2)[-2:])


def _end_of(line: Host) -> str:
    return _end(line.name)


def _expression(text: str, wild: dict[str, str]) -> str:
    return "".join(wild.get(part) or re.escape(part) for part in re.split(r"(\*+)", text))


HOSTS: Final = _read()
_BY_NAME: Final = {host.name: host for host in HOSTS if "*" not in host.name}
_PATTERNS: Final = {
    end: tuple((re.compile(_expression(line.name, _WILD)), line) for line in lines)
    for end, lines in groupby(sorted((host for host in HOSTS if "*" in host.name), key=_end_of), key=_end_of)
}
_UNDER: Final = {
    host: re.compile("|".join(_expression(begin, {"*": _ONE_SEGMENT}) for begin in host.under))
    for host in HOSTS
    if host.under
}
# Of names such as api.example.com and example.com: other names may be of a company that does much else.
_DOMAINS: Final = {
    _end_of(host) for host in HOSTS if host.is_opened and host.name.removeprefix("api.") == _end_of(host)
}


@lru_cache(maxsize=_REMEMBERED)
def find(host: str) -> Host | None:
    """Return the line of a host name; None for a name that has none."""
    name = host.lower().rstrip(".")
    if (named := _BY_NAME.get(name)) is not None:
        return named
    return next((line for pattern, line in _PATTERNS.get(_end(name), ()) if pattern.fullmatch(name)), None)


@lru_cache(maxsize=_REMEMBERED)
def provider_of(host: str) -> str | None:
    """Return the provider's name for a host name whose TLS is opened; None for all others."""
    line = find(host)
    return line.provider if line is not None and line.is_opened else None


def name_of(host: str, port: int) -> str:
    """Return what to call the provider behind an address that answers like an LLM's API."""
    line = find(host)
    return line.provider if line is not None else _LOCAL_PORTS.get(port, UNKNOWN)


def is_near_a_provider(host: str) -> bool:
    """Tell whether a host has a domain that is a provider's alone."""
    return _end(host.lower().rstrip(".")) in _DOMAINS


def is_of_api(host: str, path: str) -> bool:
    """Tell whether a path can be one of the API on a host; True where nothing else is known to be on it."""
    line = find(host)
    return line is None or line not in _UNDER or _UNDER[line].match(path) is not None
