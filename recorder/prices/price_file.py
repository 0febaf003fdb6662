"""The user's own prices: a small TOML file, for models that nobody else has a price of, or that are billed otherwise.

    [[price]]
    model = "my-llama-*"    # as asked for or as answered; * ? [abc] as in file names, upper or lower case
    provider = "custom"     # optional: as in the column `provider`
    tier = "flex"           # optional: the service tier; without it the ordinary one
    from = 2026-03-01       # optional: the first day, in UTC
    input = 0.20            # US dollars for a million tokens
    output = 0.60
    cached = 0.05           # optional, as input without it: tokens read from a cache
    cache_write = 0.25      # optional, as input without it: tokens written to a cache

    [[alias]]
    model = "my-deployment" # as in a price
    provider = "azure.ai.openai"
    as = "gpt-5.5"          # the model whose prices hold
    list = "openai"         # optional: whose list they are in, if not the provider's own

The last entry that fits a call counts, so that general ones come first and later ones are exceptions.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.errors import BadPrices
from llm_metrics_proxy.recorder.store.files import read

DEFAULT_NAME: Final = "prices.toml"
TIERS: Final = ("batch", "fast", "flex", "priority", "reserved", "scale")
"""Service tiers that have prices of their own."""

_MILLION: Final = 1_000_000
_COUNTED: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_TABLES: Final = ("price", "alias")
_RATES: Final = ("input", "output", "cached", "cache_write")
_REQUIRED: Final = ("model", "input", "output")
_KEYS: Final = ("model", "provider", "tier", "from", *_RATES)
_ALIAS_KEYS: Final = ("model", "provider", "from", "as", "list")
_LARGEST_FILE: Final = 1 << 20  # bytes
_LONGEST: Final = 100  # characters of what is quoted
_GLOB: Final = frozenset("*?[")


class _Entry(msgspec.Struct, frozen=True):
    model: str
    provider: str | None
    since: str  # a timestamp as in the database; "" for ever

    def fits(self, models: tuple[str, ...], provider: str | None, timestamp: str) -> bool:
        """Tell whether this is about a call at `timestamp`, for any of the names of its model."""
        return (
            timestamp >= self.since
            and self.provider in (None, provider)
            and any(fnmatchcase(model.lower(), self.model) for model in models)
        )


class OwnPrice(_Entry, frozen=True):
    """One price; rates are US dollars for a million tokens."""

    input: Decimal
    output: Decimal
    cached: Decimal
    cache_write: Decimal
    tier: str  # "" for the ordinary one

    def cost(self, consumed: Mapping[str, float]) -> tuple[Decimal | None, tuple[str, ...]]:
        """Return what tokens cost, in US dollars, and what has no price here; None if no tokens were counted."""
        if "input_tokens" not in consumed:
            return None, ()
        prompt, completion, cached, cache_write = (Decimal(repr(consumed.get(name, 0))) for name in _COUNTED)
        dollars = (
            self.input * (prompt - cached - cache_write)
            + self.cached * cached
            + self.cache_write * cache_write
            + self.output * completion
        )
        lacking = (name for name, count in consumed.items() if count and not name.endswith("_tokens"))
        return dollars / _MILLION, tuple(lacking)

    def cache(self, consumed: Mapping[str, float]) -> tuple[Decimal, Decimal]:
        """Return what reads from a cache saved and writes to it cost beyond input that is no cache's, in US dollars."""
        cached, cache_write = (Decimal(repr(consumed.get(name, 0))) for name in _COUNTED[2:])
        return (self.input - self.cached) * cached / _MILLION, (self.cache_write - self.input) * cache_write / _MILLION


class Alias(_Entry, frozen=True):
    """The model whose prices hold for others: those of deployments, gateways and resellers."""

    name: str  # "" for the call's own
    list: str  # "" for that of the call's provider


class OwnPrices:
    """All entries of a file."""

    def __init__(self, entries: tuple[OwnPrice, ...] = (), aliases: tuple[Alias, ...] = ()) -> None:
        """In the order of the file."""
        self._entries = entries
        self._aliases = aliases

    def find(self, models: tuple[str, ...], provider: str | None, timestamp: str, tier: str = "") -> OwnPrice | None:
        """The last price that fits, if any does; one of the tier counts before one of the ordinary tier."""
        if not self._entries:
            return None
        fits = [one for one in reversed(self._entries) if one.fits(models, provider, timestamp)]
        of_tier = (one for one in fits if one.tier == tier)
        return next(of_tier, None) or next((one for one in fits if not one.tier), None)

    def names(self, model: str) -> bool:
        """Tell whether any entry is about a model, of whatever provider and time."""
        return any(fnmatchcase(model.lower(), one.model) for one in (*self._entries, *self._aliases))

    def alias_of(self, models: tuple[str, ...], provider: str | None, timestamp: str) -> Alias | None:
        """The last alias that fits, if any does."""
        if not self._aliases:
            return None
        return next((one for one in reversed(self._aliases) if one.fits(models, provider, timestamp)), None)


def place(chosen: Path | None, database: Path) -> Path | None:
    """Return the file that was chosen, there or not; else the one beside the database, if there is one."""
    if chosen is not None:
        return chosen
    try:
        beside = database.resolve().parent / DEFAULT_NAME
        return beside if beside.is_file() else None
    except (OSError, ValueError):  # no path, or a folder that may not be looked into: the start says that better
        return None


def load(chosen: Path | None, database: Path) -> OwnPrices:
    """The own prices: of the file that was chosen, else of `prices.toml` beside the database if it is there.

    Raises:
        BadPrices: the file cannot be read, or something in it is no price.
    """
    path = place(chosen, database)
    return OwnPrices() if path is None else _read(path, database)


