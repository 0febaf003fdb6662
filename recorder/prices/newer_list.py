"""A list of prices that is newer than the installed one: `llm-metrics prices update` fetches it, only when asked.

It lies beside the database, as prices.toml does, so that every process that prices its calls finds the same one. It
counts until the package genai-prices is another one than it was fetched with: a release of that is newer again.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
from genai_prices import __version__, data_snapshot
from genai_prices.update_prices import DEFAULT_UPDATE_URL

from llm_metrics_proxy.recorder.errors import BadPrices
from llm_metrics_proxy.recorder.prices import charging, price_list

NAME: Final = "genai-prices.json"
AGAIN: Final = "run 'llm-metrics prices update' again, or delete the file"

_FEWEST: Final = 10  # providers: a list of less is another document
_MOST_BYTES: Final = 64 << 20
_SECONDS: Final = 30.0
_DAY: Final = 10


class Fetched(msgspec.Struct, frozen=True):
    """The file: the list as it was published, when, and for which version of the package."""

    version: str
    fetched_at: str
    providers: list[Any]


_used: list[str] = []  # the day of the list that is used, if it is a fetched one


def source() -> str:
    """Return the list in use, as the column `cost_source` names it."""
    return f"genai-prices {__version__}{f' of {_used[0]}' if _used else ''}"


def place(database: Path) -> Path:
    """Return where the list of a database is, there or not."""
    try:
        return database.resolve().parent / NAME
    except (OSError, ValueError):
        return database.parent / NAME


def use(database: Path) -> bool:
    """Price by the list beside the database if there is one, else by the installed one; tell which.

    Raises:
        BadPrices: the file cannot be read, or is of a form that this version does not know.
    """
    path = place(database)
    fetched = _read(path) if path.is_file() else None
    if fetched is None or fetched.version != __version__:
        if _used:
            _set(None, "")
        return False
    try:
        _set(_snapshot(fetched.providers), fetched.fetched_at[:_DAY])
    except BadPrices as error:
        raise BadPrices(what=f"The list of prices {path} is {error.what}", cure=AGAIN) from error
    return True


def update(database: Path, url: str | None = None) -> tuple[Path, int]:
    """Fetch the list that genai-prices publishes, and keep it beside the database; return where, and its models.

    Nothing is kept of a list that cannot be used.

    Raises:
        BadPrices: it cannot be fetched or kept, or is none.
    """
    url = url or DEFAULT_UPDATE_URL
    providers = _fetch(url)
    try:
        snapshot = _snapshot(providers)
    except BadPrices as error:
        cure = "update the package genai-prices, or try again later; prices stay as they were"
        raise BadPrices(what=f"What {url} answered is {error.what}", cure=cure) from error
    path = place(database)
    fetched = Fetched(__version__, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", providers)
    aside = path.with_name(f"{NAME}.{os.getpid()}.part")
    try:
        with aside.open("xb") as file:
            file.write(msgspec.json.encode(fetched))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        what = f"The list of prices cannot be kept at {path} ({error.strerror})"
        raise BadPrices(what=what, cure="make the folder writable; prices stay as they were") from error
    return path, sum(len(provider.models) for provider in snapshot.providers)


def fetched_at(database: Path) -> str | None:
    """Return when the list in use was fetched; None if it is the installed one."""
    return _read(place(database)).fetched_at if use(database) else None


def _fetch(url: str) -> list[Any]:
    """Ask for the list as genai-prices' own updater does: with the environment's proxy and certificates."""
    try:
        answer = httpx2.get(url, timeout=httpx2.Timeout(timeout=_SECONDS, connect=10), follow_redirects=True)
        answer.raise_for_status()
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")[:200] if str(error) else type(error).__name__
        what = f"The list of prices cannot be fetched from {url} ({reason})"
        cure = "check the network, HTTPS_PROXY and SSL_CERT_FILE; prices stay as they were"
        raise BadPrices(what=what, cure=cure) from error
    try:
        providers = json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        what = f"What {url} answered is no JSON"
        raise BadPrices(what=what, cure="try again later; prices stay as they were") from error
    if not isinstance(providers, list):
        what = f"What {url} answered is a list of prices in another form than this version of genai-prices reads"
        raise BadPrices(what=what, cure="update the package genai-prices; prices stay as they were")
    return providers


def _read(path: Path) -> Fetched:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=Fetched)
    except OSError as error:
        what = f"The list of prices {path} cannot be read ({error.strerror})"
        raise BadPrices(what=what, cure="make it readable, or delete it") from error
    except (ValueError, RecursionError) as error:
        raise BadPrices(what=f"The list of prices {path} is damaged", cure=AGAIN) from error


def _snapshot(raw: list[Any]) -> data_snapshot.DataSnapshot:
    """Check a list, and make it usable.

    Raises:
        BadPrices: it is none that this version can read.
    """
    from genai_prices import types  # noqa: PLC0415 - what it has for this is its own, and may be gone

    try:
        providers = types._providers_from_raw(raw)  # noqa: SLF001 - no public name reads a list that was kept
    except AttributeError as error:
        what = f"of no use to genai-prices {__version__}, which reads none from a file"
        raise BadPrices(what=what, cure="install an older one") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadPrices(what="a list of prices in a form that this version does not know", cure=AGAIN) from error
    if len(providers) < _FEWEST:
        raise BadPrices(what="no list of prices: it names too few providers", cure=AGAIN)
    return data_snapshot.DataSnapshot(providers, from_auto_update=True)


def _set(snapshot: data_snapshot.DataSnapshot | None, day: str) -> None:
    data_snapshot.set_custom_snapshot(snapshot)
    price_list.forget()
    charging.forget()
    _used[:] = [day] if day else []
