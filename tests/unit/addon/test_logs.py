"""Log lines: few, each says what to do, and with metrics_log_format=json each is one object that a program can read."""

import ast
import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.addon.starting import log_lines
from llm_metrics_proxy.addon.starting.log_lines import Complaints
from llm_metrics_proxy.recorder.reporting import Reporter, say
from tests.support.provider import openai_answers
from tests.support.proxy import ADDON, ROOT, Proxy, clean_environment
from tests.support.rig import Rig, question, started
from tests.support.waiting import PATIENCE, eventually
from tests.support.warm import ADDON as OUR_ADDON
from tests.support.warm import MITMDUMP, warm

JSON_LINES = ("metrics_log_format=json",)
BEGIN = ["timestamp", "level", "event", "message"]
ROW_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")


def objects(log: str) -> list[dict[str, Any]]:
    """Every line, each of which has to be an object with what all have."""
    found = [json.loads(line) for line in log.splitlines()]
    for one in found:
        assert list(one)[: len(BEGIN)] == BEGIN
        assert ROW_TIME.fullmatch(one["timestamp"]), one
        assert one["level"] in {"debug", "info", "warning", "error"}
        assert one["event"].isidentifier()
        assert one["message"]
    return found


def of_event(proxy: Proxy, event: str) -> list[dict[str, Any]]:
    """Wait for lines of this event, and return them."""

    def look() -> list[dict[str, Any]]:
        return [one for one in objects(proxy.log) if one["event"] == event]

    return eventually(look)


def distrust(rig: Rig) -> None:
    """Be a client that does not trust the proxy's CA."""
    with suppress(OSError):
        rig.ask(question(), trusted=rig.proxy.log_file.with_name("provider-ca.pem"))


@pytest.mark.timeout(60)
def test_with_json_every_line_is_one_object(tmp_path: Path) -> None:
    with started(tmp_path, options=JSON_LINES) as rig:
        (greeting,) = of_event(rig.proxy, "started")
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        rig.ask(question())
        row = rig.row()
        for _ in range(2):
            distrust(rig)
        (refused,) = of_event(rig.proxy, "certificate_refused")
        rig.proxy.stop()
        (again,) = of_event(rig.proxy, "certificate_refused")
        mitmproxys = of_event(rig.proxy, "mitmproxy")
    assert greeting["timestamp"] <= row["timestamp"] <= refused["timestamp"]
    assert (refused["level"], refused["about"]) == ("warning", "api.openai.com")
    assert "SSL_CERT_FILE" in refused["message"]
    assert again == refused
    assert {one["logger"].partition(".")[0] for one in mitmproxys} == {"mitmproxy"}
    assert all(one["client"].startswith("127.0.0.1:") for one in mitmproxys)


def test_the_greeting_as_an_object_has_the_facts_of_the_text(tmp_path: Path) -> None:
    with started(tmp_path) as rig:
        said = eventually(lambda: "Then:" in rig.proxy.log and rig.proxy.log)
        port = rig.proxy.port
    assert said
    exported = dict(
        line.strip().removeprefix("export ").split("=", 1) for line in said.splitlines() if "export" in line
    )
    assert not said.startswith("{")
    rig.proxy.log_file.unlink()
    with started(tmp_path, options=JSON_LINES, mode=f"regular@127.0.0.1:{port}") as rig:
        (greeting,) = of_event(rig.proxy, "started")
    assert greeting["environment"] == exported
    assert greeting["database"] == str(rig.proxy.database)


def test_what_the_recorder_says_has_its_values_as_fields(tmp_path: Path) -> None:
    with started(tmp_path, options=JSON_LINES) as rig:
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        rig.ask(question())
        rig.row()
        rig.proxy.database.unlink()
        (restored,) = of_event(rig.proxy, "database_restored")
    assert (restored["level"], restored["path"]) == ("warning", str(rig.proxy.database))
    assert restored["message"].startswith(f"{rig.proxy.database} was moved or removed; everything in it is back.")


