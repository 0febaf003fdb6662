"""What stands between a browser and Datasette: names it may be asked under, and what its pages may load.

Datasette lets whoever reaches it run any SELECT. Binding to 127.0.0.1 keeps other machines out, but not the pages of
other sites in the same browser: one whose name suddenly resolves to 127.0.0.1 could read everything. So a request
that was not meant for this machine by name is refused.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAMES = {b"127.0.0.1", b"localhost"}
_REFUSAL = b"Ask for http://127.0.0.1 or http://localhost: this page is only for the machine that it runs on.\n"
# A second wall behind the escaping of texts: no attribute is a script, and nothing is loaded from elsewhere or sent
# there. Scripts and styles within the page are those of datasette-dashboards' templates and of Vega.
_POLICY = (
    "default-src 'self'",
    "script-src-elem 'self' 'unsafe-inline'",
    "script-src-attr 'none'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "object-src 'none'",
    "frame-src 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
)
_SERVER_ERROR = 500
# A page that failed, as when the database is just being replaced, is asked for again: it loads no page by itself.
_AGAIN = (b"refresh", b"5")
_HEADERS = [
    (b"content-security-policy", "; ".join(_POLICY).encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def guarded(app: App) -> App:
    """`app` for requests that ask for this machine by name, with headers that keep its pages to themselves."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                again = [_AGAIN] if message["status"] >= _SERVER_ERROR else []
                message["headers"] = [*message.get("headers", []), *_HEADERS, *again]
            await send(message)

        if scope["type"] != "http":
            await app(scope, receive, send)
        elif _asked_for(scope) in _NAMES:
            await app(scope, receive, send_with_headers)
        else:
            await send_with_headers({"type": "http.response.start", "status": 421})
            await send({"type": "http.response.body", "body": _REFUSAL})

    return guard


def _asked_for(scope: Scope) -> bytes:
    host: bytes = dict(scope["headers"]).get(b"host", b"")
    return host.rpartition(b":")[0] or host
