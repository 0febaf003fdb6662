"""Hosts that passed unread, as `llm-metrics status` shows them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_metrics_proxy.recorder.care.passed import rank
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.events import Tunnelled
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import timestamps

NOW = timestamps.bound(datetime.now(UTC))
LONG_AGO = timestamps.bound(datetime.now(UTC) - timedelta(days=8))


@pytest.mark.parametrize(
    ("likely", "less"),
    [
        ("api.cloudflare.com", "llm.example.com"),
        ("acme.snowflakecomputing.com", "gpt.example.com"),
        ("files.mistral.ai", "bedrock-agent-runtime.us-east-1.amazonaws.com"),
        ("new.siliconflow.cn", "api.example.com"),
        ("llm.example.com", "api.example.com"),
        ("my-vllm.example.com", "api.github.com"),
        ("api2.cursor.sh", "api2.example.sh"),
        ("ai.example.com", "email.example.com"),
        ("infer-7.example.com", "html.example.com"),
        ("api.example.com", "files.example.com"),
        ("gateway.example.com", "statsig.anthropic.com"),
        ("api.example.com", "auth.openai.com"),
        ("llm.example.com", "10.0.0.1"),
    ],
)
def test_a_name_that_looks_more_like_an_llms_comes_first(likely: str, less: str) -> None:
    assert rank(likely) > rank(less)


def _record(path: Path, *events: Tunnelled) -> None:
    recorder = Recorder(path)
    recorder.open()
    recorder.start()
    for event in events:
        recorder.submit(event)
    recorder.close()


def _shown(path: Path, *options: str) -> str:
    result = CliRunner().invoke(main, ["status", "--db", str(path), *options])
    assert result.exit_code == 0
    return result.stdout


def test_status_lists_those_that_look_like_an_llms_first_and_says_how_to_add_one(
    db_path: Path,
) -> None:
    _record(
        db_path,
        *(Tunnelled(f"cdn{number}.example", 50, NOW, NOW) for number in range(30)),
        Tunnelled("api.example", 2, NOW, NOW),
        Tunnelled("llm.example", 1, NOW, NOW),
        Tunnelled("gpt.example", 7, LONG_AGO, LONG_AGO),
        Tunnelled("gpt.example", 3, NOW, NOW),
    )
    text = _shown(db_path)
    assert (
        "Hosts that passed unread in the last 7 days (1,506 connections, 33 hosts, of which these 20 look most" in text
    )
    lines = text.partition("Hosts that passed unread")[2].splitlines()
    assert [line.split()[:3] for line in lines[2:6]] == [
        ["3", "gpt.example", "perhaps"],
        ["1", "llm.example", "perhaps"],
        ["2", "api.example", "-"],
        ["50", "cdn0.example", "-"],
    ]
    assert lines[-1] == r"  to record calls to it: --set 'metrics_hosts=^gpt\.example$'"
    found = json.loads(_shown(db_path, "--json"))["passed_unread"]
    assert (found["days"], found["hosts"], found["connections"], len(found["top"])) == (7, 33, 1506, 20)
    assert found["top"][0] == {
        "host": "gpt.example",
        "connections": 3,
        "first_at": NOW,
        "last_at": NOW,
        "looks_like_llm": True,
    }


def test_without_one_that_looks_like_an_llms_nothing_is_advised(db_path: Path) -> None:
    _record(db_path, Tunnelled("files.example", 2, NOW, NOW), Tunnelled("(others)", 9, NOW, NOW))
    text = _shown(db_path)
    assert "(11 connections, 2 hosts)\n" in text
    assert "metrics_hosts" not in text


def test_no_name_steers_a_terminal(db_path: Path) -> None:
    _record(db_path, Tunnelled("llm\x1b[2J.example", 2, NOW, NOW))
    text = _shown(db_path)
    assert all(one.isprintable() or one == "\n" for one in text)
