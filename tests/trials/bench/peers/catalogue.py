"""The peers, as data: what each is called, and what prepares it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.trials.bench.peers import envoy, interpreter, litellm, patched
from tests.trials.bench.peers.environment import NotHadError
from tests.trials.bench.systems import System


@dataclass(frozen=True)
class Peer:
    """A system that may not be to be had; `usual` is one that is measured unless it is left out."""

    name: str
    title: str
    prepared: Callable[[], System]
    usual: bool = True


def peers(python: Path | None = None) -> tuple[Peer, ...]:
    """Return all of them; `python` is the optimised one to take."""
    return (
        Peer(envoy.NAME, envoy.TITLE, envoy.prepared),
        Peer(litellm.NAME, litellm.TITLE, litellm.prepared),
        Peer(interpreter.FLOOR, interpreter.FLOOR_TITLE, partial(interpreter.prepared, interpreter.FLOOR, python)),
        Peer(interpreter.OURS, interpreter.OURS_TITLE, partial(interpreter.prepared, interpreter.OURS, python)),
        *(
            Peer(f"patch-{name}", patched.title(name), partial(patched.prepared, name), usual=False)
            for name in (*patched.NAMES, patched.BOTH)
        ),
    )


PEERS = peers()


def prepared(wanted: Iterable[Peer], not_run: dict[str, str]) -> list[System]:
    """Prepare peers, and return those that can be had; why one cannot is put into `not_run`."""
    found = []
    for peer in wanted:
        try:
            found.append(peer.prepared())
        except NotHadError as error:
            not_run[peer.name] = str(error)
    return found
