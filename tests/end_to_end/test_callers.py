"""What an agent says of itself is in the row, whatever label is in the proxy's URL, and passes as it was sent."""

import json

import pytest

from llm_metrics_proxy.addon.callers.key_id import KeyIds
from tests.support.rig import ANTHROPIC, JSON, MESSAGES, Rig, at_once, question
from tests.support.waiting import eventually

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


_ANSWER = b'{"type":"message","model":"m","usage":{"input_tokens":3,"output_tokens":4}}'


def test_labels_are_in_the_row_and_stay_at_the_proxy(rig: Rig) -> None:
    rig.answer(at_once(_ANSWER))
    key = ("x-api-key", "sk-ant-api03-0123456789abcdefghij")
    said = [("X-LLM-Label-Team", "search"), ("x-llm-label-secret", key[1]), ("baggage", "team=other,tenant=a")]
    rig.ask(
        question("m"), host=ANTHROPIC, path=MESSAGES, headers=[*JSON, key, *said], user="billing;env=prod;team=ads:x"
    )
    row = rig.row()
    assert (row["origin"], json.loads(row["labels"])) == ("billing", {"env": "prod", "team": "search"})
    assert {name.lower() for name, _ in rig.served.request.headers} >= {"baggage", "x-api-key"}
    assert not [name for name, _ in rig.served.request.headers if name.lower().startswith("x-llm-")]
    eventually(lambda: rig.counter("labels_left_out") == 1)


def test_calls_with_one_key_have_one_id_and_those_with_another_have_another(rig: Rig) -> None:
    rig.answer(at_once(_ANSWER))
    keys = [("x-api-key", "one"), ("x-api-key", "two"), ("authorization", "Bearer one")]
    for key in keys:
        rig.ask(question("m"), host=ANTHROPIC, path=MESSAGES, headers=[*JSON, key])
    one, two, again = (row["key_id"] for row in rig.rows(3))
    assert one == again != two
    assert len(one) == len(two) == 16
    secret = rig.proxy.database.with_name(f"{rig.proxy.database.name}.secret")
    assert one == KeyIds(secret.read_bytes()).of({"x-api-key": "one"}, "")
