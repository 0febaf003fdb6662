"""A throw-away certificate authority whose servers can answer for any host name."""

import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

import trustme


class Authority:
    """Issues the certificates of a server: one for `names`, or one for each name that a client asks for (SNI)."""

    def __init__(self, names: Sequence[str] = (), protocols: Sequence[str] = ("http/1.1",)) -> None:
        """Make the authority's key; `protocols` are what its servers speak, the preferred one first (ALPN)."""
        self._ca = trustme.CA()
        self._names = names
        self._protocols = protocols
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def write(self, path: Path) -> Path:
        """Write the authority's certificate, the one that a client has to trust."""
        self._ca.cert_pem.write_to_path(str(path))
        return path

    def server_context(self, host: str = "localhost") -> ssl.SSLContext:
        """Return what a TLS server needs; `host` is the name for clients that ask for none."""
        with self._lock:
            if host not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._ca.issue_cert(*(self._names or (host,))).configure_cert(context)
                context.set_alpn_protocols(self._protocols)
                if not self._names:
                    context.sni_callback = self._switch
                self._contexts[host] = context
            return self._contexts[host]

    def _switch(self, connection: ssl.SSLObject, host: str | None, _context: ssl.SSLContext) -> None:
        if host is not None:
            connection.context = self.server_context(host)
