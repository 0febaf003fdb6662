"""All checks, in the order in which a call passes the things that they check."""

from collections.abc import Iterator

from llm_metrics_proxy.recorder.doctor import (
    Check,
    Circumstances,
    authority,
    clients,
    connect,
    port,
    proxy_variables,
    storage,
    versions,
)


def examine(at: Circumstances) -> Iterator[Check]:
    """Check everything; each result comes as soon as it is known."""
    yield from proxy_variables.look(at)
    yield from proxy_variables.look_at_no_proxy(at)
    found = port.ask(at)
    yield found.check
    yield authority.look(at, found)
    yield from authority.look_at_files(at)
    yield from clients.look(at, found)
    yield connect.look(at, found)
    yield from storage.look(at, found)
    yield from versions.look()
