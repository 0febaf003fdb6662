"""tests/trials/clients with the two SDKs that are installed here, and that it finds what is not as its table says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.proxy import ROOT
from tests.trials.clients import trial
from tests.trials.clients.agents.catalogue import AGENTS
from tests.trials.clients.catalogue import CLIENTS
from tests.trials.clients.client import CERTIFICATES, Client
from tests.trials.clients.minimal import findings
from tests.trials.clients.pages import PATH
from tests.trials.clients.result import PAGE, Result, cells, line, table
from tests.trials.clients.stage import Stage
from tests.trials.clients.trial import Attempts, Trial

BY_ID = {client.id: client for client in CLIENTS}
OPENAI = BY_ID["openai"]
# Python itself starts sooner than any SDK, and tries nothing again.
URLLIB = replace(OPENAI, agent="Python-urllib")
CODE = """
import json, urllib.request

def ask(**more):
    asked = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Name three rivers."}], **more}
    headers = {"Content-Type": "application/json"}
    url = "https://api.openai.com/v1/chat/completions"
    return urllib.request.urlopen(urllib.request.Request(url, json.dumps(asked).encode(), headers))

print(json.loads(ask().read())["choices"][0]["message"]["content"])
data = [line[6:] for line in ask(stream=True) if line.strip()]
chunks = [json.loads(text) for text in data if text != b"[DONE]\\n"]
print("".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]))
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("clients")) as made:
        yield made


def attempts_of(client: Client, stage: Stage, code: str = "") -> Attempts:
    """Runs by this Python, of the client's program or of `code`."""
    program = ["-c", code] if code else [str(ROOT / "tests" / "trials" / "clients" / "programs" / client.program)]
    return Attempts(client, [sys.executable, *program], stage.rig(client.mode), stage.folder)


def tried(client: Client, stage: Stage, *, without: str = "", code: str = "") -> Trial:
    values = stage.values(client.mode)
    variables = {name: values[name] for name in client.variables if name != without}
    return attempts_of(client, stage, code).run(variables, client.agent)


@pytest.mark.parametrize("name", ["openai", "openai-reverse", "anthropic"])
def test_a_client_is_recorded_with_what_the_table_says(name: str, stage: Stage) -> None:
    found = tried(BY_ID[name], stage)
    assert found.problems == ()
    assert found.rows == 2


def test_a_client_without_the_variable_of_the_ca_leaves_no_row(stage: Stage) -> None:
    found = tried(OPENAI, stage, without="SSL_CERT_FILE")
    assert found.rows == 0
    assert found.problems[0] == "its program ended with 1"
    assert found.last_words == "openai.APIConnectionError: Connection error."


def test_a_client_of_the_standard_library_is_recorded_as_well(stage: Stage) -> None:
    assert tried(URLLIB, stage, code=CODE).problems == ()


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        (replace(URLLIB, agent="Somebody"), "origin is 'Python-urllib"),
        (replace(URLLIB, calls=OPENAI.calls[:1]), "it asked for /v1/chat/completions"),
        (replace(URLLIB, calls=OPENAI.calls[::-1]), "is_streaming is 0 instead of True"),
        (replace(URLLIB, calls=(OPENAI.calls[0], replace(OPENAI.calls[1], says="Volga."))), "its program printed b'Rh"),
    ],
    ids=["origin", "one call too many", "calls in another order", "another answer"],
)
def test_what_is_not_as_the_table_says_is_named(client: Client, problem: str, stage: Stage) -> None:
    found = tried(client, stage, code=CODE)
    assert any(one.startswith(problem) for one in found.problems), found.problems


def test_a_program_that_hangs_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PROGRAM_SECONDS", 0.3)
    code = "import subprocess\nsubprocess.run(['sleep', '600'])"
    found = tried(OPENAI, stage, code=code)
    assert found.problems[0] == "its program took too long"


def test_a_program_has_no_variables_but_those_of_the_table(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CERTIFICATES, "HTTP_PROXY", "NO_PROXY", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "of the caller")
    found = tried(OPENAI, stage, code="import os; print(sorted(os.environ)); raise SystemExit(1)")
    printed = " ".join(found.problems)
    assert "'SSL_CERT_FILE'" in printed
    assert "REQUESTS_CA_BUNDLE" not in printed
    assert "HTTP_PROXY" not in printed
    assert "OPENAI_BASE_URL" not in printed


def test_a_variable_that_is_not_needed_is_found_out(stage: Stage) -> None:
    values = stage.values("regular") | {"NEVER_READ": "1"}
    client = replace(URLLIB, needs=(*URLLIB.needs, "NEVER_READ"), trusts=("SSL_CERT_FILE", "AWS_CA_BUNDLE"))
    found = {finding.what: finding for finding in findings(client, values, attempts_of(client, stage, CODE))}
    assert {what for what, finding in found.items() if not finding.as_expected} == {
        "without NEVER_READ",  # it is recorded all the same
        "the CA in AWS_CA_BUNDLE alone",  # it is not recorded
    }
    assert found["with a label in the proxy's URL"].outcome == "recorded"
    result = Result(client, {"openai": "1.0", "Python": "3.13"}, trial=Trial(2, (), ""), findings=list(found.values()))
    assert "**fails**: without NEVER_READ: recorded" in line(result)[-1]


def test_the_page_has_the_line_of_every_client() -> None:
    lines = PAGE.lines_of(PATH.read_text())
    assert [one[2:] for one in lines] == [cells(client) for client in CLIENTS]
    for (tried_with, runs_on, *_), client in zip(lines, CLIENTS, strict=True):
        names = [re.split(r"[\[@](?=\w+\]?$)", name)[0] for name in client.packages] or ["curl"]
        found = [word for word in re.sub(r" \d[\w.]*", "", tried_with).split(", ") if word != client.note]
        assert found == names
        assert len(re.findall(r" \d+\.\d+", tried_with)) == len(names)
        assert re.match({"python": r"Python 3\.", "node": rf"Node {client.node}\.", "sh": "$"}[client.kind], runs_on)


def test_a_client_that_could_not_be_tried_is_shown_as_that() -> None:
    result = Result(OPENAI, not_tried="npm is missing")
    assert PAGE.lines_of(table([result]))[0] == [
        "openai",
        "",
        "`HTTPS_PROXY`",
        "`SSL_CERT_FILE`",
        "**fails**: not tried: npm is missing",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nobody"], "there is no nobody; there are sdks, agents, openai, "),
        (["--readme", "openai"], "--readme is for a run with"),
    ],
)
def test_wrong_arguments_end_it_before_anything_is_installed(arguments: list[str], says: str) -> None:
    command = [sys.executable, "-m", "tests.trials.clients", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert says in ended.stderr


def test_programs_and_cases_are_there() -> None:
    for client in CLIENTS:
        assert (ROOT / "tests" / "trials" / "clients" / "programs" / client.program).is_file()
        assert all(Path(ROOT / "tests" / "fixtures" / call.case / "expected.json").is_file() for call in client.calls)
    used = {client.program for client in CLIENTS}
    used |= {word for agent in AGENTS for word in agent.command if word.endswith(".py")}
    assert used == {
        path.name for path in (ROOT / "tests" / "trials" / "clients" / "programs").iterdir() if path.is_file()
    }
