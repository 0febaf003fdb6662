"""All checks, in the order in which a call passes what they look at."""

from collections.abc import Iterator

from llm_metrics_proxy.recorder.doctor import (
    authority,
    clients,
    connect,
    no_proxy,
    port,
    proxy_variables,
    storage,
    trust_files,
    versions,
)
from llm_metrics_proxy.recorder.doctor.circumstances import Circumstances
from llm_metrics_proxy.recorder.doctor.result import Check


def examine(at: Circumstances) -> Iterator[Check]:
    """Check everything; each result comes as soon as it is known."""
    yield from proxy_variables.look(at)
    yield from no_proxy.look_at_no_proxy(at)
    found = port.ask(at)
    yield found.check
    yield authority.look(at, found)
    yield from trust_files.look_at_files(at)
    yield from clients.look(at, found)
    yield connect.look(at, found)
    yield from storage.look(at, found)
    yield from versions.look()
