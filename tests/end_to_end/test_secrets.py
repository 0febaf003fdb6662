"""No prompt, answer, key or password is kept: planted wherever a call has a place for one, looked for in all files."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from tests.support.exporting.metrics_server import LLM_METRICS, serving
from tests.support.exporting.otlp_receiver import by_http
from tests.support.provider.scenario import End, Scenario, Step
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy
from tests.support.rig import CHAT, JSON, OPENAI, Rig, Row, at_once, question
from tests.support.waiting import eventually
from tests.trials.hostile import plants
from tests.trials.hostile.plants import MARK

QUOTES = "Incorrect API key provided: {0}. You can find your API key at https://example.org/{0}."
ROWS = 4 + 2 * 5 + 1
WIDE = {"COLUMNS": "400"}  # mitmproxy cuts URLs at the width of the terminal
WORD = "Wordoftheirs"  # of clients and providers, no secret: it shows which columns such words reach
OURS = {
    "_sqlite_migrations": ("migration_set", "name", "applied_at"),
    "schema_version": ("applied_at",),
    "watermarks": ("name",),
    "sqlite_sequence": ("name", "seq"),
    "recorder_counters": ("process", "name", "updated_at"),
    "recorder_events": ("at", "process", "kind", "from_at", "to_at", "detail"),
    "model_answers": ("day", "provider", "first_at", "last_at"),
    "quota": ("provider", "key_id", "kind", "quota_window", "minute", "seen_at", "resets_at"),
    "exporters": ("name", "source_id", "reached_at", "error"),
    "tunnelled_hosts": ("day", "host", "first_at", "last_at"),
    "unrecognised": ("first_at", "last_at"),
    "rollup_calls": ("span", "period", "provider"),
    "rollup_costs": ("span", "period", "provider", "billing", "cost_note"),
    "rollup_errors": ("span", "period", "provider", "error_class"),
    "rollup_times": ("span", "period", "measure", "dimension", "counts"),
}
"""Columns of names, moments and counts of ours. Those of the calls are in test_planted_secrets.py."""


def new(where: str, *, key: bool = False) -> str:
    """Return a secret that names its place; `key` in the shape of a key."""
    return f"{'sk-proj-' if key else ''}planted-{where}-{MARK}"


@dataclass(frozen=True)
class Kept:
    """What is left after a proxy has seen secrets everywhere: its folder, and its rows."""

    folder: Path
    rows: list[Row]
    exported: list[bytes]

    @property
    def databases(self) -> list[Path]:
        return [self.folder / "metrics.db", *self.folder.glob("*.backup")]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The traffic of `plant`, roll-ups, exports and a report of it, a copy of the WAL, and spill files."""
    folder = tmp_path_factory.mktemp("loud")
    with talkative(folder) as rig:
        for key in (True, False):
            plant(rig, key=key)
        their_words(rig)
        database = rig.proxy.database
        backup.create(database, backup_dir=folder)
        for path in folder.glob("metrics.db-*"):
            (folder / f"copy of {path.name}").write_bytes(path.read_bytes())
        rows = rig.new_rows()
        exported = list(exports(database))
    with talkative(spilling := tmp_path_factory.mktemp("spilling"), "metrics_on_database_error=spill") as rig:
        plant(rig, key=False, count=None)
    (folder / "spilt").mkdir()
    for path in [path for path in spilling.rglob("*") if path.is_file() and "mitmproxy" not in path.parts]:
        path.rename(folder / "spilt" / path.name)
    return Kept(folder, rows, exported)


def exports(database: Path) -> Iterator[bytes]:
    """Yield what leaves the database: to a receiver of OTLP, to Prometheus, and in a report."""
    with by_http() as receiver:
        llm_metrics(database, "export", "otlp", receiver.url)
        yield b"".join(asked.message.SerializeToString() for asked in receiver.asked)
    with serving(database) as server:
        yield server.text().encode()
    yield llm_metrics(database, "status", "--json")
    for words in (["llm-top", str(database)], ["llm-report", str(database), "-o", "-"]):
        command = [sys.executable, "-m", "sqlite_utils", *words]
        yield subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def llm_metrics(database: Path, *words: str) -> bytes:
    command = [LLM_METRICS, *words, "--db", str(database)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


@contextmanager
def talkative(folder: Path, *options: str) -> Iterator[Rig]:
    """Start a proxy that prints all that mitmproxy can, but for what `flow_detail` adds."""
    with Provider(lambda _request: Scenario()) as provider:
        ca = provider.authority.write(folder / "provider-ca.pem")
        if options:
            (folder / "metrics.db").write_text("no database\n" * 100)
        proxy = Proxy(folder, provider.port, ca, environment=WIDE, options=options)
        at = proxy.command.index("flow_detail=0")
        del proxy.command[at - 1 : at + 1]
        proxy.command[proxy.command.index("termlog_verbosity=warn")] = "termlog_verbosity=debug"
        with proxy:
            yield Rig(provider, proxy)


def their_words(rig: Rig) -> None:
    """Send a word in every place that a roll-up or a count has."""
    where = {"headers": [*JSON, ("x-llm-origin", WORD)], "host": f"{WORD.lower()}.openai.azure.com"}
    rig.answer(at_once(json.dumps({"error": {"type": WORD, "message": WORD}}).encode(), status=400))
    rig.ask(question(WORD), **where)
    rig.ask(question(WORD), **where | {"path": f"/v1/{WORD}"})
    answer = {"model": WORD, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.5}}
    rig.answer(at_once(json.dumps(answer).encode(), headers=[*JSON, ("x-ratelimit-remaining-requests", "9")]))
    rig.ask(question(f"{WORD} asked for"), **where)
    eventually(lambda: rig.query("SELECT * FROM quota"))
    eventually(lambda: rig.query("SELECT * FROM unrecognised WHERE path LIKE '%' || ?", WORD))
    llm_metrics(rig.proxy.database, "rollup")
    upkeep = [sys.executable, "-P", "-m", "llm_metrics_proxy.recorder.upkeep.upkeep", str(rig.proxy.database)]
    subprocess.run(upkeep, check=True, capture_output=True)


