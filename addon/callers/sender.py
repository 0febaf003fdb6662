"""Senders: all that a request's headers say of who sends it, read once, for a program sends the same with each call."""

from functools import lru_cache
from typing import Final, NamedTuple

from llm_metrics_proxy.addon.callers import agents
from llm_metrics_proxy.addon.callers.agents import Caller, caller_of
from llm_metrics_proxy.addon.headers import REQUEST, Columns, Headers, credentials, may_be_secret, request_columns
from llm_metrics_proxy.addon.providers import terms
from llm_metrics_proxy.addon.providers.terms import Key, key_in

_OF_ONE_CALL: Final = "traceparent"  # the one header of ours that is another one each time
_READ: Final = (REQUEST | agents.HEADERS | terms.HEADERS | {"user-agent", "upgrade"}) - {_OF_ONE_CALL}
_LONGEST: Final = 4096  # characters of headers, and
_MOST: Final = 256  # senders: what is remembered is bounded
_MOST_NAMES: Final = 1024


class Sender(NamedTuple):
    """A program, as requests name it."""

    columns: Columns
    """The facts that its headers alone give."""
    caller: Caller
    key: Key
    secrets: tuple[str, ...]
    """All that must not be kept, of headers and query."""


class _Telling(dict[str, bool]):
    """True for the name of a header that is read here."""

    def __missing__(self, name: str) -> bool:
        tells = name in _READ or (may_be_secret(name) and name != _OF_ONE_CALL)
        if len(self) >= _MOST_NAMES:
            self.clear()
        self[name] = tells
        return tells


_TELLS = _Telling()


def sender_of(headers: Headers, query: str) -> Sender:
    """Return who sends a request. Only headers that `_READ` names, or that are named like secrets, count."""
    telling = tuple([field for field in headers.items() if _TELLS[field[0]]])
    look_up = _sender if sum([len(value) for _, value in telling]) <= _LONGEST else _sender.__wrapped__
    sender = look_up(telling)
    if (trace := headers.get(_OF_ONE_CALL)) is not None:
        sender = sender._replace(columns=sender.columns | request_columns({_OF_ONE_CALL: trace}))
    return sender._replace(secrets=(*sender.secrets, *credentials({}, query))) if query else sender


@lru_cache(maxsize=_MOST)
def _sender(fields: tuple[tuple[str, str], ...]) -> Sender:
    headers = dict(fields)
    return Sender(request_columns(headers), caller_of(headers), key_in(headers), tuple(credentials(headers, "")))
