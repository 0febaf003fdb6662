"""Processes that start in milliseconds: they are forked from one that has no threads and has imported what they run."""

from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

_CONTEXT = get_context("forkserver")
_imported: list[str] = []


def forking(*modules: str) -> ForkServerContext:
    """Say what processes will run, before the first of them starts; there is one such server for all who ask."""
    _imported.extend(one for one in modules if one not in _imported)
    _CONTEXT.set_forkserver_preload(_imported)
    return _CONTEXT
