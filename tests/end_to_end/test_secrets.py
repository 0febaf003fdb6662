"""No prompt, answer, key or password is kept: planted wherever a call has a place for one, looked for in all files."""

import http.client
import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from tests.support.provider.scenario import End, Scenario, Step
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy
from tests.support.rig import CHAT, JSON, OPENAI, Rig, Row, at_once
from tests.support.waiting import eventually

QUOTES = "Incorrect API key provided: {0}. You can find your API key at https://example.org/{0}."
ROWS = 4 + 2 * 5 + 1
WIDE = {"COLUMNS": "400"}  # mitmproxy cuts URLs at the width of the terminal
FILES = ("metrics.db", "metrics.db-wal", "backup", "metrics.db at the end", "log")


class Plants:
    """Makes secrets, and looks for them."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def new(self, where: str, *, key: bool = False) -> str:
        """Return a secret that names its place; `key` in the shape of a key."""
        self.made.append(f"{'sk-proj-' if key else ''}planted{len(self.made)}-{where}-Zq7Xw")
        return self.made[-1]

    def found_in(self, content: bytes) -> list[str]:
        shapes = {
            secret: (secret, secret[-20:], b64encode(f"billing:{secret}".encode()).decode()) for secret in self.made
        }
        return [secret for secret, all_of in shapes.items() if any(shape.encode() in content for shape in all_of)]


@dataclass(frozen=True)
class Kept:
    """What is left after a proxy has seen secrets everywhere: its files, and its rows."""

    plants: Plants
    files: dict[str, bytes]
    rows: list[Row]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("loud")
    plants = Plants()
    with talkative(folder) as rig:
        for key in (True, False):
            plant(rig, plants, key=key)
        database = rig.proxy.database
        files = {"backup": backup.create(database, backup_dir=folder).read_bytes()}
        beside = [*folder.glob("metrics.db*"), *folder.glob("metrics.db.spill/*")]
        files |= {path.name: path.read_bytes() for path in beside if path.is_file()}
        rows = rig.new_rows()
    files |= {"metrics.db at the end": database.read_bytes(), "log": rig.proxy.log_file.read_bytes()}
    return Kept(plants, files, rows)


@contextmanager
def talkative(folder: Path) -> Iterator[Rig]:
    """Start a proxy that is not told to print less than mitmproxy does by default."""
    with Provider(lambda _request: Scenario()) as provider:
        proxy = Proxy(folder, provider.port, provider.authority.write(folder / "provider-ca.pem"), environment=WIDE)
        for quiet in ("termlog_verbosity=warn", "flow_detail=0"):
            at = proxy.command.index(quiet)
            del proxy.command[at - 1 : at + 1]
        with proxy:
            yield Rig(provider, proxy)


def plant(rig: Rig, plants: Plants, *, key: bool) -> None:
    """Send secrets in every place of calls that succeed, of calls whose failure quotes them, and of broken ones."""
    names = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "other", "query", "password")
    *quoted, other, query, password = [plants.new(name, key=key) for name in names]
    headers = [*JSON, ("Authorization", f"Bearer {quoted[0]}"), ("Cookie", f"session={quoted[4]}"), ("X-Other", other)]
    headers += list(zip(names[1:4], quoted[1:4], strict=True))
    where = {"headers": headers, "user": f"billing:{password}", "path": f"{CHAT}?key={query}&api-version=1"}
    body = asked(plants)
    rig.answer(told(plants))
    for host, tls in ((OPENAI, True), ("planted.openai.azure.com", True), ("llm.lan", False)):
        rig.ask(body, host=host, tls=tls, **where)
    rig.ask(b"no JSON: " + body, **where)
    rig.ask(body, **where | {"path": "/v1/nothing/known"})
    for secret in (*(secret for secret in quoted if "cookie" not in secret), query):
        said = json.dumps({"error": {"type": "auth", "code": "bad", "message": QUOTES.format(secret)}}).encode()
        rig.answer(at_once(said, status=401))
        rig.ask(body, **where)
        rig.answer(Scenario((Step(0, b"event: error\ndata: " + said[:60]), Step(5, said[60:] + b"\n\n"))))
        rig.ask(body, **where)
    rig.answer(Scenario(told(plants).steps[:12], end=End.CUT))
    with suppress(http.client.HTTPException):
        rig.ask(body, **where)
    eventually(lambda: len(rig.new_rows()) == ROWS * (1 if key else 2))


def asked(plants: Plants) -> bytes:
    tool = {
        "type": "function",
        "function": {"name": plants.new("tool-name"), "arguments": plants.new("tool-arguments")},
    }
    messages = [
        {"role": "system", "content": plants.new("system-prompt")},
        {"role": "user", "content": [{"type": "text", "text": plants.new("prompt")}]},
        {"role": "assistant", "tool_calls": [{"id": "call_1", **tool}]},
    ]
    fields = {"user": plants.new("user"), "metadata": {"note": plants.new("metadata")}, "system": plants.new("system")}
    return json.dumps({"model": "gpt-5.5", "stream": True, "messages": messages, "tools": [tool], **fields}).encode()


def told(plants: Plants) -> Scenario:
    deltas: list[dict[str, object]] = [
        {"content": plants.new("answer")},
        {"reasoning_content": plants.new("reasoning")},
        {"refusal": plants.new("refusal")},
        {"tool_calls": [{"function": {"name": plants.new("called"), "arguments": plants.new("call-arguments")}}]},
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    events = [{"model": "gpt-5.5", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    lines = b"".join(
        b"data: %b\n\n" % json.dumps(event).encode() for event in [*events, {"choices": [], "usage": usage}]
    )
    cuts = range(0, len(lines), 50)
    steps = [Step(index, lines[at : at + 50]) for index, at in enumerate(cuts)]
    return Scenario((*steps, Step(len(steps), b"data: [DONE]\n\n")))


def test_every_call_has_its_row(kept: Kept) -> None:
    assert len(kept.rows) == 2 * ROWS
    assert {row["origin"] for row in kept.rows} == {"billing"}
    assert sum("[masked]" in (row["error_message"] or "") for row in kept.rows) == 2 * 2 * 5


@pytest.mark.parametrize("where", FILES)
def test_no_secret_is_kept(kept: Kept, where: str) -> None:
    assert len(kept.files[where]) > 0
    assert kept.plants.found_in(kept.files[where]) == []


@pytest.mark.parametrize("field", ["type", "code", "message", "status"])
def test_a_key_is_masked_wherever_an_error_quotes_it(rig: Rig, field: str) -> None:
    for key in ("sk-proj-planted-Zq7Xw1234567890", "a key in no known shape", "sk-proj-********Zq7X"):
        sent = "sk-proj-another" if "*" in key else key  # providers show a part of the key that was sent
        rig.answer(at_once(json.dumps({"error": {field: f"bad {key}"}}).encode(), status=401))
        rig.ask(b"{}", headers=[*JSON, ("Authorization", f"Bearer {sent}")])
        assert key not in str(rig.row())


def test_one_cookie_of_several_is_masked_in_an_error(rig: Rig) -> None:
    rig.answer(at_once(json.dumps({"error": {"message": "No session planted-Zq7Xw."}}).encode(), status=401))
    rig.ask(b"{}", headers=[*JSON, ("Cookie", "theme=dark; session=planted-Zq7Xw; b=2")])
    assert "planted-Zq7Xw" not in str(rig.row())


def test_a_prompt_that_an_error_quotes_is_not_kept(rig: Rig) -> None:
    prompt = "Please summarise the divorce papers of Mr Planted for me."
    said = {"error": {"type": "invalid_request_error", "message": f"Your input was flagged: '{prompt}'"}}
    rig.answer(at_once(json.dumps(said).encode(), status=400))
    rig.ask(json.dumps({"model": "gpt-5.5", "messages": [{"role": "user", "content": prompt}]}).encode())
    row = rig.row()
    assert row["error_type"] == "invalid_request_error"
    assert prompt not in str(row)


@pytest.mark.parametrize(
    "target", ["http://me:planted-Zq7Xw@llm.lan/", "/v1/chat/completions?key=planted-Zq7Xw and more"]
)
def test_a_request_line_that_cannot_be_read_is_not_printed(tmp_path: Path, target: str) -> None:
    with talkative(tmp_path) as rig:
        with socket.create_connection(("127.0.0.1", rig.proxy.port)) as client:
            client.sendall(f"POST {target} HTTP/1.1\r\nHost: llm.lan\r\n\r\n".encode())
            client.recv(1000)
        rig.proxy.stop()
        assert "planted-Zq7Xw" not in rig.proxy.log
