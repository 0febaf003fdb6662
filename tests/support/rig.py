"""A provider, a real mitmdump before it, a client without opinions, and the rows of the calls that a test makes."""

import http.client
import json
import os
import socket
import sqlite3
import ssl
import struct
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.provider.scenario import Framing, Request, Scenario, Served, Step
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE, eventually

type Row = dict[str, Any]
type Headers = Iterable[tuple[str, str]]

OPENAI = "api.openai.com"
ANTHROPIC = "api.anthropic.com"
CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
JSON = (("content-type", "application/json"),)
# A script for mitmdump: rows are there at once, where hundreds of tests wait for one each and none looks at batches.
AT_ONCE = "from llm_metrics_proxy.recorder.writing import write_loop\n\nwrite_loop._BATCH_SECONDS = 0.005\n"


def question(model: str = "gpt-5.5", **fields: object) -> bytes:
    """Return a request body that OpenAI's chat and Anthropic's messages both take."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "Why?"}]} | fields).encode()


def at_once(body: bytes, *, status: int = 200, headers: Headers = JSON, framing: Framing = Framing.LENGTH) -> Scenario:
    """Return an answer whose body is one write without delay."""
    return Scenario((Step(0, body),), status=status, headers=tuple(headers), framing=framing)


@dataclass(frozen=True)
class Reply:
    """A response, as a client got it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Rig:
    """`provider` behind `proxy`. Rows are handed out once each, so that one that nobody expects is noticed."""

    def __init__(self, provider: Provider, proxy: Proxy) -> None:
        self.provider = provider
        self.proxy = proxy
        self._seen = 0

    @property
    def served(self) -> Served:
        """The provider's side of the last request."""
        return self.provider.served[-1]

    def answer(self, *scenarios: Scenario) -> None:
        """Answer the next requests with these, the last one for ever."""
        left = list(scenarios)

        def choose(_request: Request) -> Scenario:
            return left.pop(0) if len(left) > 1 else left[0]

        self.provider.answer = choose

    def query(self, sql: str, *parameters: object) -> list[Row]:
        """Read the database while mitmdump writes it."""
        uri = f"{self.proxy.database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]

    def new_rows(self) -> list[Row]:
        """Return the rows that nobody has asked for yet, as far as they are there."""
        return self.query("SELECT * FROM completion_requests WHERE id > ? ORDER BY id", self._seen)

    def rows(self, count: int) -> list[Row]:
        """Wait for `count` new rows; there must not be more."""
        rows = eventually(lambda: found if len(found := self.new_rows()) >= count else []) or self.new_rows()
        self._seen = max([self._seen, *(row["id"] for row in rows)])
        assert len(rows) == count, f"{len(rows)} rows instead of {count}: {rows}\n{self.proxy.log}"
        return rows

    def row(self) -> Row:
        """Wait for the one new row."""
        (row,) = self.rows(1)
        return row

    def counter(self, name: str) -> int:
        """Return a counter as the database has it now."""
        (row,) = self.query("SELECT coalesce(sum(value), 0) AS n FROM recorder_counters WHERE name = ?", name)
        return int(row["n"])

    def ask(self, body: bytes = b"", **where: Any) -> Reply:  # noqa: ANN401 - those of `asking`
        """Send a request and read the answer to its end."""
        with self.asking(body, **where) as (_, response):
            return Reply(response.status, response.getheaders(), response.read())

    @contextmanager
    def asking(
        self,
        body: bytes = b"",
        **where: Any,  # noqa: ANN401 - those of `sending`
    ) -> Iterator[tuple[http.client.HTTPConnection, http.client.HTTPResponse]]:
        """Send a request, and yield once the answer's headers have come."""
        headers = where.pop("headers", JSON)
        with self.sending(headers=[*headers, ("content-length", str(len(body)))], **where) as connection:
            connection.send(body)
            with closing(connection.getresponse()) as response:
                yield connection, response

    @contextmanager
    def sending(  # noqa: PLR0913 - each is one thing that a test varies
        self,
        *,
        host: str = OPENAI,
        path: str = CHAT,
        method: str = "POST",
        headers: Headers = JSON,
        tls: bool = True,
        direct: bool = False,
        user: str | None = None,
        trusted: Path | None = None,
    ) -> Iterator[http.client.HTTPConnection]:
        """Connect through the proxy and send a request's headers, `headers` and Host, not one more.

        `direct` asks as if the proxy were the server; `user` is the name and password of the proxy's URL; `trusted` is
        the CA, if it is not the proxy's.
        """
        credentials = {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"} if user else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=PATIENCE)
        target = path if tls or direct else f"http://{host}{path}"
        if tls:
            context = ssl.create_default_context(cafile=trusted or self.proxy.ca)
            connection = http.client.HTTPSConnection("127.0.0.1", self.proxy.port, timeout=PATIENCE, context=context)
            connection.set_tunnel(host, 443, credentials)
        with closing(connection):
            connection.connect()
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in [("Host", host), *headers, *(() if tls else credentials.items())]:
                connection.putheader(name, value)
            connection.endheaders()
            yield connection


def hang_up(connection: http.client.HTTPConnection, *, rudely: bool = False) -> None:
    """Close a connection at once, although a response may still hold it; `rudely` by a reset."""
    if rudely:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.sock.detach())
    else:
        connection.sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def started(folder: Path, **how: Any) -> Iterator[Rig]:  # noqa: ANN401 - those of `Proxy`
    """Start a provider, and a proxy before it whose files all lie in `folder`."""
    with Provider(lambda _request: Scenario()) as provider:
        authority = provider.authority.write(folder / "provider-ca.pem")
        with Proxy(folder, provider.port, authority, **how) as proxy:
            yield Rig(provider, proxy)
