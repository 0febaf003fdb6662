"""tests/trials/clients with an agent of a few lines, and that it finds what is not as its catalogue says."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.trials.clients.agents.agent import SAID, Agent
from tests.trials.clients.agents.attempt import Attempts
from tests.trials.clients.agents.catalogue import AGENTS
from tests.trials.clients.agents.dialects import DIALECTS, Asked, Reply, Tokens
from tests.trials.clients.agents.result import PAGE, AgentResult, line, table
from tests.trials.clients.pages import PATH
from tests.trials.clients.stage import Stage

CODE = """
import json, subprocess, sys, urllib.request

URL = "https://api.anthropic.com/v1/messages"
SCHEMA = {"properties": {"command": {"type": "string"}}, "required": ["command"]}
said = [{"role": "user", "content": sys.argv[1]}]
print("session", "s-1", flush=True)
while True:
    asked = {"model": "m", "max_tokens": 9, "messages": said, "stream": True,
             "tools": [{"name": "Bash", "input_schema": SCHEMA}]}
    headers = {"Content-Type": "application/json", "User-Agent": "claude-cli/1.2.3 (external, cli)",
               "x-claude-code-session-id": "s-1", "x-claude-code-request-class": "main"}
    answer = urllib.request.urlopen(urllib.request.Request(URL, json.dumps(asked).encode(), headers))
    events = [json.loads(row[6:]) for row in answer if row.startswith(b"data: ")]
    tools = [one["content_block"] for one in events if one.get("content_block", {}).get("type") == "tool_use"]
    if not tools:
        break
    written = "".join(one["delta"].get("partial_json", "") for one in events if one["type"] == "content_block_delta")
    subprocess.run(json.loads(written)["command"], shell=True)
    use = tools[0] | {"input": json.loads(written)}
    said += [{"role": "assistant", "content": [use]},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use["id"], "content": ""}]}]
"""
AGENT = Agent(
    id="small",
    name="claude-code",
    packages=("small",),
    command=("python", CODE, SAID),
    session=r"session (\S+)",
    kinds=frozenset({"main"}),
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("agents")) as made:
        yield made


def attempts(stage: Stage, agent: Agent = AGENT, version: str = "1.2.3") -> Attempts:
    rig, values = stage.rig("regular"), stage.values("regular")
    return Attempts(
        agent, rig, stage.folder, values, {"small": version}, lambda words: ([sys.executable, "-c", *words[1:]], {})
    )


def test_an_agent_that_is_as_its_catalogue_says_has_no_problems(stage: Stage) -> None:
    ran = attempts(stage).tool("SSL_CERT_FILE")
    assert (ran.calls, ran.problems, ran.kinds) == (2, (), frozenset({"main"}))


def test_an_answer_that_is_broken_off_is_a_failed_call_of_its_session(stage: Stage) -> None:
    cut = attempts(stage).broken_off("SSL_CERT_FILE")
    assert (cut.calls, cut.problems) == (1, ())


@pytest.mark.parametrize(
    ("agent", "version", "problem"),
    [
        (replace(AGENT, name="codex"), "1.2.3", "agent is 'claude-code' instead of 'codex'"),
        (AGENT, "1.2.4", "agent_version is '1.2.3' instead of '1.2.4'"),
        (replace(AGENT, kinds=frozenset({"auxiliary"})), "1.2.3", "the kinds are main instead of auxiliary"),
        (replace(AGENT, session="(sessi)on"), "1.2.3", "session_id is 's-1' instead of 'sessi'"),
        (replace(AGENT, command=("python", "print(1)", SAID)), "1.2.3", "it made no call"),
        (replace(AGENT, command=("python", CODE + "raise SystemExit(3)", SAID)), "1.2.3", "it ended with 3"),
        (replace(AGENT, command=("python", CODE.replace("shell=True", "shell=False"), SAID)), "1.2.3",
         "it did not run the command"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_catalogue_says_is_a_problem(stage: Stage, agent: Agent, version: str, problem: str) -> None:
    assert problem in attempts(stage, agent, version).tool("SSL_CERT_FILE").problems


def test_the_page_has_the_line_of_every_agent() -> None:
    lines = PAGE.lines_of(PATH.read_text())
    assert len(lines) == len(AGENTS)
    for (tried_with, _, needs, trusts, *_), agent in zip(lines, AGENTS, strict=True):
        assert tried_with.startswith(agent.packages[0])
        assert needs == " ".join(f"`{name}`" for name in agent.needs)
        assert trusts == ", ".join(f"`{name}`" for name in agent.trusts)


def test_an_agent_that_could_not_be_installed_is_shown_as_not_tried() -> None:
    result = AgentResult(AGENT, not_tried="npm is missing")
    assert PAGE.lines_of(table([result])) == [line(result)]
    assert "not tried: npm is missing" in line(result)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.path.pattern)
def test_a_stream_has_each_piece_of_the_text_in_an_event_of_its_own(dialect: object) -> None:
    assert dialect in DIALECTS
    (found,) = (one for one in DIALECTS if one is dialect)
    events = found.stream(Asked("m", streams=True, said=""), Reply(("a-1", "a-2", "a-3")), Tokens(5, 6))
    for piece in (b"a-1", b"a-2"):
        assert any(piece in event and b"a-3" not in event for event in events)
