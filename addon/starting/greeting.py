"""What a start says: where the rows go, and what to type in the other terminal."""

import ipaddress
import shlex
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from llm_metrics_proxy import __version__
from llm_metrics_proxy.recorder.client_setup.variables import sh_line, variables

_IPV6 = 6


def environment(address: tuple[str, int], bundle: Path, authority: Path) -> dict[str, str]:
    """Return the variables that send a program's calls through the proxy."""
    host, port = address
    if not host or ipaddress.ip_address(host).is_unspecified:
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
    everywhere = [(ipaddress.ip_address(host or "0.0.0.0"), port) for host, port in addresses]  # noqa: S104 - mitmproxy's word for it
    return [
        f"[{ip}]:{port}" if ip.version == _IPV6 else f"{ip}:{port}" for ip, port in everywhere if not ip.is_loopback
    ]


def _reader() -> str:
    """sqlite-utils with our plugin: another one on the PATH would not know llm-top."""
    ours = Path(sysconfig.get_path("scripts")) / "sqlite-utils"
    return str(ours) if ours.is_file() else "sqlite-utils"
