"""Labels: who a call is for, in names and values that clients give, at most eight.

They come from headers `x-llm-label-NAME` of the request, from the user of the proxy's URL (`billing,team=search`), and
from W3C `baggage` as far as an option allows its names. Of one name the first of these counts. Whatever a client sends
is bounded, and what looks like a key is left out.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Final, NamedTuple
from urllib.parse import unquote

import msgspec

from llm_metrics_proxy.addon.headers import LABEL_HEADER, Headers
from llm_metrics_proxy.addon.privacy import masked
from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.recorder.events import LABEL_NAME, LONGEST_LABEL, MOST_LABELS

PREFIX: Final = "x-llm-label-"
LEFT_OUT: Final = "labels_left_out"
"""The counter of calls of which a label was not kept."""

_NAME = re.compile(LABEL_NAME)
_OURS = "x-llm-"
_BAGGAGE = "baggage"
_BETWEEN = re.compile(r"[;,]")
_LONGEST_LOOKED_AT = 1024  # characters of a value: what is cut off may not be the rest of a secret
_LONGEST_BAGGAGE = 8192
_MOST_LOOKED_AT = 4 * MOST_LABELS  # of one kind
_ENCODER = msgspec.json.Encoder(order="deterministic")

type Said = Iterable[tuple[str, str]]
"""Names and values as they were written."""


class Labels(NamedTuple):
    """The labels of a call as JSON, and whether any were given that are not in it."""

    json: str | None
    some_left_out: bool


NONE: Final = Labels(None, some_left_out=False)


def for_the_proxy(headers: Headers) -> list[str]:
    """Return the names of those headers that a client sends to the proxy alone; they never leave it."""
    return [name for name in headers if name.startswith(_OURS) and (name.startswith(PREFIX) or name == LABEL_HEADER)]


def is_name(name: str) -> bool:
    """Tell whether a label can have this name."""
    return _NAME.fullmatch(name) is not None


def origin_in(user: str | None) -> str | None:
    """Return who calls, of a user of the proxy's URL in which labels may stand."""
    return user if user is None or not _may_have_labels(user) else _parts(user)[0]


def labels_of(
    ours: Headers, user: str | None, headers: Headers, baggage: Sequence[str], secrets: Sequence[str]
) -> Labels:
    """Return the labels of a request.

    `ours` are the headers for the proxy, `user` that of its URL, `headers` the others, `baggage` the names that may be
    taken from there, `secrets` what the request has of those.
    """
    sources: list[Said] = []
    if ours:
        sources.append((name[len(PREFIX) :], value) for name, value in ours.items() if name.startswith(PREFIX))
    if user is not None and _may_have_labels(user):
        sources.append(_parts(user)[1])
    if baggage and _BAGGAGE in headers:
        sources.append(_in_baggage(headers[_BAGGAGE], baggage))
    return _merged(sources, secrets) if sources else NONE


def _merged(sources: Iterable[Said], secrets: Sequence[str]) -> Labels:
    found: dict[str, str] = {}
    some_left_out = False
    for source in sources:
        said = iter(source)
        for name, written in islice(said, _MOST_LOOKED_AT):
            looked_at = written[:_LONGEST_LOOKED_AT].strip()
            if not is_name(name) or not looked_at:
                some_left_out = True
            elif name not in found:
                found[name] = looked_at
        some_left_out = some_left_out or next(said, None) is not None
    if found and not _is_clean("\n".join(chain(found, found.values())), secrets):  # which is one look as a rule
        clean = {name: value for name, value in found.items() if all(_is_clean(one, secrets) for one in (name, value))}
        some_left_out, found = some_left_out or len(clean) < len(found), clean
    kept = {name: text(value, LONGEST_LABEL) for name, value in islice(found.items(), MOST_LABELS)}
    return Labels(_ENCODER.encode(kept).decode() if kept else None, some_left_out or len(kept) < len(found))


def _is_clean(said: str, secrets: Sequence[str]) -> bool:
    return masked(said, secrets) == said


def _may_have_labels(user: str) -> bool:
    return "=" in user or "%3d" in user.lower()


@lru_cache(maxsize=256)  # clients send the same few all day
def _parts(user: str) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Return who calls, and the labels: all of it is who calls where it has no label, as in base64."""
    whole = user
    if "=" not in user:  # of a client that sends a URL's spelling as it stands there
        user = unquote(user)
    plain: str | None = None
    labels: list[tuple[str, str]] = []
    for part in _BETWEEN.split(user):
        name, _, value = part.strip().partition("=")
        if value.strip("= ") and is_name(name := name.lower()):
            labels.append((name, value))
        elif plain is None:
            plain = part.strip() or None
    return (plain, tuple(labels)) if labels else (whole, ())


def _in_baggage(written: str, allowed: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the members of `baggage` (W3C) with these names, without their properties."""
    for member in written[:_LONGEST_BAGGAGE].split(","):
        name, _, rest = member.partition("=")
        if (name := name.strip().lower()) in allowed:
            yield name, unquote(rest.partition(";")[0].strip())
