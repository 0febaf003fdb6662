"""Check of the proxy's address: the program that answers there is ours.

Its words count, not its status: any program can say 200. On Linux the process that listens is named: a user's own to
everybody, others' to root.
"""

import http.client
import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.client_setup import signature
from llm_metrics_proxy.recorder.client_setup.proxy_url import ProxyUrl
from llm_metrics_proxy.recorder.client_setup.signature import STATUS_HOST, STATUS_PATH, Signature
from llm_metrics_proxy.recorder.doctor import Check, Circumstances, fail, is_loopback, ok

AGENT: Final = "llm-metrics-doctor"
_LONGEST_BODY = 1 << 20  # bytes
_LONGEST_QUOTE = 80  # characters of what a stranger says
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """An answer; `status` is None if it was no HTTP, and `said` then holds it."""

    status: int | None
    said: str
    body: bytes = b""


def get(proxy: ProxyUrl, url: str, seconds: float) -> Answer:
    """Ask the proxy for a http:// address.

    Raises:
        OSError: it cannot be reached, or says nothing for so many seconds.
    """
    with closing(http.client.HTTPConnection(proxy.host, proxy.port, timeout=seconds)) as connection:
        connection.connect()
        try:
            connection.request("GET", url, headers={"User-Agent": AGENT, **proxy.authorization})
            response = connection.getresponse()
            said = f"HTTP {response.status} {response.reason}"
            if server := response.headers.get("server"):
                said += f", Server: {server}"
            return Answer(response.status, said[:_LONGEST_QUOTE], response.read(_LONGEST_BODY))
        except ConnectionError:
            return Answer(None, "")
        except http.client.HTTPException as error:  # a status line that is none says itself what it was
            return Answer(None, str(error).strip()[:_LONGEST_QUOTE])


def connected(proxy: ProxyUrl, host: str, port: int, seconds: float) -> tuple[Answer, socket.socket]:
    """Ask the proxy for a tunnel; return its answer, and the socket for what comes next, which the caller closes.

    Raises:
        OSError: it cannot be reached, or says nothing for so many seconds.
    """
    name = f"[{host}]" if ":" in host else host
    connection = socket.create_connection((proxy.host, proxy.port), timeout=seconds)
    try:
        lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}", f"User-Agent: {AGENT}"]
        lines += [f"{header}: {value}" for header, value in proxy.authorization.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head, body = _head(connection)
        first = head.partition(b"\r\n")[0].decode("latin-1")
        words = first.split(maxsplit=2)
        status = int(words[1]) if len(words) > 1 and words[0].startswith("HTTP/") and words[1].isdigit() else None
        return Answer(status, first[:_LONGEST_QUOTE], body), connection
    except BaseException:  # raised again: the caller never gets the socket, so it is closed here
        connection.close()
        raise


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of an answer, byte by byte so that nothing of TLS is taken, and after a refusal its body."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n") and len(head) < _LONGEST_BODY and (one := connection.recv(1)):
        head += one
    body = bytearray()
    if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
        said = _LENGTH.search(head)  # else it ends with the connection, which mitmproxy leaves open
        length = min(int(said[1]), _LONGEST_BODY) if said else _LONGEST_BODY
        with suppress(OSError):
            while len(body) < length and (more := connection.recv(4096)):
                body += more
    return bytes(head), bytes(body)


_LISTENING = "0A"  # TCP_LISTEN, as /proc/net/tcp has it
_ADDRESS, _STATE, _INODE = 1, 3, 9


def process_at(port: int) -> str | None:
    """Return the name and number of the process, or None where that cannot be known."""
    with suppress(OSError, ValueError):
        inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _inodes(table, port)}
        for process in Path("/proc").iterdir() if inodes else ():
            if process.name.isdigit() and _holds(process, inodes):
                return f"{(process / 'comm').read_text().strip()}, process {process.name}"
    return None


def _inodes(table: str, port: int) -> Iterator[str]:
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[_STATE] == _LISTENING and int(fields[_ADDRESS].rpartition(":")[2], 16) == port:
                yield fields[_INODE]


def _holds(process: Path, sockets: set[str]) -> bool:
    with suppress(OSError):  # another user's, or gone
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in sockets:  # noqa: PTH115 - these are no paths
                    return True
    return False


STATUS_URL: Final = f"http://{STATUS_HOST}{STATUS_PATH}"
CERTIFICATE_URL = "http://mitm.it/cert/pem"  # mitmproxy answers it by itself
CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_PASSWORD_WANTED = 407
_NAME = "port"
_START = "start the proxy: make run, or mitmdump -s addon/main.py"


@dataclass(frozen=True)
class Found:
    """The program at the address: `signature` if it is ours, `certificate` the CA that mitmproxy hands out."""

    check: Check
    signature: Signature | None = None
    certificate: bytes | None = None


def ask(at: Circumstances) -> Found:
    """Ask for the addon's signature, then for mitmproxy's certificate."""
    try:
        answer = get(at.proxy, STATUS_URL, at.patience)
    except OSError as error:
        return Found(_silent(at, error))
    signed = signature.read(answer.body)
    if signed is None and answer.status == _PASSWORD_WANTED:
        return Found(_password(at))
    certificate = _certificate(at)
    if signed is not None:
        return Found(ok(_NAME, f"{at.proxy.address} is mitmproxy with this addon."), signed, certificate)
    if certificate is not None:
        what = f"{at.proxy.address} is mitmproxy, but without this addon{_who(at)}."
        return Found(fail(_NAME, what, "stop it, and start it with -s addon/main.py"), certificate=certificate)
    return Found(_stranger(at, answer))


def _silent(at: Circumstances, error: OSError) -> Check:
    if isinstance(error, ConnectionRefusedError):
        return fail(_NAME, f"Nothing listens on {at.proxy.address}.", _START)
    if isinstance(error, TimeoutError):
        what = f"{at.proxy.address} says nothing for {at.patience:g} s{_who(at)}."
        return fail(_NAME, what, f"see what runs there; {_START}")
    what = f"{at.proxy.address} cannot be asked ({error.strerror or error})."
    return fail(_NAME, what, f"check the address; {_START}")


def _certificate(at: Circumstances) -> bytes | None:
    try:
        body = get(at.proxy, CERTIFICATE_URL, at.patience).body
    except OSError:
        return None  # another program may have had enough after one request
    return body if body.startswith(CERTIFICATE) else None


def _password(at: Circumstances) -> Check:
    fix = f"export HTTPS_PROXY=http://USER:PASSWORD@{at.proxy.address}, with those of its option proxyauth"
    if at.proxy.credentials is None:
        return fail(_NAME, f"{at.proxy.address} wants a user and a password, so no more can be checked.", fix)
    return fail(_NAME, f"{at.proxy.address} does not take the user and password of {at.url}.", fix)


def _stranger(at: Circumstances, answer: Answer) -> Check:
    said = f"said {answer.said!r}" if answer.said else "closed the connection without a word"
    what = f"{at.proxy.address} is another program{_who(at)}: asked for {STATUS_URL} it {said}."
    return fail(_NAME, what, f"give the proxy another port (make run PORT=8081), or stop that program; {_START}")


def _who(at: Circumstances) -> str:
    owner = process_at(at.proxy.port) if is_loopback(at.proxy.host) else None
    return f" ({owner})" if owner else ""
