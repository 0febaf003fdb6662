"""What an agent says of itself is in the row, whatever label is in the proxy's URL, and passes as it was sent."""

import pytest

from tests.support.rig import ANTHROPIC, JSON, MESSAGES, Rig, at_once, question

_SAYS = (
    ("User-Agent", "claude-cli/2.1.332 (external, cli)"),
    ("X-Claude-Code-Session-Id", "9d6c9564"),
    ("x-claude-code-request-class", "compaction"),
    ("x-claude-code-agent-id", "sk-ant-api03-0123456789abcdefghij"),
)


@pytest.mark.parametrize(
    ("user", "label", "origin"),
    [("billing:x", (), "billing"), (None, (("x-llm-origin", "shop"),), "shop"), (None, (), "claude-cli/2.1.332")],
)
def test_a_label_does_not_hide_the_agent(
    rig: Rig, user: str | None, label: tuple[tuple[str, str], ...], origin: str
) -> None:
    rig.answer(at_once(b'{"type":"message","model":"m","usage":{"input_tokens":3,"output_tokens":4}}'))
    rig.ask(question("m"), host=ANTHROPIC, path=MESSAGES, headers=[*JSON, *_SAYS, *label], user=user)
    row = rig.row()
    assert (row["origin"], row["agent"], row["agent_version"]) == (origin, "claude-code", "2.1.332")
    assert (row["session_id"], row["request_kind"]) == ("9d6c9564", "compaction")
    assert row["agent_id"] is None, "what is surely a key is no name of an agent"
    assert {(name, value) for name, value in rig.served.request.headers} >= set(_SAYS)
