"""An agent, as the catalogue describes it before it is tried."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.trials.clients.agents.dialects import Json
from tests.trials.clients.client import Installed

SAID: Final = "{said}"
"""Stands in a command line for what a person says."""
MORE: Final = "{more}"
"""Stands in a command line for the words that a compaction needs."""


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """The way to have an agent replace its conversation by a summary of it."""

    words: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    room: int = 900_000  # tokens that are too many for it
    kinds: frozenset[str | None] = frozenset({"main", "compaction"})  # of the calls


@dataclass(frozen=True, kw_only=True)
class Agent(Installed):
    """A program that calls tools, and what it needs."""

    name: str | None  # the column `agent`; None: it does not say who it is
    command: tuple[str, ...]  # its first word is a program of its environment
    keys: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)  # below its home folder
    before: tuple[tuple[str, ...], ...] = ()  # commands like `command`, without a call
    after: tuple[tuple[str, ...], ...] = ()  # commands that end what it leaves running
    also: Mapping[str, Json] = field(default_factory=dict)  # what the provider answers to other requests
    trusts: tuple[str, ...] = ("SSL_CERT_FILE",)  # each of them does alone
    needs: tuple[str, ...] = ("HTTPS_PROXY",)
    session: str = (
        ""  # a pattern whose group is the session, in what the agent prints; "": it says none to the provider
    )
    own_sessions: bool = False  # of its sub-agents
    says: Mapping[str, str] = field(default_factory=dict)  # other columns
    has_own_version: bool = True  # of its package
    kinds: frozenset[str | None] = frozenset({None})  # of the calls of a turn with a tool
    has_tools: bool = True
    compaction: Compaction | None = None
    delegates: bool = False  # it has sub-agents without being told to
    note: str = ""  # what of it is tried
    upgrades: bool = False  # it calls over a WebSocket, if it can
