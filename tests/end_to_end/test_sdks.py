"""A person starts mitmdump, copies the lines that it prints, and runs programs that know nothing of a proxy."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_metrics_proxy import __version__
from tests.support.provider import anthropic_answers, openai_answers
from tests.support.provider.scenario import Request, Scenario
from tests.support.proxy import ADDON, ROOT, clean_environment
from tests.support.rig import JSON, Rig, at_once, question, started
from tests.support.waiting import eventually

PROGRAM = """
import json, urllib.request
import anthropic, openai

hello = [{"role": "user", "content": "Why?"}]
with openai.OpenAI(api_key="sk-made-up", max_retries=2) as chat, anthropic.Anthropic(api_key="sk-made-up") as claude:
    said = [chat.chat.completions.create(model="gpt-plain", messages=hello).choices[0].message.content]
    with chat.chat.completions.create(model="gpt-stream", messages=hello, stream=True) as chunks:
        said.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
    said.append(chat.chat.completions.create(model="gpt-again", messages=hello).choices[0].message.content)
    asked = {"max_tokens": 100, "messages": hello}
    said.append(claude.messages.create(model="claude-plain", **asked).content[0].text)
    with claude.messages.stream(model="claude-stream", **asked) as events:
        said.append(events.get_final_message().content[1].text)
    tool = {"name": "get_weather", "input_schema": {"type": "object"}}
    with claude.messages.stream(model="claude-tool", tools=[tool], **asked) as events:
        said.append(events.get_final_message().content[0].input)
