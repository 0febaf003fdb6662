"""What the fast path relies on of mitmproxy: its source, to the letter.

A layer repeats or wraps a few functions of mitmproxy. It is right for the functions as they are here; of a release in
which one differs, or where another addon has put its own in place, nothing is known.
"""

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from h11 import _readers, _receivebuffer
from mitmproxy import addonmanager, version
from mitmproxy import http as mitmproxy_http
from mitmproxy.proxy import layer, mode_servers, server, tunnel, utils
from mitmproxy.proxy.layers import http, modes, tls
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.utils import typecheck

_OURS: Final = str(Path(__file__).parent.parent / "http_layer.py")
"""The file whose functions wrap some of mitmproxy's, and call them."""

type Digests = Mapping[ModuleType, Mapping[str, str]]
"""Names in a module, each with the digest of its source. Read in mitmproxy 12.2.3 and 12.3.1, and h11 0.16."""

DISPATCH: Final[Digests] = {
    addonmanager: {
        "AddonManager.trigger_event": "b763c59bc4992e33030d38fe5a62368b",
        "AddonManager.invoke_addon": "13180532440359de4072c45e3f24aa3a",
        "AddonManager._iter_hooks": "350b419ab7284091f6341cbeb463bf60",
        "AddonManager.handle_lifecycle": "38c97e792d1db5b7cb8a6b71ff30fe88",
        "traverse": "bad3d9f88bdf9269a3a1380948222f64",
        "safecall": "f2052c18340e99b029865b6c9aae1ae3",
    },
}
WRITES: Final[Digests] = {
    server: {
        "ConnectionIO": "94360fd52ebd89be129727d04c1c9bd5",
        "ConnectionHandler": "2905f9ab1c826d1f71af54bae3e764e2",
        "LiveConnectionHandler": "e7139fcd76f7457dc7be616ceee3f7e9",
    },
    mode_servers: {"ProxyConnectionHandler": "a29b5095615c3c1c69141e026f044905"},
}
BYPASS: Final[Digests] = {
    server: WRITES[server],
    layer: {"Layer": "c9a2573d1b8641af2abda890a7e6eef0", "NextLayer": "30d64f6521e5648f039433cb1a7ff785"},
    tunnel: {"TunnelLayer": "c556f16534726999f26b6ecf06cd758b"},
    tls: {
        "TLSLayer": "0e5a2cc7532807cfff892fb3fc79c049",
        "ServerTLSLayer": "9b2b087955629e59a5ce227f90fd5140",
        "ClientTLSLayer": "cb193c4451e4ce3af95c4799db265e51",
    },
    modes: {
        "HttpProxy": "bd1bcec78c95a0cc19662f39d74c9a66",
        "ReverseProxy": "477a57103855377749c849567a33a713",
        "TransparentProxy": "f41a715ba9642ad076c1189e4c403801",
        "DestinationKnown": "3a8049edb8d019c3a284cc8cba449ac7",
    },
    http: {
        "HttpStream": "367d59a3b78ecd0c0b8f82e74497071f",
        "HttpLayer": "d1ab63ba4323d4d0a5ddadbd33abc7d4",
        "HttpClient": "8401d422afdaff15ad42025aa0f2c16b",
    },
    _http1: {
        "Http1Connection": "2684081c548b9b2d113b3fc7c5bd5629",
        "Http1Server": "26d9ee57a8cc342c8945176f54473e61",
        "Http1Client": "4901a58583d64bd35284fc210657a9cf",
        "make_body_reader": "9b076acda459637bde527694ba13bd72",
    },
    _readers: {
        "ChunkedReader": "0c37dd564afdaa2b1b898cc35c0a6788",
        "ContentLengthReader": "572c8c5b1f03f4e72691c61ba15ab40d",
        "Http10Reader": "3cb69848129c309cb9a888cce1f97495",
    },
    _receivebuffer: {"ReceiveBuffer": "f17651a87a5ccfb11ec4fada662e8596"},
}
MESSAGES: Final[Digests] = {
    mitmproxy_http: {
        "MessageData": "e3b92fbf4f217a11ab855744679a494e",
        "RequestData": "49389d48d71416aee08fadfce9d76a7d",
        "ResponseData": "3ee672fe699c3ebb96e9171d08aa89e6",
    },
    typecheck: {"check_option_type": "b60e47c7091fa7951b4e483c95f25d10"},
}


class UnknownMitmproxyError(Exception):
    """This mitmproxy is another than the fast path knows. `str(error)` says where."""


def check(digests: Digests) -> None:
    """Check that mitmproxy is as a layer knows it.

    Raises:
        UnknownMitmproxyError: something differs.
    """
    for module, names in digests.items():
        for name, known in names.items():
            _check(module, name, known)


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
    if isinstance(thing, type):
        file = inspect.getfile(thing)
        said = _source_of(thing.__name__, Path(file).read_text())
        said += "\n".join(sorted(name for name, one in _functions(thing) if one.__code__.co_filename == file))
    else:
        said = inspect.getsource(thing)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _source_of(name: str, text: str) -> str:
    """Return the source of a class; `inspect` would take the file to tokens for it, which takes milliseconds."""
    found = re.search(rf"^class {name}\b.*?(?=^[^\s#)]|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[0] if found is not None else ""


def _check(module: ModuleType, name: str, known: str) -> None:
    try:
        thing: Any = module
        for part in name.split("."):
            thing = getattr(thing, part)
        found = digest(thing)
    except (AttributeError, OSError, TypeError) as error:
        message = f"mitmproxy {version.VERSION}: {name} cannot be read ({type(error).__name__})"
        raise UnknownMitmproxyError(message) from error
    if found != known or not _is_as_written(thing, module):
        message = f"mitmproxy {version.VERSION}: {name} is another than is known"
        raise UnknownMitmproxyError(message)


def _is_as_written(thing: Any, module: ModuleType) -> bool:  # noqa: ANN401
    """Tell whether nobody has put other functions in place: a class's source, or a wrapped function's, hides those."""
    functions = [one for _, one in _functions(thing)] if isinstance(thing, type) else [thing]
    decorators = {contextlib.__file__, dataclasses.__file__, functools.__file__, reprlib.__file__, utils.__file__}
    files = decorators | {module.__file__, "<string>"}
    return all(one.__code__.co_filename in files for one in functions if inspect.isfunction(one))


def _functions(of: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions that mitmproxy has written into a class, by name, without what `http_layer` puts around."""
    for name, one in vars(of).items():
        if inspect.isfunction(one) and one.__code__.co_filename != _OURS:
            yield name, one
        elif inspect.isfunction(one) and (wrapped := vars(one)["__wrapped__"]).__qualname__ == f"{of.__name__}.{name}":
            yield name, wrapped
