"""What a start says: where the rows go, and what to type in the other terminal.

Clients trust what their variable names instead of their own roots, and hosts that are no LLM's are tunnelled with
certificates of their own. So the file that is handed out holds both: the public roots and the proxy's CA.
"""

import ipaddress
import os
import shlex
import tempfile
from collections.abc import Iterable
from pathlib import Path

BUNDLE_NAME = "llm-metrics-ca-bundle.pem"

_IPV6 = 6
_REPLACING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE")


def write_bundle(authority: Path, roots: Path) -> Path:
    """Write `roots` and the proxy's CA `authority` into one file beside the latter; return it, or `authority`.

    The file is replaced as a whole, so that a client that reads it meanwhile sees the old or the new one.
    """
    bundle = authority.with_name(BUNDLE_NAME)
    try:
        content = roots.read_bytes().rstrip() + b"\n\n" + authority.read_bytes()
        if bundle.is_file() and bundle.read_bytes() == content:
            return bundle
        descriptor, name = tempfile.mkstemp(dir=authority.parent, prefix=BUNDLE_NAME)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            draft.chmod(0o644)
            draft.replace(bundle)
        finally:
            draft.unlink(missing_ok=True)
    except OSError:  # a read-only folder: the CA alone still serves clients that only call LLM hosts
        return authority
    return bundle


def export_lines(address: tuple[str, int], bundle: Path, authority: Path) -> list[str]:
    """Return the shell lines that send a program's calls through the proxy."""
    host, port = address
    if not host or ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    values = {
        "HTTPS_PROXY": url,
        "HTTP_PROXY": url,
        **dict.fromkeys(_REPLACING, str(bundle)),
        "NODE_EXTRA_CA_CERTS": str(authority),
        "NODE_USE_ENV_PROXY": "1",
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def greeting(database: Path, addresses: Iterable[tuple[str, int]], bundle: Path, authority: Path) -> str:
    """Return the text that a start prints; `addresses` are those of the regular proxy, of which the first is shown."""
    lines = [f"LLM metrics: recording to {database}"]
    for address in list(addresses)[:1]:
        lines += ["In the other terminal:", *(f"  {line}" for line in export_lines(address, bundle, authority))]
    lines.append(f"Then: sqlite-utils rows {shlex.quote(_short(database))} completion_requests -t")
    return "\n".join(lines)


def public_addresses(addresses: Iterable[tuple[str, int]]) -> list[str]:
    """Return those addresses that others than this machine can reach, as `host:port`."""
    everywhere = [(ipaddress.ip_address(host or "0.0.0.0"), port) for host, port in addresses]  # noqa: S104 - mitmproxy's word for it
    return [
        f"[{ip}]:{port}" if ip.version == _IPV6 else f"{ip}:{port}" for ip, port in everywhere if not ip.is_loopback
    ]


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
