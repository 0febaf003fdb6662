"""ADDRESS of a server: `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`, or `:9464` for all addresses."""

import ipaddress
import re
import socket
from typing import NamedTuple

from llm_metrics_proxy.recorder.errors import CannotServe

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\s:\[\]/@]*)):(?P<port>\d{1,5})", re.ASCII)
_CURE = "write it as 127.0.0.1:9464 or [::1]:9464, or :9464 for all addresses of this machine"
_MOST = 0xFFFF


class Address(NamedTuple):
    """An empty host stands for all addresses; port 0 for one that is free."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Where a program on this machine finds it."""
        host = self.host or "localhost"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def is_for_this_machine(self) -> bool:
        """Whether nobody else can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """The address that somebody wrote.

    Raises:
        CannotServe: it is none.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _MOST:
        raise CannotServe(what=f"{text!r} is no address with a port", cure=_CURE)
    return Address(found["six"] or found["host"], int(found["port"]))


def listen(address: Address) -> tuple[socket.socket, Address]:
    """A socket that takes connections there, and where that is: as a number, with the port that it got.

    Raises:
        CannotServe: the port is in use, or the address is not one of this machine.
    """
    try:
        listening = _everywhere(address.port) if not address.host else _at(address)
    except OSError as error:
        why, _, _ = str(error.strerror).partition(" (while")
        what = f"{address.host}:{address.port} cannot be listened on ({why})"
        raise CannotServe(what=what, cure="give another address, or end the program that has it") from error
    host, port = listening.getsockname()[:2]
    return listening, Address("" if not address.host else host, port)


def _at(address: Address) -> socket.socket:
    family, _, _, _, sockaddr = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(sockaddr[:2], family=family, backlog=128)


def _everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    return socket.create_server(("", port), backlog=128)