def _read(path: Path, database: Path) -> OwnPrices:
    try:
        if not path.is_file():
            raise BadPrices(what=f"There is no file of prices at {path}", cure="give the path of one, or leave it out")
        if database.exists() and path.samefile(database):  # which only SQLite may open
            raise BadPrices(what=f"{path} is the database", cure="give the path of a file of prices")
        text = read(path, _LARGEST_FILE + 1)
    except OSError as error:
        what = f"The file of prices {path} cannot be read ({error.strerror})"
        raise BadPrices(what=what, cure="make it readable, or leave it out") from error
    if len(text) > _LARGEST_FILE:
        raise BadPrices(what=f"{path} has more than {_LARGEST_FILE:,} bytes", cure="give the path of a file of prices")
    import tomllib  # noqa: PLC0415 - 0.7 MB, and proxies without such a file import this module, too

    try:
        document = tomllib.loads(text.decode(), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        what = f"{path} is no TOML ({str(error).rstrip('.')[:_LONGEST]})"
        raise BadPrices(what=what, cure="mend that line") from error
    prices = tuple(_entry(name, one) for name, one in _tables(path, document, "price"))
    aliases = tuple(_alias(name, one) for name, one in _tables(path, document, "alias"))
    _refuse_circles(path, aliases)
    return OwnPrices(prices, aliases)


def _tables(path: Path, document: Mapping[str, object], table: str) -> list[tuple[str, Mapping[str, object]]]:
    """Return the entries of a table, each with its name for people."""
    cure = f"write each price under [[{_TABLES[0]}]] and each alias under [[{_TABLES[1]}]]"
    for key in document:
        if key not in _TABLES:
            raise BadPrices(what=f"{path} has {_quoted(key)}", cure=cure)
    entries = document.get(table, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadPrices(what=f"{path} has a {table!r} that is no table", cure=cure)
    return [(f"{table.capitalize()} {number} of {path}", entry) for number, entry in enumerate(entries, 1)]


def _alias(name: str, entry: Mapping[str, object]) -> Alias:
    _refuse_unknown(name, entry, _ALIAS_KEYS)
    if "model" not in entry:
        raise BadPrices(what=f"{name} has no 'model'", cure="add it")
    if not {"as", "list"} & entry.keys():
        raise BadPrices(what=f"{name} has neither 'as' nor 'list'", cure="add the model whose prices hold")
    provider = entry.get("provider")
    return Alias(
        model=_text(name, "model", entry["model"]).lower(),
        provider=None if provider is None else _text(name, "provider", provider),
        since=_since(name, entry["from"]) if "from" in entry else "",
        name=_text(name, "as", entry["as"]) if "as" in entry else "",
        list=_text(name, "list", entry["list"]) if "list" in entry else "",
    )


def _refuse_circles(path: Path, aliases: tuple[Alias, ...]) -> None:
    """An alias names a model of a list, and no other alias: one that leads back to itself is a mistake."""
    leads = {one.model: one.name.lower() for one in aliases if not _GLOB & set(one.model) and not one.list}
    for start, first in leads.items():
        seen, name = [start], first
        while name in leads and name not in seen:
            seen.append(name)
            name = leads[name]
        if name in seen:
            circle = " -> ".join([*seen, name])
            what = f"{path} has an alias that leads back to itself ({circle[:_LONGEST]})"
            raise BadPrices(what=what, cure="write the name of a model in 'as' that has a price")


def _refuse_unknown(name: str, entry: Mapping[str, object], keys: tuple[str, ...]) -> None:
    for key in entry:
        if key not in keys:
            raise BadPrices(what=f"{name} has {_quoted(key)}", cure=f"use only {', '.join(keys)}")


def _entry(name: str, entry: Mapping[str, object]) -> OwnPrice:
    _refuse_unknown(name, entry, _KEYS)
    for key in _REQUIRED:
        if key not in entry:
            raise BadPrices(what=f"{name} has no {key!r}", cure="add it")
    rates = {key: _rate(name, key, entry[key]) for key in _RATES if key in entry}
    model, provider = _text(name, "model", entry["model"]), entry.get("provider")
    return OwnPrice(
        model=model.lower(),
        provider=None if provider is None else _text(name, "provider", provider),
        since=_since(name, entry["from"]) if "from" in entry else "",
        input=rates["input"],
        output=rates["output"],
        cached=rates.get("cached", rates["input"]),
        cache_write=rates.get("cache_write", rates["input"]),
        tier=_tier(name, entry["tier"]) if "tier" in entry else "",
    )


def _tier(name: str, value: object) -> str:
    if value not in TIERS:
        what = f"{name} has 'tier' = {_quoted(value)}, which is no service tier"
        raise BadPrices(what=what, cure=f"write one of {', '.join(TIERS)}, or leave it out for the ordinary one")
    return str(value)


def _text(name: str, key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise BadPrices(what=f"{name} has {key!r} = {_quoted(value)}, which is no name", cure="write it in quotes")
    return value


def _rate(name: str, key: str, value: object) -> Decimal:
    number = Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
    if number is None or not number.is_finite() or not 0 <= number <= _MILLION:
        what = f"{name} has {key!r} = {_quoted(value)}, which is no price"
        raise BadPrices(what=what, cure="write US dollars for a million tokens, like 0.25")
    return number


def _since(name: str, value: object) -> str:
    if not isinstance(value, date) or isinstance(value, datetime):
        what = f"{name} has 'from' = {_quoted(value)}, which is no day"
        raise BadPrices(what=what, cure="write it without quotes, like 2026-03-01")
    return value.isoformat()


def _quoted(value: object) -> str:
    return repr(str(value) if isinstance(value, Decimal | date) else value)[:_LONGEST]