said.append(urllib.request.urlopen("https://files.example.org/simple/").read().decode())
print(json.dumps(said))
"""
TEXT = "".join(openai_answers.PIECES)
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-plain",
    "content": [{"type": "text", "text": "Because."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 8, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 5, "output_tokens": 3},
}
AGAIN = (*JSON, ("retry-after-ms", "20"))
SCENARIOS = {
    "gpt-plain": openai_answers.plain("gpt-plain", at_ms=5),
    "gpt-stream": openai_answers.stream("gpt-stream", role_ms=5, content_ms=20, gap_ms=5, pieces=7),
    "gpt-again": openai_answers.plain("gpt-again", at_ms=5),
    "claude-plain": at_once(json.dumps(MESSAGE).encode()),
    "claude-stream": anthropic_answers.reasoning("claude-stream", start_ms=5, thinking_ms=20, text_ms=60, gap_ms=5),
    "claude-tool": anthropic_answers.tool_call("claude-tool", start_ms=5, tool_ms=20, gap_ms=5),
}


def answer(request: Request) -> Scenario:
    if request.method == "GET":
        return at_once(b"a list of packages")
    model = json.loads(request.body)["model"]
    retries = dict(request.headers).get("x-stainless-retry-count", "0")
    if model == "gpt-again" and retries != "2":
        return at_once(b'{"error":{"type":"overloaded","message":"Later."}}', status=503, headers=AGAIN)
    return SCENARIOS[model]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, list[object]]]:
    """Run the program as a person does, in a shell with the lines that the start has printed."""
    folder = tmp_path_factory.mktemp("a folder's name")
    with started(folder) as rig:
        rig.provider.answer = answer
        lines = [line for line in rig.proxy.log.splitlines() if line.startswith("  export ")]
        shell = "\n".join([*lines, f"exec {shlex.quote(sys.executable)} -c {shlex.quote(PROGRAM)}"])
        environment = clean_environment(folder)
        done = subprocess.run(
            ["/bin/sh", "-c", shell], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        yield rig, json.loads(done.stdout)


def test_programs_that_know_no_proxy_get_their_answers(typed: tuple[Rig, list[object]]) -> None:
    _, said = typed
    assert said == [TEXT, TEXT, TEXT, "Because.", "It took some time.", {"city": "Paris"}, "a list of packages"]


def test_each_of_their_calls_is_a_row_and_each_retry_too(typed: tuple[Rig, list[object]]) -> None:
    rig, _ = typed
    names = ("model", "success", "status_code", "prompt_tokens", "completion_tokens", "finish_reason", "retry_count")
    assert [tuple(row[name] for name in names) for row in rig.rows(8)] == [
        ("gpt-plain", 1, 200, 12, 7, "stop", 0),
        ("gpt-stream", 1, 200, 12, 7, "stop", 0),
        ("gpt-again", 0, 503, None, None, None, 0),
        ("gpt-again", 0, 503, None, None, None, 1),
        ("gpt-again", 1, 200, 12, 7, "stop", 2),
        ("claude-plain", 1, 200, 15, 3, "end_turn", 0),
        ("claude-stream", 1, 200, 30, 24, "end_turn", 0),
        ("claude-tool", 1, 200, 30, 16, "tool_use", 0),
    ]
    origins = rig.query("SELECT DISTINCT origin, cached_tokens FROM completion_requests ORDER BY id")
    assert [row["origin"].partition("/")[0] for row in origins] == ["OpenAI", "Anthropic", "Anthropic"]
    waits = rig.query("SELECT retry_after_ms, error_type FROM completion_requests WHERE success = 0")
    assert waits == [{"retry_after_ms": 20, "error_type": "overloaded"}] * 2


def test_the_start_prints_where_the_rows_go_and_the_real_port(typed: tuple[Rig, list[object]]) -> None:
    proxy = typed[0].proxy
    said = proxy.log
    assert f"LLM metrics {__version__}: recording to {proxy.database}\n" in said
    assert f"export HTTPS_PROXY={proxy.url}\n" in said
    assert f"export NODE_EXTRA_CA_CERTS={shlex.quote(str(proxy.ca))}\n" in said


def test_the_last_line_of_the_start_shows_the_calls_while_it_runs(
    typed: tuple[Rig, list[object]], tmp_path: Path
) -> None:
    rig, _ = typed
    (line,) = [line for line in rig.proxy.log.splitlines() if line.startswith("Then: ")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = clean_environment(tmp_path) | {"PATH": path}
    command = ["/bin/sh", "-c", line.removeprefix("Then: ")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert all(done.stdout.count(model) >= 1 for model in SCENARIOS)
    if unseen := rig.new_rows():  # of the program, where no test before this one has looked at them
        rig.rows(len(unseen))
    rig.ask(question("gpt-plain"))
    assert rig.row()["success"] == 1


def test_a_changed_script_is_loaded_anew_and_no_row_is_lost(tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    shutil.copy(ADDON, script)
    with started(tmp_path, addon=script, environment={"PYTHONPATH": str(ROOT)}) as rig:
        rig.answer(openai_answers.stream("gpt-5.5", role_ms=0, content_ms=1800, gap_ms=5, pieces=4))
        with rig.asking(question("open-meanwhile", stream=True)) as (_, response):
            assert response.readline()
            os.utime(script, (2e9, 2e9))
            assert eventually(lambda: rig.proxy.log.count(f"LLM metrics {__version__}: recording to") == 2), (
                "not loaded anew"
            )
            response.read()
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        rig.ask(question("afterwards"))
        rows = {row["model"]: row for row in rig.rows(2)}
        assert rig.proxy.stop(signal.SIGTERM) == 0
        assert rows["afterwards"]["success"] == 1
        assert (rows["open-meanwhile"]["success"], rows["open-meanwhile"]["error_type"]) == (0, "proxy_shutdown")
        assert "Traceback" not in rig.proxy.log
        assert rig.counter("addon_errors") == 0


def test_plain_mitmdump_loads_the_addon(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("mitmdump")), "--listen-host", "127.0.0.1", "--listen-port", "0"]
    command += ["-s", "addon/main.py", "--set", f"confdir={tmp_path}", "--set", f"metrics_db={tmp_path / 'metrics.db'}"]
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, cwd=ROOT, env=clean_environment(tmp_path), stdout=out, stderr=subprocess.STDOUT
        ) as process,
    ):
        eventually(lambda: process.poll() is not None or "Then: " in log.read_text())
        process.terminate()
        assert process.wait() == 0, log.read_text()
    assert f"LLM metrics {__version__}: recording to {tmp_path / 'metrics.db'}\n" in log.read_text()
