"""Agents are told apart, and say of themselves what their columns hold."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.addon.callers import agents
from llm_metrics_proxy.addon.callers.agents import IDENTIFIERS, KINDS, caller_of
from llm_metrics_proxy.addon.callers.fields import CallerFields, said_in
from llm_metrics_proxy.addon.privacy import mask_columns
from llm_metrics_proxy.addon.providers import openai_responses

TABLE = tomllib.loads((Path(agents.__file__).parent / "agents.toml").read_text())
CODEX = "codex_exec/0.171.0 (Debian 12.0.0; x86_64) unknown (codex_exec; 0.171.0)"
CLAUDE = "claude-cli/2.1.332 (external, sdk-cli)"
OPENCODE = "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14"
COPILOT = "copilot/1.0.102 (linux v24.20.0) term/unknown client/github/cli"
DEVICE = '{"device_id":"made-up","account_uuid":"","session_id":"9d6c9564"}'
USER = "user_00ff_account_11-22_session_9d6c9564-a707-41f3-9279-55102c48d6b4"


def columns(headers: dict[str, str], path: str = "/v1/messages", /, **body: object) -> dict[str, Any]:
    """Return what is known of the caller, without what is not."""
    said = {name: json.dumps(value).encode() for name, value in body.items()}
    return {name: value for name, value in caller_of(headers).columns(path, said).items() if value is not None}


def turn(**metadata: object) -> str:
    return json.dumps({"session_id": "s", "thread_id": "t", **metadata})


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"user-agent": CLAUDE, "x-claude-code-session-id": "a", "x-claude-code-request-class": "main"}, {},
         {"agent": "claude-code", "agent_version": "2.1.332", "session_id": "a", "request_kind": "main"}),
        ({"user-agent": CLAUDE, "x-claude-code-request-class": "workflow", "x-claude-code-agent-id": "b",
          "x-claude-code-parent-agent-id": "c"}, {},
         {"agent": "claude-code", "agent_version": "2.1.332", "agent_id": "b", "parent_agent_id": "c",
          "request_kind": "subagent"}),
        ({"user-agent": CLAUDE, "x-claude-code-request-class": "compaction"}, {"tools": True},
         {"agent": "claude-code", "agent_version": "2.1.332", "request_kind": "compaction"}),
        ({"user-agent": CLAUDE}, {"metadata": {"user_id": DEVICE}, "tools": False},  # before it had headers for that
         {"agent": "claude-code", "agent_version": "2.1.332", "session_id": "9d6c9564", "request_kind": "auxiliary"}),
        ({"user-agent": CLAUDE}, {"metadata": {"user_id": DEVICE.replace('"', "__")}},  # of a long body
         {"agent": "claude-code", "agent_version": "2.1.332", "session_id": "9d6c9564"}),
        ({"user-agent": CLAUDE}, {"metadata": {"user_id": USER}, "tools": True},
         {"agent": "claude-code", "agent_version": "2.1.332", "session_id": USER[-36:], "request_kind": "main"}),
        ({"user-agent": CODEX, "session-id": "s", "thread-id": "s",
          "x-codex-turn-metadata": turn(request_kind="turn")}, {},
         {"agent": "codex", "agent_version": "0.171.0", "session_id": "s", "agent_id": "s", "request_kind": "main"}),
        ({"user-agent": "codex_cli_rs/0.90.1", "session_id": "s"}, {},
         {"agent": "codex", "agent_version": "0.90.1", "session_id": "s"}),
        ({"user-agent": CODEX, "x-codex-turn-metadata": turn(request_kind="compaction"), "x-openai-subagent": "review"},
         {}, {"agent": "codex", "agent_version": "0.171.0", "session_id": "s", "agent_id": "t",
              "request_kind": "compaction"}),
        ({"user-agent": CODEX, "x-openai-subagent": "memory_consolidation"}, {"prompt_cache_key": "k"},
         {"agent": "codex", "agent_version": "0.171.0", "session_id": "k", "request_kind": "auxiliary"}),
        ({"user-agent": CODEX, "x-codex-turn-metadata": turn(workspaces={"C:\\work\\shop": {}})}, {},
         {"agent": "codex", "agent_version": "0.171.0", "session_id": "s", "agent_id": "t", "project": "shop"}),
        ({"user-agent": CODEX, "x-codex-turn-metadata": '{"session_id": "s", '}, {},
         {"agent": "codex", "agent_version": "0.171.0"}),
        ({"user-agent": CODEX, "x-codex-turn-metadata": turn(session_id=["s"], thread_id={}, workspaces=[1])}, {},
         {"agent": "codex", "agent_version": "0.171.0"}),
        ({"user-agent": CODEX, "x-codex-turn-metadata": "[" * 9000}, {},
         {"agent": "codex", "agent_version": "0.171.0"}),
        ({"user-agent": CODEX, "x-codex-turn-metadata": turn(pad="x" * 20_000)}, {},
         {"agent": "codex", "agent_version": "0.171.0"}),
        ({"user-agent": OPENCODE, "x-session-id": "ses_1", "x-parent-session-id": "ses_0"}, {"tools": True},
         {"agent": "opencode", "agent_version": "1.18.33", "session_id": "ses_1", "parent_agent_id": "ses_0",
          "request_kind": "subagent"}),
        ({"user-agent": OPENCODE, "x-session-id": "ses_1"}, {"tools": False},
         {"agent": "opencode", "agent_version": "1.18.33", "session_id": "ses_1", "request_kind": "auxiliary"}),
        ({"user-agent": "opencode/1.18.33", "x-opencode-session": "ses_2", "x-opencode-project": "p"}, {},
         {"agent": "opencode", "agent_version": "1.18.33", "session_id": "ses_2", "project": "p"}),
        ({"user-agent": COPILOT, "x-client-session-id": "c", "x-agent-task-id": "t", "x-parent-agent-id": "p",
          "x-interaction-type": "conversation-subagent", "x-github-repository-nwo": "ada/shop"}, {},
         {"agent": "copilot-cli", "agent_version": "1.0.102", "session_id": "c", "agent_id": "t",
          "parent_agent_id": "p", "request_kind": "subagent", "project": "ada/shop"}),
        ({"user-agent": COPILOT, "x-github-repository-nwo": "__no_repository__"}, {},
         {"agent": "copilot-cli", "agent_version": "1.0.102"}),
        ({"user-agent": "OpenAI/JS 5.20.1", "x-initiator": "agent"}, {"tools": True},  # with a provider of one's own
         {"agent": "copilot-cli", "request_kind": "main"}),
        ({"user-agent": "GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)"}, {"tools": True},
         {"agent": "gemini-cli", "agent_version": "0.61.0", "request_kind": "main"}),
        ({"user-agent": "GeminiCLI/0.9.0 (linux; x64)"}, {"session_id": "g", "project": "shop-1"},
         {"agent": "gemini-cli", "agent_version": "0.9.0", "session_id": "g", "project": "shop-1"}),
        ({"user-agent": "QwenCode/0.24.4 (linux; x64)"}, {"metadata": {"sessionId": "q", "promptId": "p"}},
         {"agent": "qwen-code", "agent_version": "0.24.4", "session_id": "q"}),
        ({"user-agent": "pi/1.6.0 (linux; node/v26.12.1; x64)"}, {"prompt_cache_key": "k"},
         {"agent": "pi", "agent_version": "1.6.0", "session_id": "k"}),
        ({"user-agent": "Agents/Python 0.22.1"}, {"prompt_cache_key": "k"},
         {"agent": "openai-agents", "agent_version": "0.22.1", "session_id": "k"}),
        ({"user-agent": "Charm-Crush/v0.97.1 (https://charm.land/crush)"}, {},
         {"agent": "crush", "agent_version": "0.97.1"}),
        ({"user-agent": "Kilo-Code/7.8.3 ai-sdk/provider-utils/3.0.0", "x-kilocode-taskid": "t",
          "x-kilocode-parent-taskid": "p", "x-kilocode-projectid": "shop"}, {"tools": True},
         {"agent": "kilo-code", "agent_version": "7.8.3", "session_id": "t", "parent_agent_id": "p",
          "request_kind": "subagent", "project": "shop"}),
        ({"user-agent": "litellm/1.9", "x-title": "Aider"}, {}, {"agent": "aider"}),
        ({"user-agent": "OpenAI/Python 3.57.0", "session_id": "s"}, {"prompt_cache_key": "k"}, {"session_id": "s"}),
        ({"user-agent": "a-shop/1.0"}, {"session_id": 7, "tools": True}, {"session_id": "7"}),
        ({}, {"session_id": ["7"], "metadata": "x", "client_metadata": None, "tools": True}, {}),
    ],
)  # fmt: skip
def test_a_caller_is_known_by_what_it_says(
    headers: dict[str, str], body: dict[str, Any], expected: dict[str, str]
) -> None:
    assert columns(headers, **body) == expected


def test_what_a_message_says_counts_more_than_the_upgrade_before_it() -> None:
    upgrade = {"user-agent": CODEX, "upgrade": "websocket", "x-codex-turn-metadata": turn(request_kind="prewarm")}
    message = {"x-codex-turn-metadata": turn(session_id="m", request_kind="turn")}
    assert columns(upgrade, client_metadata=message)["request_kind"] == "main"
    assert columns(upgrade, client_metadata=message)["session_id"] == "m"
    assert "request_kind" not in columns(upgrade, client_metadata={})
    assert columns(upgrade, generate=False)["request_kind"] == "prewarm"


def test_a_compaction_is_known_by_its_path_whoever_calls() -> None:
    assert columns({}, "/v1/responses/compact") == {"request_kind": "compaction"}


def test_only_who_says_that_it_retries_by_itself_loses_the_count_of_its_sdk() -> None:
    assert caller_of({"user-agent": CLAUDE}).columns("/")["retry_count"] is None
    assert "retry_count" not in caller_of({"user-agent": "OpenAI/Python 3"}).columns("/")


def test_values_are_one_short_line() -> None:
    said = columns({"user-agent": COPILOT, "x-client-session-id": "a\r\nb\x00" + "x" * 5000})
    assert re.fullmatch(r"a {1,2}b.x{200,}", said["session_id"])
    assert len(said["session_id"]) == 256


def test_an_identifier_that_holds_a_key_is_not_kept_in_part() -> None:
    row: dict[str, Any] = {"session_id": "s-sk-proj-0123456789abcdefghij", "origin": "o-sk-proj-0123456789abcdefghij"}
    mask_columns(row, (), whole=IDENTIFIERS)
    assert row == {"session_id": None, "origin": "o-[masked]"}


def test_a_field_that_is_too_long_is_not_kept_and_no_field_holds_on_to_the_body() -> None:
    asked = openai_responses.RESPONSES.request(
        json.dumps({"input": "x", "metadata": {"a": "x" * 20_000}, "prompt_cache_key": "k", "tools": [{}]}).encode()
    )
    assert asked.said == {"prompt_cache_key": b'"k"', "tools": b"true"}
    assert all(type(value) is bytes for value in said_in(CallerFields()).values())


def test_the_table_uses_words_of_the_lists_alone() -> None:
    known = {"name", "user_agent", "headers", "kinds", "own_retries", "goes_on_by_http", *IDENTIFIERS}
    words = {word for agent in (TABLE["any"], *TABLE["agent"]) for kind in agent.get("kinds", ()) for word in kind}
    means = {
        kind[word]
        for agent in (TABLE["any"], *TABLE["agent"])
        for kind in agent.get("kinds", ())
        for word in kind
        if word != "at"
    }
    assert words
    assert means <= set(KINDS)
    assert all(agent.keys() <= known for agent in TABLE["agent"])
    names = [agent["name"] for agent in TABLE["agent"]]
    assert len(names) == len(set(names))
    fields = {
        source.field for agent in (agents._EVERYBODY, *agents._AGENTS)  # noqa: SLF001 - the table as it was read
        for source in (*(one for _, many in agent.sources for one in many), *(kind.source for kind in agent.kinds))
        if source.where == "body"
    }  # fmt: skip
    assert fields <= set(CallerFields.__struct_fields__)