@pytest.mark.parametrize("also", ["metrics_queue_size=many", "metrics_dbb=x", "metrics_db=nowhere/metrics.db"])
def test_a_refused_start_is_one_object_too(tmp_path: Path, also: str) -> None:
    words = ["--listen-host", "127.0.0.1", "--listen-port", "0", "-s", str(ADDON)]
    settings = [f"confdir={tmp_path}", "termlog_verbosity=warn", *JSON_LINES, also]
    words += [word for setting in settings for word in ("--set", setting)]
    stdout, stderr = tmp_path / "stdout.log", tmp_path / "stderr.log"
    with stdout.open("w") as said, stderr.open("w") as complained:
        process = warm(*MITMDUMP, OUR_ADDON).start(words, clean_environment(tmp_path), tmp_path, said, complained)
        code = process.wait(PATIENCE * 3)
    assert (code, stdout.read_text()) == (1, "")
    (refusal,) = objects(stderr.read_text())
    assert (refusal["level"], refusal["event"]) == ("error", "start_refused")
    assert refusal["message"].startswith(
        ("metrics_queue_size must be", "There is no option metrics_dbb", "There is no")
    )


def test_a_published_address_is_the_one_that_is_told_and_judged(tmp_path: Path) -> None:
    for published, warned in (("127.0.0.1:8081", []), ("192.0.2.7:8080", [["192.0.2.7:8080"]])):
        options = [*JSON_LINES, f"metrics_published={published}"]
        with started(tmp_path, options=options, mode="regular@0.0.0.0:0") as rig:
            (greeting,) = of_event(rig.proxy, "started")
            rig.proxy.stop()
            log = objects(rig.proxy.log)
        rig.proxy.log_file.unlink()
        assert greeting["environment"]["HTTPS_PROXY"] == f"http://{published}"
        assert [one["addresses"] for one in log if one["event"] == "public_address"] == warned


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("mitmproxy.proxy.server", logging.ERROR, "", 0, message, arguments, None)
    made.__dict__ |= extra
    return made


def test_an_object_is_one_line_of_ascii_whatever_is_in_it() -> None:
    hostile = "\x1b[2J\n\u202egpt\ud800"
    made = record("%s", hostile, client=(hostile, 1, 0, 0))
    made.exc_info = (ValueError, ValueError(hostile), None)
    line = log_lines.JsonLines().format(made)
    assert line.isascii()
    assert line.isprintable()
    (one,) = objects(line)
    assert one["message"] == hostile
    assert one["client"] == f"{hostile}:1"
    assert one["traceback"].startswith("ValueError: ")


def test_fields_replace_nothing_that_every_object_has() -> None:
    made = record("It is %(level)s.", {"level": "high", "event": "x", "path": Path("/a")}, event="flood")
    one = json.loads(log_lines.JsonLines().format(made))
    assert (one["level"], one["event"], one["message"]) == ("error", "flood", "It is high.")
    assert one["path"] == "/a"