def plant(rig: Rig, *, key: bool, count: int | None = ROWS) -> None:
    """Send secrets in every place of calls that succeed, of calls whose failure quotes them, and of broken ones."""
    names = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "other", "query", "password")
    *quoted, other, query, password = [new(name, key=key) for name in names]
    headers = [*JSON, ("Authorization", f"Bearer {quoted[0]}"), ("Cookie", f"session={quoted[4]}"), ("X-Other", other)]
    headers += list(zip(names[1:4], quoted[1:4], strict=True))
    headers += [("x-llm-label-team", quoted[0]), ("x-llm-label-cost", f"of {quoted[2]}"), ("baggage", f"team={other}")]
    where = {
        "headers": headers,
        "user": f"billing;team={quoted[1]};env=prod:{password}",
        "path": f"{CHAT}?key={query}&api-version=1",
    }
    body = asked()
    rig.answer(told())
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
    rig.answer(Scenario(told().steps[:12], end=End.CUT))
    with suppress(http.client.HTTPException):
        rig.ask(body, **where)
    if count is not None:
        eventually(lambda: len(rig.new_rows()) == count * (1 if key else 2))


def asked() -> bytes:
    tool = {
        "type": "function",
        "function": {"name": new("tool-name"), "arguments": new("tool-arguments")},
    }
    messages = [
        {"role": "system", "content": new("system-prompt")},
        {"role": "user", "content": [{"type": "text", "text": new("prompt")}]},
        {"role": "assistant", "tool_calls": [{"id": "call_1", **tool}]},
    ]
    fields = {"user": new("user"), "metadata": {"note": new("metadata")}, "system": new("system")}
    return json.dumps({"model": "gpt-5.5", "stream": True, "messages": messages, "tools": [tool], **fields}).encode()


def told() -> Scenario:
    deltas: list[dict[str, object]] = [
        {"content": new("answer")},
        {"reasoning_content": new("reasoning")},
        {"refusal": new("refusal")},
        {"tool_calls": [{"function": {"name": new("called"), "arguments": new("call-arguments")}}]},
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
    assert len(kept.rows) == 2 * ROWS + 2
    assert {row["origin"] for row in kept.rows} == {"billing", WORD}
    assert sum("[masked]" in (row["error_message"] or "") for row in kept.rows) == 2 * 2 * 5


def test_no_secret_is_in_any_file(kept: Kept) -> None:
    files = [path for path in kept.folder.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"metrics.db", "copy of metrics.db-wal", "mitmdump.log"} <= names
    assert any("spill" in name or ".jsonl" in name for name in names)
    assert {path.name: found for path in files if (found := plants.found_in(path))} == {}


def test_no_secret_is_in_any_column_of_any_table(kept: Kept) -> None:
    texts = [text for database in kept.databases for text in plants.texts_in(database)]
    assert len(texts) > 1000
    assert [(table, column, text) for table, column, text in texts if plants.found_in_text(text)] == []


def test_no_secret_leaves_by_an_export(kept: Kept) -> None:
    assert [WORD.encode() in sent for sent in kept.exported[:2]] == [True, True]
    assert [sent for sent in kept.exported if plants.found_in_text(sent.decode("latin-1"))] == []


def test_words_of_others_reach_no_column_that_is_called_ours_and_all_that_is_not(kept: Kept) -> None:
    database = kept.databases[0]
    reached = {(table, column) for table, column, text in plants.texts_in(database) if WORD.lower() in text.lower()}
    ours = {(table, column) for table, columns in OURS.items() for column in columns}
    others = {place for place in plants.text_columns(database) if place[0] != "completion_requests"}
    copied = {
        "completed_later": ("before",),
        "model_answers": ("model", "response_model"),
        "rollup_costs": ("model", "origin"),
        "rollup_errors": ("model", "origin", "error_type"),
    }
    copies = {(table, column) for table, columns in copied.items() for column in columns}  # of columns that are reached
    assert reached & ours == set(), "they have become others'"
    assert others - reached - copies == ours, "let `their_words` reach it, or add it to OURS"


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
