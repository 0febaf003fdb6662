"""The agents of agents.toml: which one sent a call, and what it says of its session, of itself and of the call."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.addon.callers.fields import NOTHING, Said
from llm_metrics_proxy.addon.headers import Columns, Headers
from llm_metrics_proxy.addon.providers.values import text

PREWARM: Final = "prewarm"
"""The `request_kind` of a request for nothing, after which a connection and a cache are ready."""
KINDS: Final = ("main", "subagent", "auxiliary", "compaction", PREWARM, "title")
"""All that `request_kind` can be."""
IDENTIFIERS: Final = ("session_id", "agent_id", "parent_agent_id", "project")
_BODY, _PATH = "body", "path"
_ANY, _FIRST, _SEARCH = "any", "*", "~"
_LONGEST_JSON = 16 * 1024  # characters of a header
_LONGEST_USER_AGENT = 256
_JSON: msgspec.json.Decoder[object] = msgspec.json.Decoder(object)


class _Source(NamedTuple):
    """A place where a value stands, and the way from there."""

    where: str  # `body`, `path`, or the name of a header
    field: str  # of the body
    way: tuple[str | re.Pattern[str], ...]


class _Kind(NamedTuple):
    """A place where the kind of a call stands, and what the words there mean."""

    source: _Source
    words: Mapping[str, str]


class _Agent(NamedTuple):
    """A program, or with no name what holds for all of them."""

    name: str | None
    sources: tuple[tuple[str, tuple[_Source, ...]], ...]
    kinds: tuple[_Kind, ...]
    own_retries: bool
    goes_on_by_http: bool


class _Open(NamedTuple):
    """A column for whose value the body or the path may have to be asked: those sources, and what holds otherwise."""

    column: str
    sources: tuple[tuple[_Source, Mapping[str, str] | None], ...]
    otherwise: str | None


class Caller:
    """The program that sent a request. Its headers are read once, the rest for each call."""

    __slots__ = ("_known", "_open", "goes_on_by_http")

    def __init__(self, agent: _Agent, version: str | None, headers: Headers) -> None:
        self.goes_on_by_http = agent.goes_on_by_http
        """It makes its call by HTTP where its WebSocket is refused, unless that was for making too many."""
        self._known: Columns = {"agent": agent.name, "agent_version": version}
        self._open: list[_Open] = []
        for column, sources in agent.sources:
            self._read(column, [(source, None) for source in sources], headers)
        told = agent.kinds
        if "upgrade" in headers:
            told = tuple(kind for kind in told if kind.source.where in (_BODY, _PATH))
        self._read("request_kind", told, headers)
        if agent.own_retries:
            self._known["retry_count"] = None

    def columns(self, path: str, said: Said = NOTHING) -> Columns:
        """Return what the row of a call to `path` has of its caller.

        `said` is what the body, or a WebSocket's message, says.
        """
        columns = self._known.copy()
        for column, sources, otherwise in self._open:
            for source, words in sources:
                found = path if source.where == _PATH else said.get(source.field) and _parsed(said[source.field])
                if (value := _value(found, source.way, words)) is not None:
                    columns[column] = value
                    break
            else:
                if otherwise is not None:
                    columns[column] = otherwise
        return columns

    def _read(self, column: str, sources: Iterable[tuple[_Source, Mapping[str, str] | None]], headers: Headers) -> None:
        """Look for a column's value in the headers, as far as nothing that goes before may stand elsewhere."""
        asked: list[tuple[_Source, Mapping[str, str] | None]] = []
        value: str | None = None
        for source, words in sources:
            if source.where in (_BODY, _PATH):
                asked.append((source, words))
            elif (value := _value(headers.get(source.where), source.way, words)) is not None:
                break
        if asked:
            self._open.append(_Open(column, tuple(asked), value))
        elif value is not None:
            self._known[column] = value


def caller_of(headers: Headers) -> Caller:
    """Return who sends a request with these headers."""
    agent, version = _by_user_agent((headers.get("user-agent") or "")[:_LONGEST_USER_AGENT])
    if agent is _EVERYBODY:
        agent = next((_AGENTS[at] for at in sorted(_by_header(headers))), _EVERYBODY)
    return Caller(agent, version, headers)


