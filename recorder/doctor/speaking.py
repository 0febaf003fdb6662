"""One request to a proxy, and its bounded answer."""

import http.client
import re
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final

from llm_metrics_proxy.recorder.client_setup.proxy_url import ProxyUrl

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
