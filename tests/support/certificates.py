"""A throw-away certificate authority whose servers can answer for any host name."""

import ssl
import threading
from pathlib import Path

import trustme


class Authority:
    """Issues a certificate for whatever name a client asks for (SNI), each name once."""

    def __init__(self) -> None:
        """Make the authority's key."""
        self._ca = trustme.CA()
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
                self._ca.issue_cert(host).configure_cert(context)
                context.set_alpn_protocols(["http/1.1"])
                context.sni_callback = self._switch
                self._contexts[host] = context
            return self._contexts[host]

    def _switch(self, connection: ssl.SSLObject, host: str | None, _context: ssl.SSLContext) -> None:
        if host is not None:
            connection.context = self.server_context(host)