def test_complaints_end_before_nobody_reads_them(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for number in range(1000):
        complaints.once("certificate_refused", "100 % of it: do something.", about=f"host{number}", number=number)
        complaints.once("certificate_refused", "100 % of it: do something.", about="host0")
    assert len(caplog.messages) == 101
    assert caplog.messages[0] == "LLM metrics: 100 % of it: do something."
    assert caplog.messages[-1].endswith("act on those, then start anew.")


def test_a_recorder_that_is_in_trouble_says_so_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    reporter = Reporter()
    for _ in range(1000):
        reporter.warn("spill_failed", "%(folder)s is full: free space.", folder="/data")
        reporter.warn("spill_file_unreadable", "%(path)s: make it readable.", about="a", path="a")
        reporter.warn("spill_file_unreadable", "%(path)s: make it readable.", about="b", path="b")
    assert caplog.messages == ["/data is full: free space.", "a: make it readable.", "b: make it readable."]
    caplog.clear()
    say(logging.WARNING, "plain", "100 % of nothing: go on.")
    assert caplog.messages == ["100 % of nothing: go on."]


def _lines_of_the_recorder() -> Iterator[tuple[str, str, str, set[str]]]:
    """Where, event, text and values of every log line that recorder/ has."""
    for path in sorted((ROOT / "recorder").rglob("*.py")):
        module = ast.parse(path.read_text())
        named = sorted(
            ((line, name, value) for node in ast.walk(module) for line, name, value in _named(node)),
            key=lambda one: one[0],
        )
        for node in ast.walk(module):
            match node:
                case ast.Call(func=ast.Name("say"), args=[_, ast.Constant(str(event)), text], keywords=values):
                    pass
                case ast.Call(func=ast.Attribute(attr="warn"), args=[ast.Constant(str(event)), text], keywords=values):
                    pass
                case _:
                    continue
            before = [one for one in named if one[0] < node.lineno]
            for said in [text.value] if isinstance(text, ast.Constant) else _said(getattr(text, "id", ""), before):
                yield f"{path.name}:{node.lineno}", event, str(said), {str(value.arg) for value in values} - {"about"}


def _named(node: ast.AST) -> Iterator[tuple[int, str, ast.expr | None]]:
    match node:
        case ast.Assign(targets=[ast.Name(name)], value=value) | ast.AnnAssign(target=ast.Name(name), value=value):
            yield node.lineno, name, value


def _said(name: str, named: list[tuple[int, str, ast.expr | None]]) -> list[object]:
    """The text that a name stands for: the last one, or all of those that it may be another name of."""
    values = [value for _, own, value in named if own == name]
    others = [said for value in values if isinstance(value, ast.Name) for said in _said(value.id, named)]
    constants: list[object] = [value.value for value in values if isinstance(value, ast.Constant)]
    return others or constants[-1:]


def test_every_line_of_the_recorder_can_be_made_of_its_values() -> None:
    lines = list(_lines_of_the_recorder())
    assert len(lines) >= 30
    for where, event, text, values in lines:
        assert event.isidentifier(), where
        assert set(PLACEHOLDER.findall(text)) == values, where
        assert text % dict.fromkeys(values, 1), where
        assert text.endswith((".", "%(error)s")), where


_LEVEL = """
import logging
import os
import pathlib

from mitmproxy import ctx

def load(loader):
    ctx.options.update(termlog_verbosity=os.environ["TEST_VERBOSITY"])

def requestheaders(flow):
    pathlib.Path(os.environ["TEST_LEVEL"]).write_text(str(logging.getLogger("mitmproxy.proxy.server").level))
"""
_READS_ALL = "\ndef add_log(entry):\n    pass\n"
_HANDLES_ALL = "\nlogging.getLogger('mitmproxy').addHandler(logging.NullHandler(logging.DEBUG))\n"
_HAS_SET_IT = "\nlogging.getLogger('mitmproxy.proxy.server').setLevel(logging.ERROR)\n"


@pytest.mark.parametrize(
    ("verbosity", "script", "level"),
    [
        ("warn", "", logging.WARNING),
        ("info", "", logging.INFO),
        ("debug", "", logging.DEBUG),
        ("warn", _READS_ALL, logging.NOTSET),
        ("warn", _HANDLES_ALL, logging.DEBUG),
        ("info", _HAS_SET_IT, logging.ERROR),
    ],
    ids=["warn", "info", "debug", "an addon reads all", "a handler reads all", "somebody has set it"],
)
def test_mitmproxys_connections_log_what_somebody_reads_and_no_more(
    tmp_path: Path, verbosity: str, script: str, level: int
) -> None:
    file, seen = tmp_path / "level.py", tmp_path / "level.txt"
    file.write_text(_LEVEL + script)
    with started(tmp_path, scripts=[file], environment={"TEST_VERBOSITY": verbosity, "TEST_LEVEL": str(seen)}) as rig:
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        rig.ask(question())
        rig.row()
        rig.proxy.stop()
        assert seen.read_text() == str(level)
        assert ("client connect" in rig.proxy.log) == (verbosity != "warn" and level <= logging.INFO)
        assert "Streaming" not in rig.proxy.log