@lru_cache(maxsize=1024)  # clients send the same few all day
def _by_user_agent(user_agent: str) -> tuple[_Agent, str | None]:
    for pattern, agent in _USER_AGENTS:
        if found := pattern.match(user_agent):
            return agent, text(found["version"])
    return _EVERYBODY, None


def _by_header(headers: Headers) -> list[int]:
    return [at for name in _SIGNS.keys() & headers.keys() for sign, at in _SIGNS[name] if sign.match(headers[name])]


def _value(found: object, way: Iterable[str | re.Pattern[str]], words: Mapping[str, str] | None) -> str | None:
    """Return what stands at the end of the way from `found`, or what it means; None if that is nothing."""
    if found is None:
        return None
    for step in way:
        if (found := _step(found, step)) is None:
            return None
    if type(found) is bool or type(found) is int:
        found = str(found).lower()
    value = text(found)
    return value if words is None or value is None else words.get(value) or words.get(_ANY)


def _step(found: object, step: str | re.Pattern[str]) -> object:
    if isinstance(step, re.Pattern):
        matched = step.search(found) if isinstance(found, str) else None
        return matched.group(matched.re.groups and 1) if matched else None
    if isinstance(found, str):
        if len(found) > _LONGEST_JSON:
            return None
        found = _parsed(found.replace("__", '"') if found.startswith("{__") else found)  # see framing.abridging.Strings
    if not isinstance(found, dict):
        return None
    if step == _FIRST:
        return next(iter(found), "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    return found.get(step)


@lru_cache(maxsize=16)  # several columns come from one text
def _parsed(written: str | bytes) -> object:
    try:
        return _JSON.decode(written)
    except (ValueError, RecursionError):
        return None


def _source(written: str) -> _Source:
    where, *way = written.split(" ")
    field = way.pop(0) if where == _BODY else ""
    return _Source(where, field, tuple(re.compile(step[1:]) if step[0] == _SEARCH else step for step in way))


def _sources(written: Mapping[str, Any], fallback: Mapping[str, Any]) -> tuple[tuple[str, tuple[_Source, ...]], ...]:
    listed = {column: (*written.get(column, ()), *fallback.get(column, ())) for column in IDENTIFIERS}
    return tuple((column, tuple(map(_source, sources))) for column, sources in listed.items() if sources)


def _kinds(*tables: Mapping[str, Any]) -> tuple[_Kind, ...]:
    return tuple(
        _Kind(_source(kind["at"]), {word: means for word, means in kind.items() if word != "at"})
        for table in tables
        for kind in table.get("kinds", ())
    )


def _agents(written: Mapping[str, Any], every: Mapping[str, Any]) -> _Agent:
    return _Agent(
        written.get("name"),
        _sources(written, every),
        _kinds(every, written),
        written.get("own_retries", False),
        written.get("goes_on_by_http", False),
    )


def _read(path: Path) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return table["any"], table["agent"]


_every, _written = _read(Path(__file__).with_name("agents.toml"))
_EVERYBODY = _agents({}, _every)
_AGENTS = tuple(_agents(agent, _every) for agent in _written)
_USER_AGENTS = tuple(
    (re.compile(known["user_agent"]), agent)
    for known, agent in zip(_written, _AGENTS, strict=True)
    if "user_agent" in known
)
_SIGNS: dict[str, list[tuple[re.Pattern[str], int]]] = {}
for _at, _known in enumerate(_written):
    for _name, _sign in _known.get("headers", {}).items():
        _SIGNS.setdefault(_name, []).append((re.compile(_sign), _at))
HEADERS: Final = frozenset(
    {source.where for agent in (_EVERYBODY, *_AGENTS) for _, sources in agent.sources for source in sources}
    | {kind.source.where for agent in (_EVERYBODY, *_AGENTS) for kind in agent.kinds}
    | {*_SIGNS}
) - {_BODY, _PATH}
"""The headers that anything is read from, beside User-Agent and Upgrade."""
