"""Sockets that listen, as asyncio would open them for mitmproxy, but in the process that starts the workers.

The parent accepts all connections and gives each to the worker that has the fewest. Neither SO_REUSEPORT nor one socket
that all workers accept from does that: the first deals them out by chance, 23 and 9 of 32; from the second whoever
happens to be awake takes 30 of 32. And here a worker that dies takes nobody with it who waits.
"""

import errno
import socket
from contextlib import ExitStack
from typing import Final

from llm_metrics_proxy.recorder.errors import RunRefused

_BACKLOG: Final = 1_024  # clients that wait while all workers are starting
_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # of one of a name's addresses, such as ::1 without IPv6


def listen(host: str | None, port: int) -> list[socket.socket]:
    """Listen on all addresses of a host; none is every address of this machine.

    Raises:
        OSError: that is not possible.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    refused: OSError | None = None
    with ExitStack() as opened:
        sockets = []
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                made = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                refused = error
                continue
            made.setblocking(False)  # noqa: FBT003 - the system's own signature
            sockets.append(opened.enter_context(made))
        if refused is not None and not sockets:
            raise refused
        opened.pop_all()
    return sockets


def refusal(host: str, port: int, error: OSError) -> RunRefused:
    """Return the sentence for an address that cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        what = f"Port {port} of {host} is another program's"
        return RunRefused(what=what, cure="choose another port with --port, or end that program")
    what = f"{host} cannot be listened on at port {port} ({error.strerror})"
    return RunRefused(what=what, cure="choose others with --host and --port")


def check(host: str, port: int) -> None:
    """See that somebody else will be able to listen there in a moment.

    Raises:
        RunRefused: a port is another program's, or this machine has no such address.
    """
    try:
        for one in listen(host, port):
            one.close()
    except OSError as error:
        raise refusal(host, port, error) from error
