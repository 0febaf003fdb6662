"""What the fast path relies on of mitmproxy: its source, to the letter.

A layer repeats or wraps a few functions of mitmproxy. It is right for the functions as they are here; of a release in
which one differs, or where another addon has put its own in place, nothing is known.
"""

import contextlib
import dataclasses
import hashlib
import inspect
import reprlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from mitmproxy import addonmanager, version
from mitmproxy.proxy import mode_servers, server

DISPATCH: Final[Mapping[str, str]] = {
    "AddonManager.trigger_event": "b763c59bc4992e33030d38fe5a62368b",
    "AddonManager.invoke_addon": "13180532440359de4072c45e3f24aa3a",
    "AddonManager._iter_hooks": "350b419ab7284091f6341cbeb463bf60",
    "AddonManager.handle_lifecycle": "38c97e792d1db5b7cb8a6b71ff30fe88",
    "traverse": "bad3d9f88bdf9269a3a1380948222f64",
    "safecall": "f2052c18340e99b029865b6c9aae1ae3",
}
"""Names in `mitmproxy.addonmanager`, each with the digest of its source. Read in 12.2.3 and 12.3.1."""

WRITES: Final[Mapping[str, str]] = {
    "ConnectionIO": "f498a46ab1b0f40f9c407fb642145167",
    "ConnectionHandler": "883094e30ed5d80f695fabe8dad7a1a3",
    "LiveConnectionHandler": "02b7533543563879f1f74d310a71646c",
}
"""Names in `mitmproxy.proxy.server`."""

HANDLERS: Final[Mapping[str, str]] = {"ProxyConnectionHandler": "0c487d4b86566aa30f039ae0b2556bae"}
"""Names in `mitmproxy.proxy.mode_servers`."""


class UnknownMitmproxyError(Exception):
    """This mitmproxy is another than the fast path knows. `str(error)` says where."""


def check_dispatch() -> None:
    """Check what `dispatch` relies on.

    Raises:
        UnknownMitmproxyError: something differs.
    """
    _check(addonmanager, DISPATCH)


def check_writes() -> None:
    """Check what `writes` relies on.

    Raises:
        UnknownMitmproxyError: something differs.
    """
    _check(server, WRITES)
    _check(mode_servers, HANDLERS)


def check_manager(manager: addonmanager.AddonManager) -> None:
    """Check that nobody else has replaced the manager, or its method.

    Raises:
        UnknownMitmproxyError: somebody has.
    """
    if type(manager) is not addonmanager.AddonManager or "trigger_event" in vars(manager):
        message = "another addon has replaced trigger_event"
        raise UnknownMitmproxyError(message)


def digest(thing: Any) -> str:  # noqa: ANN401 - a function or a class
    """Return the digest of a function's or a class's source, and of the functions that a class has of it."""
    said = inspect.getsource(thing)
    if isinstance(thing, type):
        file = inspect.getsourcefile(thing)
        own = sorted(
            n for n, one in vars(thing).items() if inspect.isfunction(one) and one.__code__.co_filename == file
        )
        said += "\n".join(own)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _check(module: ModuleType, digests: Mapping[str, str]) -> None:
    for name, right in digests.items():
        try:
            thing: Any = module
            for part in name.split("."):
                thing = getattr(thing, part)
            found = digest(thing)
        except (AttributeError, OSError, TypeError) as error:
            message = f"mitmproxy {version.VERSION}: {name} cannot be read ({type(error).__name__})"
            raise UnknownMitmproxyError(message) from error
        if found != right or not _is_as_written(thing, module):
            message = f"mitmproxy {version.VERSION}: {name} is another than is known"
            raise UnknownMitmproxyError(message)


def _is_as_written(thing: Any, module: ModuleType) -> bool:  # noqa: ANN401
    """Tell whether nobody has put other functions in place: a class's source, or a wrapped function's, hides those."""
    functions = vars(thing).values() if isinstance(thing, type) else [thing]
    decorators = {contextlib.__file__, dataclasses.__file__, reprlib.__file__, "<string>"}  # that mitmproxy uses there
    files = decorators | {module.__file__}
    return all(one.__code__.co_filename in files for one in functions if inspect.isfunction(one))
