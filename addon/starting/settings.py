"""The addon's options: declared as one table, checked as a whole, and refused in one sentence.

All are texts to mitmproxy: for a script's option of another type that gets a wrong value, or for any option given
twice, it serves without the addon and says nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_metrics_proxy.addon.admission import host_in
from llm_metrics_proxy.addon.callers.labels import is_name
from llm_metrics_proxy.addon.fastpath.names import LAYERS

PREFIX = "metrics_"

OPTIONS: Mapping[str, str] = {
    "metrics_db": "The SQLite file to record into. Default: environment LLM_METRICS_DB, else metrics.db.",
    "metrics_hosts": "More LLM hosts: a regular expression that is searched in the host name.",
    "metrics_intercept_all": "Open the TLS of every host, not only of LLM providers (true or false). Default: false.",
    "metrics_include_usage": "Ask OpenAI-style streams for their usage (true or false). Default: false.",
    "metrics_backup_dir": "The only place for backups. Default: backups/ beside the database, else in the home folder.",
    "metrics_backup_interval": "How old the newest backup may become, such as 1d, or off. Default: 1d.",
    "metrics_retention": "How old calls may become, such as 90d, before they are deleted. Default: all are kept.",
    "metrics_prices": "A file of own prices. Default: prices.toml beside the database, if it is there.",
    "metrics_on_database_error": "At a start with a database that cannot be used: exit or spill. Default: exit.",
    "metrics_log_format": "Log lines as text or json. Default: text.",
    "metrics_published": "HOST:PORT where clients reach the proxy, if that is not where it listens. For containers.",
    "metrics_allowed_hosts": "More names under which reverse ports answer, separated by commas; .NAME is all below it.",
    "metrics_tunnelled_hosts": "Keep the names of hosts that passed unread (true or false). Default: true.",
    "metrics_baggage_labels": "Names in the header baggage that become labels, separated by commas. Default: none.",
    "metrics_fast_path": "What is made faster: auto, off, or some of dispatch,writes,bypass,messages. Default: auto.",
    "metrics_queue_size": "Events that may wait for the database before new ones are dropped. Default: 10000.",
}
"""Name and help of every option."""

_QUEUE_SIZES = range(1, 10_000_001)
_PORTS = range(1, 65_536)
_MOST_DIGITS = 8
_BOOLEANS = {"true": True, "false": False}


class BadOption(ValueError):  # noqa: N818 - read as a sentence
    """An option cannot be used. `str(error)` is one sentence for the person who set it."""


@dataclass(frozen=True)
class Settings:
    """Values of the options."""

    database: str | None
    hosts: re.Pattern[str] | None
    intercept_all: bool
    include_usage: bool
    backup_dir: Path | None
    backup_interval: str | None
    retention: str | None
    prices: Path | None
    spills: bool
    published: tuple[str, int] | None
    allowed_hosts: tuple[str, ...]
    tunnelled_hosts: bool
    baggage_labels: tuple[str, ...]
    fast_path: tuple[str, ...]
    queue_size: int

    def names(self, host: str) -> bool:
        """Tell whether `metrics_hosts` names this host."""
        return self.hosts is not None and self.hosts.search(host) is not None


def check_given(deferred: dict[str, Any]) -> None:
    """Check what was typed, before mitmproxy does: `deferred` are its options that nobody has declared yet.

    A value is an object with a list of texts, `val`, from the command line, and a bare value from a configuration
    file, where `true` and `5000` are no texts: those become texts here.

    Raises:
        BadOption: a name that begins with `metrics_` is unknown, has no value, or has several.
    """
    for name in [name for name in deferred if name.startswith(PREFIX)]:
        if name not in OPTIONS:
            message = f"There is no option {name}: the options are {', '.join(OPTIONS)}."
            raise BadOption(message)
        given = deferred[name]
        values = given.val if hasattr(given, "val") else [] if given is None else [given]
        if len(values) > 1:
            message = f"{name} is given {len(values)} times: give it once."
            raise BadOption(message)
        if not values or not str(values[0]).strip():
            message = f"{name} has no value: write --set {name}=VALUE."
            raise BadOption(message)
        if not isinstance(values[0], str | int | float):
            message = f"{name} takes one value: write {name}: VALUE."
            raise BadOption(message)
        if not hasattr(given, "val"):
            deferred[name] = str(given).lower() if isinstance(given, bool) else str(given)


def parse(values: Mapping[str, str | None]) -> Settings:
    """Make settings of the options' texts; None is the default.

    Raises:
        BadOption: a value is not what the option takes.
    """
    _choice("metrics_log_format", values["metrics_log_format"], ("text", "json"))  # read by log_lines.py, much earlier
    return Settings(
        database=values["metrics_db"],
        hosts=_pattern("metrics_hosts", values["metrics_hosts"]),
        intercept_all=_boolean("metrics_intercept_all", values["metrics_intercept_all"]),
        include_usage=_boolean("metrics_include_usage", values["metrics_include_usage"]),
        backup_dir=_path("metrics_backup_dir", values["metrics_backup_dir"]),
        backup_interval=_unless_off(values["metrics_backup_interval"] or "1d"),
        retention=values["metrics_retention"],
        prices=_path("metrics_prices", values["metrics_prices"]),
        spills=_choice("metrics_on_database_error", values["metrics_on_database_error"], ("exit", "spill")) == "spill",
        published=_address("metrics_published", values["metrics_published"]),
        allowed_hosts=_host_names("metrics_allowed_hosts", values["metrics_allowed_hosts"]),
        tunnelled_hosts=_boolean("metrics_tunnelled_hosts", values["metrics_tunnelled_hosts"], default=True),
        baggage_labels=_label_names("metrics_baggage_labels", values["metrics_baggage_labels"]),
        fast_path=_layers("metrics_fast_path", values["metrics_fast_path"]),
        queue_size=_queue_size("metrics_queue_size", values["metrics_queue_size"]),
    )


def _pattern(name: str, value: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(value, re.IGNORECASE) if value else None
    except (re.error, OverflowError, RecursionError) as error:
        message = f"{name} must be a regular expression, and {_shown(value)} is none ({error})."
        raise BadOption(message) from error


def _boolean(name: str, value: str | None, *, default: bool = False) -> bool:
    if value is None:
        return default
    try:
        return _BOOLEANS[value.strip().lower()]
    except KeyError:
        message = f"{name} must be true or false, not {_shown(value)}."
        raise BadOption(message) from None


def _choice(name: str, value: str | None, choices: Sequence[str]) -> str:
    chosen = (value or choices[0]).strip().lower()
    if chosen not in choices:
        message = f"{name} must be {' or '.join(choices)}, not {_shown(value)}."
        raise BadOption(message)
    return chosen


def _layers(name: str, value: str | None) -> tuple[str, ...]:
    given = [word.strip().lower() for word in (value or "auto").split(",")]
    if given in (["auto"], ["off"]):
        return LAYERS if given == ["auto"] else ()
    if not set(given) <= set(LAYERS):
        message = f"{name} must be auto, off, or some of {','.join(LAYERS)}, not {_shown(value)}."
        raise BadOption(message)
    return tuple(layer for layer in LAYERS if layer in given)


def _unless_off(value: str) -> str | None:
    return None if value.strip().lower() == "off" else value


def _queue_size(name: str, value: str | None) -> int:
    if value is None:
        return 10_000
    number = _whole(value.strip())
    if number is None or number not in _QUEUE_SIZES:
        message = f"{name} must be a whole number from {_QUEUE_SIZES[0]} to {_QUEUE_SIZES[-1]}, not {_shown(value)}."
        raise BadOption(message)
    return number


def _whole(digits: str) -> int | None:
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else None


def _address(name: str, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    name_or_number, _, port = value.strip().rpartition(":")
    host, number = host_in(name_or_number), _whole(port)
    if host is None or host_in(value.strip()) is None or number is None or number not in _PORTS:
        message = f"{name} must be a host and a port, such as 127.0.0.1:8080, not {_shown(value)}."
        raise BadOption(message)
    return str(host), number


def _host_names(name: str, value: str | None) -> tuple[str, ...]:
    given = tuple(one for word in (value or "").split(",") if (one := word.strip()))
    for one in given:
        if host_in(one.removeprefix(".")) is None:
            message = f"{name} must be host names separated by commas, and {_shown(one)} is none."
            raise BadOption(message)
    return given


def _label_names(name: str, value: str | None) -> tuple[str, ...]:
    given = tuple(one for word in (value or "").split(",") if (one := word.strip().lower()))
    for one in given:
        if not is_name(one):
            message = f"{name} must be names of labels separated by commas, and {_shown(one)} is none."
            raise BadOption(message)
    return given


def _path(name: str, value: str | None) -> Path | None:
    try:
        return Path(value).expanduser() if value else None
    except RuntimeError as error:
        message = f"{name} names a home folder that does not exist: {_shown(value)}."
        raise BadOption(message) from error


def _shown(value: str | None) -> str:
    """Return a value as a sentence may quote it."""
    return repr((value or "")[:100])
