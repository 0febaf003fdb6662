"""The first words of a start: where the rows go, what to type in the other terminal, and whom to keep out of the CA.

mitmproxy makes the CA's key 0600, but its folder and the certificate as the umask has it, which may let everybody
write. Whoever can write there, or read the key, can read all that its clients send.
"""

import shlex
import stat
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from llm_metrics_proxy import __version__
from llm_metrics_proxy.recorder.client_setup.variables import sh_line, variables

_KEYS = ("mitmproxy-ca.pem", "mitmproxy-ca.p12")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def environment(address: tuple[str, int], bundle: Path, authority: Path) -> dict[str, str]:
    """Return the variables that send a program's calls through the proxy."""
    host, port = address
    if not isinstance(at := _parsed(host), str) and at.is_unspecified:
        host = "127.0.0.1"
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return variables(url, bundle, authority)


def export_lines(address: tuple[str, int], bundle: Path, authority: Path) -> list[str]:
    """Return the same as shell lines."""
    return [sh_line(name, value) for name, value in environment(address, bundle, authority).items()]


def greeting(database: Path, addresses: Iterable[tuple[str, int]], bundle: Path, authority: Path) -> str:
    """Return the text that a start prints; `addresses` are those of the regular proxy, of which the first is shown."""
    lines = [f"LLM metrics {__version__}: recording to {database}"]
    for address in list(addresses)[:1]:
        lines += ["In the other terminal:", *(f"  {line}" for line in export_lines(address, bundle, authority))]
    lines.append(f"Then: {shlex.quote(_reader())} llm-top {shlex.quote(str(database))}")
    return "\n".join(lines)


def facts(database: Path, addresses: Iterable[tuple[str, int]], bundle: Path, authority: Path) -> dict[str, object]:
    """Return what the greeting says, for programs."""
    shown = list(addresses)[:1]
    return {
        "version": __version__,
        "database": str(database),
        "environment": environment(shown[0], bundle, authority) if shown else {},
    }


def public_addresses(addresses: Iterable[tuple[str, int]]) -> list[str]:
    """Return those addresses that others than this machine can reach, as `host:port`."""
    everywhere = [(_parsed(host), port) for host, port in addresses if host != "localhost"]
    public = [(at, port) for at, port in everywhere if isinstance(at, str) or not at.is_loopback]
    return [f"[{at}]:{port}" if isinstance(at, IPv6Address) else f"{at}:{port}" for at, port in public]


def _parsed(host: str) -> IPv4Address | IPv6Address | str:
    """Return an address as one; a host's name, where the proxy is published, as it is."""
    try:
        return ip_address(host or "0.0.0.0")  # noqa: S104 - mitmproxy's word for it
    except ValueError:
        return host


def _reader() -> str:
    """sqlite-utils with our plugin: another one on the PATH would not know llm-top."""
    ours = Path(sysconfig.get_path("scripts")) / "sqlite-utils"
    return str(ours) if ours.is_file() else "sqlite-utils"


def guard(folder: Path) -> Iterator[str]:
    """Take the right to write from everybody else, where everybody has it, and yield what is left to be done."""
    for path in (folder, *folder.glob("mitmproxy-*")):
        if not path.is_symlink() and (mode := _mode(path)) & stat.S_IWOTH:
            with suppress(OSError):  # another user's
                path.chmod(mode & ~_OTHERS_WRITE)
            if _mode(path) & stat.S_IWOTH:
                yield f"Everybody can write {path}, and so read what clients send: chmod go-w {shlex.quote(str(path))}"
    for key in (folder / name for name in _KEYS):
        if _mode(key) & _OTHERS:
            yield f"Others can read the CA's key {key}, and so what clients send: chmod 600 {shlex.quote(str(key))}"


def _mode(path: Path) -> int:
    """Return the mode; 0 of what is not there or cannot be asked."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
