"""`llm-metrics audit`: calls of agents' logs find their rows, and what one of them lacks is told with its sum."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.accounts import session_logs
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from tests.support.recent_calls import write
from tests.unit.accounts import session_logs as logs
from tests.unit.accounts.session_logs import CONTENT, claude_code, codex, counted, of_user

SESSION = "b90d846e-9af2-4ceb-877f-4566d5feabd4"
AT = "2026-11-20T09:00:02.000Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return schema.prepare(tmp_path / "metrics.db", backup_dir=None, lock_seconds=5)


def row(**fields: Any) -> CompletionRequest:  # noqa: ANN401 - fields of any type
    defaults: dict[str, Any] = {
        "timestamp": "2026-11-20T09:00:00.000Z",
        "success": True,
        "status_code": 200,
        "response_time_ms": 2_000,
        "model": "claude-sonnet-4-5",
        "response_model": "claude-sonnet-4-5-20250929",
        "provider": "anthropic",
        "is_streaming": True,
        "event_id": new_event_id(1_795_165_200_000),
        "agent": "claude-code",
        "session_id": SESSION,
        "request_kind": "main",
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "cost_usd": 0.001,
    }
    return CompletionRequest(**defaults | fields)


def command(path: Path, *words: object) -> Result:
    return CliRunner().invoke(main, ["audit", "--db", str(path), *map(str, words)])


def audited(path: Path, *words: object) -> dict[str, Any]:
    done = command(path, "--json", *words)
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_several_lines_of_a_message_are_one_call_and_the_last_is_the_whole(path: Path, tmp_path: Path) -> None:
    lines = [
        of_user(SESSION, AT),
        claude_code(SESSION, "msg_1", at=AT, request="req_1", tokens=(3, 20_000, 500, 1), stop=None),
        claude_code(SESSION, "msg_1", at="2026-11-20T09:00:03.000Z", request="req_1", tokens=(3, 20_000, 500, 700)),
        claude_code(SESSION, "msg_1", at="2026-11-20T09:00:03.500Z", request="req_1", tokens=(3, 20_000, 500, 700)),
    ]
    log = logs.write(tmp_path / "a.jsonl", lines)
    write(path, [row(provider_request_id="req_1", prompt_tokens=20_503, completion_tokens=700)])
    total = audited(path, log)["total"]
    assert (total["both"], total["log_alone"], total["file_alone"]) == (1, 0, 0)
    assert (total["log_input_tokens"], total["log_output_tokens"]) == (20_503, 700)
    assert total["log_usd"] == pytest.approx(3 * 3e-6 + 20_000 * 0.3e-6 + 500 * 3.75e-6 + 700 * 15e-6)


def test_a_log_that_keeps_placeholders_is_too_low(path: Path, tmp_path: Path) -> None:
    line = claude_code(SESSION, "msg_1", at=AT, request="req_1", tokens=(1, 0, 0, 1), stop=None)
    write(path, [row(provider_request_id="req_1", prompt_tokens=174, completion_tokens=17)])
    found = audited(path, logs.write(tmp_path / "a.jsonl", [line]))
    assert found["too_low_calls"] == 1
    assert (found["total"]["log_too_low_input_tokens"], found["total"]["log_too_low_output_tokens"]) == (173, 16)
    said = command(path, tmp_path / "a.jsonl").stdout
    assert "Of 1 call that both have, the log has too few tokens: it lacks 173 of input and 16 of output." in said


def test_what_one_of_them_has_alone_is_told_by_day_and_session(path: Path, tmp_path: Path) -> None:
    other = "4da20e61-4e8d-4979-88a6-e9ca9e6262da"
    lines = [
        claude_code(SESSION, "msg_1", at=AT, request="req_1"),
        claude_code(other, "msg_2", at="2026-11-21T10:00:00.000Z", request="req_2", tokens=(1_000, 0, 0, 100)),
        logs.stated(SESSION, 0.5),
    ]
    compaction = row(provider_request_id="req_3", request_kind="compaction", cost_usd=0.25, prompt_tokens=7)
    refused = row(provider_request_id="req_4", success=False, prompt_tokens=None, completion_tokens=None, cost_usd=None)
    elsewhere = row(session_id="elsewhere", timestamp="2026-11-20T23:00:00.000Z")
    write(path, [row(provider_request_id="req_1"), compaction, refused, elsewhere])
    found = audited(path, logs.write(tmp_path / "a.jsonl", lines))
    days = {line["name"]: line for line in found["days"]}
    assert (days["2026-11-20"]["both"], days["2026-11-20"]["file_alone"]) == (1, 1)
    assert days["2026-11-20"]["file_alone_usd"] == 0.25
    assert (days["2026-11-21"]["both"], days["2026-11-21"]["log_alone"]) == (0, 1)
    assert days["2026-11-21"]["log_alone_usd"] == pytest.approx(1_000 * 3e-6 + 100 * 15e-6)
    sessions = {line["name"]: line for line in found["sessions"]}
    assert sessions[SESSION]["stated_usd"] == 0.5
    assert sessions[other]["log_alone"] == 1
    assert (found["sessions_outside"], found["sessions_without_log"]) == (1, 1)
    assert found["file_alone_by_kind"] == {"compaction": 1}
    said = command(path, "--by", "session", tmp_path / "a.jsonl").stdout
    assert "Outside of the proxy, or while it did not record: 1 call, $0.004500 at list prices." in said
    assert "Not in the log: 1 call (1 compaction), $0.250000." in said


def test_a_copy_of_a_line_in_a_session_that_was_resumed_is_no_second_call(path: Path, tmp_path: Path) -> None:
    line = claude_code(SESSION, "msg_1", at=AT, request="req_1")
    logs.write(tmp_path / "logs" / "a.jsonl", [line, {**line, "requestId": None}])
    logs.write(tmp_path / "logs" / "deep" / "b.jsonl", [{**line, "sessionId": "resumed"}])
    (tmp_path / "logs" / "again.jsonl").symlink_to(tmp_path / "logs" / "a.jsonl")
    write(path, [row(provider_request_id="req_1")])
    total = audited(path, tmp_path / "logs")["total"]
    assert (total["both"], total["log_alone"], total["file_alone"]) == (1, 0, 0)


def test_without_ids_of_requests_counts_and_times_find_the_row(path: Path, tmp_path: Path) -> None:
    lines = [
        claude_code(SESSION, "msg_1", at="2026-11-20T09:00:01.000Z", tokens=(100, 0, 0, 10)),
        claude_code(SESSION, "msg_2", at="2026-11-20T09:00:02.000Z", tokens=(200, 0, 0, 20)),
        claude_code(SESSION, "msg_3", at="2026-11-20T09:01:01.000Z", tokens=(1, 0, 0, 1)),
        claude_code(SESSION, "msg_4", at="2026-11-20T09:30:00.000Z", tokens=(9, 0, 0, 9)),
    ]
    write(
        path,
        [
            row(prompt_tokens=200, completion_tokens=20, cost_usd=2.0),
            row(prompt_tokens=100, completion_tokens=10, cost_usd=1.0),
            row(timestamp="2026-11-20T09:01:00.000Z", prompt_tokens=500, completion_tokens=50),
        ],
    )
    found = audited(path, logs.write(tmp_path / "a.jsonl", lines))
    assert (found["total"]["both"], found["total"]["log_alone"], found["total"]["file_alone"]) == (3, 1, 0)
    assert found["total"]["log_too_low_input_tokens"] == 499


def test_two_ids_are_two_calls_however_alike_they_are(path: Path, tmp_path: Path) -> None:
    log = logs.write(tmp_path / "a.jsonl", [claude_code(SESSION, "msg_1", at=AT, request="req_1")])
    write(path, [row(provider_request_id="req_2")])
    total = audited(path, log)["total"]
    assert (total["both"], total["log_alone"], total["file_alone"]) == (0, 1, 1)


def test_codex_counts_each_answer_once(path: Path, tmp_path: Path) -> None:
    lines = [
        *codex("01a23249"),
        counted("2026-11-20T09:00:02.000Z", (1_000, 400, 20), (1_000, 400, 20)),
        counted("2026-11-20T09:00:02.500Z", (1_000, 400, 20), (1_000, 400, 20)),  # limits have changed
        counted("2026-11-20T09:00:03.000Z", (1_000, 400, 20), (0, 0, 0)),  # the context was compacted
        counted("2026-11-20T09:01:02.000Z", (3_000, 400, 50), None),
    ]
    fields = {"agent": "codex", "session_id": "01a23249", "model": "gpt-5.5", "response_model": "gpt-5.5"}
    write(
        path,
        [
            row(**fields, prompt_tokens=1_000, completion_tokens=20),
            row(**fields, timestamp="2026-11-20T09:01:00.000Z", prompt_tokens=2_000, completion_tokens=30),
            row(**fields, prompt_tokens=0, completion_tokens=0, cost_usd=0.0, request_kind="prewarm"),
        ],
    )
    found = audited(path, logs.write(tmp_path / "rollout.jsonl", lines))
    assert (found["total"]["both"], found["total"]["log_alone"], found["total"]["file_alone"]) == (2, 0, 0)
    assert (found["total"]["log_input_tokens"], found["total"]["log_output_tokens"]) == (3_000, 50)
    assert found["total"]["log_usd"] == pytest.approx((2_600 * 5 + 400 * 0.5 + 50 * 30) / 1e6)


WHOLE = [
    of_user(SESSION, AT),
    claude_code(SESSION, "msg_1", at=AT, request="req_1"),
    claude_code(SESSION, "msg_2", at=AT, request="req_2", model="<synthetic>"),
    logs.stated(SESSION, 1.0),
]


def test_nothing_of_the_content_is_printed(path: Path, tmp_path: Path) -> None:
    log = logs.write(tmp_path / "a.jsonl", [*WHOLE])
    logs.write(tmp_path / "b.jsonl", [*codex("01a"), counted(AT, (1, 0, 1), (1, 0, 1))])
    (tmp_path / "c.jsonl").write_text(f"{CONTENT}\n{json.dumps({'text': CONTENT})}\n{{{CONTENT}")
    for words in ([], ["--json"], ["--by", "session"]):
        said = command(path, *words, log, tmp_path)
        assert said.exit_code == 0
        assert CONTENT not in said.output


def test_a_log_cut_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    for lines in (WHOLE, [*codex("01a"), counted(AT, (1, 0, 1), (1, 0, 1))]):
        whole = logs.write(tmp_path / "whole.jsonl", lines).read_bytes()
        last_line = whole.rstrip(b"\n").rindex(b"\n") + 1
        chance = random.Random(1)
        for at in chance.sample(range(1, len(whole)), 60):
            cut = tmp_path / "cut.jsonl"
            cut.write_bytes(whole[:at])
            reading = session_logs.read([cut])
            ends_within = not whole[:at].endswith(b"\n") and whole[at : at + 1] != b"\n"
            assert reading.cut_files == ([str(cut)] if ends_within else [])
            assert len(reading.log.calls) <= 1
            assert reading.unreadable_lines == 0
            if at > last_line:
                assert reading.lines == len(lines)


FOREIGN = (
    *(b"", b"[]", b"null", b'"x"', b"{}", b"\xff\xfe{}", b"\x00" * 100, b"[" * 100_000, b'{"type": 1}'),
    b'{"type":"assistant","sessionId":"a","timestamp":"x","message":{"id":"m","usage":{"input_tokens":1}}}',
    b'{"type":"assistant","sessionId":"a","timestamp":1,"message":"text"}',
    b'{"type":"assistant","sessionId":"a","timestamp":"2026-11-20T09:00:00Z","message":{"id":"m"}}',
    b'{"type":"assistant","sessionId":{"a":1},"message":{"usage":[]}}',
    b'{"type":"cost-state","sessionId":"a","totalCostUSD":"much"}',
    b'{"type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":7}}}',
    b'{"type":"event_msg","payload":[]}',
    b'{"type":"session_meta","payload":{"id":' + b"9" * 400 + b"}}",
)


def test_foreign_lines_are_no_calls_and_stop_nothing(tmp_path: Path) -> None:
    whole = logs.write(tmp_path / "whole.jsonl", WHOLE).read_bytes()
    log = tmp_path / "a.jsonl"
    for line in FOREIGN:
        log.write_bytes(line + b"\n" + whole)
        reading = session_logs.read([log])
        assert [call.input_tokens for call in reading.log.calls.values()] == [100]
        assert list(reading.log.stated) == [SESSION]
        assert (reading.refused_files, reading.cut_files, reading.foreign_files) == ({}, [], [])


def test_counts_that_cannot_be_true_are_unknown(path: Path, tmp_path: Path) -> None:
    line = claude_code(SESSION, "msg_1", at=AT)
    usage = {"input_tokens": -5, "output_tokens": 1e99, "cache_read_input_tokens": True}
    log = logs.write(tmp_path / "a.jsonl", [line | {"message": {**line["message"], "usage": usage}}])
    total = audited(path, log)["total"]
    assert (total["log_alone"], total["log_input_tokens"], total["log_output_tokens"]) == (1, None, None)
    assert total["log_usd"] is None


def test_what_cannot_be_read_is_told_and_the_rest_is_read(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nothing")
    (tmp_path / "foreign.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "noise.jsonl").write_bytes(b"\xff\x00 no JSON\n")
    logs.write(tmp_path / "log.jsonl", WHOLE)
    said = command(path, tmp_path, tmp_path / "missing.jsonl").stdout
    assert "Read: 3 files, 6 lines, 1 calls." in said
    assert "Left out: 1 lines that are no JSON." in said
    for name in ("foreign", "noise"):
        assert f"{name}.jsonl is no log of an agent that is known." in said
    for name, why in (("pipe", "it is a pipe"), ("gone", ""), ("missing", "No such file")):
        assert f"{name}.jsonl cannot be read: {why}" in said


def test_without_a_path_the_logs_of_this_account_are_read(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CODEX_HOME", raising=False)
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    assert session_logs.default_places() == []
    logs.write(tmp_path / ".claude/projects/-work/a.jsonl", WHOLE)
    logs.write(tmp_path / ".codex/sessions/2026/11/20/rollout-1.jsonl", [*codex("01a"), counted(AT, (1, 0, 1), None)])
    found = audited(path)
    assert (found["read"]["files"], found["total"]["log_alone"]) == (2, 2)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "nowhere"))
    assert audited(path)["read"]["files"] == 1


def test_without_a_database_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    done = command(tmp_path / "none.db", logs.write(tmp_path / "a.jsonl", WHOLE))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "There is no database at" in done.stderr
