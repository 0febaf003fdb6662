"""How calls end, each as one row: seen from a client's socket, through a real mitmdump, in the SQLite file."""

import gzip
import http.client
import json
import time
from contextlib import closing

import pytest

from tests.support.exchanges import encoded
from tests.support.provider import anthropic_answers, openai_answers
from tests.support.provider.scenario import End, Framing, Scenario, Step
from tests.support.rig import ANTHROPIC, JSON, MESSAGES, OPENAI, Rig, at_once, hang_up, question
from tests.support.waiting import eventually

TEXT = openai_answers.stream("gpt-5.5", role_ms=0, content_ms=20, gap_ms=5, pieces=4)
THOUGHTS = anthropic_answers.reasoning("claude-sonnet-5", start_ms=0, thinking_ms=20, text_ms=60, gap_ms=5)
STREAM = question(stream=True)
ANSWERED = b'{"model":"gpt-5.5-1","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}'
COMMON = ("success", "status_code", "error_type", "is_streaming", "model")
TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "usage_source")


def cut(scenario: Scenario, steps: int, end: End = End.CUT) -> Scenario:
    return Scenario(scenario.steps[:steps], end=end)


def test_a_plain_answer_is_a_row_with_the_providers_own_numbers(rig: Rig) -> None:
    rig.answer(openai_answers.plain("gpt-5.5-2026-01-01", at_ms=30))
    began = time.monotonic()
    reply = rig.ask(question(max_tokens=9, temperature=0.5, top_p=0.25), user="billing:x")
    took_ms = (time.monotonic() - began) * 1_000
    row = rig.row()
    assert [row[name] for name in (*COMMON, *TOKENS)] == [1, 200, None, 0, "gpt-5.5", 12, 7, 19, "provider"]
    assert [row[name] for name in ("max_tokens", "temperature", "top_p", "message_count")] == [9, 0.5, 0.25, 1]
    assert [row[name] for name in ("origin", "provider", "operation")] == ["billing", "openai", "chat"]
    assert [row[name] for name in ("host", "endpoint", "http_version")] == [
        f"{OPENAI}:443",
        "/v1/chat/completions",
        "1.1",
    ]
    assert [row[name] for name in ("response_model", "finish_reason")] == ["gpt-5.5-2026-01-01", "stop"]
    assert row["provider_request_id"] == "req_demo"
    assert row["response_bytes"] == len(reply.body)
    assert row["time_to_first_token_ms"] is row["time_to_last_token_ms"] is row["tokens_per_second"] is None
    assert 30 <= row["response_time_ms"] <= took_ms + 1


def test_a_stream_is_a_row_with_the_last_usage_and_a_decode_rate(rig: Rig) -> None:
    rig.answer(openai_answers.stream("gpt-5.5", role_ms=0, content_ms=20, gap_ms=150, pieces=4))
    with rig.asking(STREAM) as (_, response):
        while openai_answers.PIECES[0].encode() not in response.readline():
            pass
        seen_first = time.monotonic_ns()
        response.read()
        seen_last = time.monotonic_ns()
    row = rig.row()
    assert [row[name] for name in (*COMMON, *TOKENS)] == [1, 200, None, 1, "gpt-5.5", 12, 4, 16, "provider"]
    assert (row["output_events"], row["finish_reason"]) == (4, "stop")
    # The proxy saw each piece after it was written and before it arrived, however late a loaded machine lets both be.
    written_first, *_, written_last = rig.served.step_ns[1:5]
    shortest, longest = (written_last - seen_first) / 1e9, (seen_last - written_first) / 1e9
    assert 3 / longest <= row["tokens_per_second"] <= 3 / shortest


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_error_body_gives_type_code_and_message(rig: Rig, status: int, coding: str) -> None:
    said = {"error": {"type": "some_error", "code": "some_code", "message": "Try again later."}}
    body = json.dumps(said).encode()
    headers = (*JSON, ("content-encoding", coding))
    rig.answer(at_once(gzip.compress(body) if coding == "gzip" else body, status=status, headers=headers))
    assert rig.ask(STREAM).status == status
    row = rig.row()
    assert [row[name] for name in COMMON] == [0, status, "some_error", 1, "gpt-5.5"]
    assert (row["error_code"], row["error_message"]) == ("some_code", "Try again later.")


def test_an_error_page_that_is_no_json_has_the_status_as_its_type(rig: Rig) -> None:
    rig.answer(at_once(b"<html>bad gateway</html>", status=502, headers=[("content-type", "text/html")]))
    rig.ask(STREAM)
    row = rig.row()
    assert [row[name] for name in COMMON] == [0, 502, "http_502", 1, "gpt-5.5"]


def test_an_error_inside_a_stream_that_began_well_is_a_failure(rig: Rig) -> None:
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    rig.answer(Scenario((*THOUGHTS.steps[:5], Step(40, error))))
    rig.ask(STREAM, host=ANTHROPIC, path=MESSAGES)
    row = rig.row()
    assert [row[name] for name in (*COMMON, "error_message")] == [
        0,
        200,
        "overloaded_error",
        1,
        "gpt-5.5",
        "Overloaded",
    ]


@pytest.mark.parametrize("rudely", [False, True])
def test_a_client_that_leaves_before_any_status_is_499(rig: Rig, *, rudely: bool) -> None:
    rig.answer(Scenario(head_at_ms=None, end=End.HANG))
    served = len(rig.provider.served)
    with rig.sending(headers=[*JSON, ("content-length", str(len(STREAM)))]) as connection:
        connection.send(STREAM)
        eventually(lambda: len(rig.provider.served) > served)
        hang_up(connection, rudely=rudely)
        row = rig.row()
    assert [row[name] for name in COMMON] == [0, 499, "client_disconnect", 1, "gpt-5.5"]
    assert eventually(lambda: rig.served.client_left), "the provider was not told"


@pytest.mark.parametrize("rudely", [False, True])
def test_a_client_that_leaves_in_the_middle_of_a_stream_keeps_what_was_counted_by_then(
    rig: Rig, *, rudely: bool
) -> None:
    rig.answer(cut(THOUGHTS, 5, End.HANG))
    with rig.asking(STREAM, host=ANTHROPIC, path=MESSAGES) as (connection, response):
        while response.readline() and len(rig.served.step_ns) < 5:
            pass
        hang_up(connection, rudely=rudely)
        row = rig.row()
    assert [row[name] for name in COMMON] == [0, 200, "client_disconnect", 1, "gpt-5.5"]
    assert [row[name] for name in TOKENS] == [30, None, None, "partial"]
    assert row["tokens_per_second"] is None


def test_a_provider_that_is_cut_off_in_the_middle_of_a_stream_is_a_failure(rig: Rig) -> None:
    rig.answer(cut(THOUGHTS, 6))
    with pytest.raises(http.client.IncompleteRead):
        rig.ask(STREAM, host=ANTHROPIC, path=MESSAGES)
    row = rig.row()
    assert [row[name] for name in COMMON] == [0, 200, "upstream_disconnect", 1, "gpt-5.5"]
    assert (row["usage_source"], row["output_events"]) == ("partial", 3)


def test_a_provider_that_is_cut_off_in_the_middle_of_a_plain_answer_is_a_failure(rig: Rig) -> None:
    rig.answer(Scenario((Step(0, b'{"model":"gpt-5.5","choi'),), headers=JSON, end=End.CUT))
    with pytest.raises(http.client.IncompleteRead):
        rig.ask(question())
    row = rig.row()
    assert [row[name] for name in COMMON] == [0, 200, "upstream_disconnect", 0, "gpt-5.5"]


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize(("framing", "missing"), [(Framing.LENGTH, 200), (Framing.CHUNKED, 0)])
def test_a_complete_json_is_no_success_where_http_promised_more(
    rig: Rig, framing: Framing, missing: int, coding: str
) -> None:
    headers = JSON if coding == "identity" else (*JSON, ("content-encoding", coding))
    steps = tuple(Step(0, piece) for piece in encoded(coding, [ANSWERED], ended=False))
    rig.answer(Scenario(steps, headers=headers, framing=framing, end=End.CUT, never_sent=missing))
    with pytest.raises(http.client.IncompleteRead):
        rig.ask(question())
    row = rig.row()
    assert [row[name] for name in COMMON] == [0, 200, "upstream_disconnect", 0, "gpt-5.5"]
    assert (row["prompt_tokens"], row["usage_source"]) == (3, "partial")


@pytest.mark.parametrize(("missing", "success", "error"), [(0, 1, None), (200, 0, "client_disconnect")])
def test_a_client_that_leaves_once_it_has_all_that_was_promised_has_succeeded(
    rig: Rig, missing: int, success: int, error: str | None
) -> None:
    framing = Framing.LENGTH if missing else Framing.CHUNKED
    rig.answer(Scenario((Step(0, ANSWERED),), headers=JSON, framing=framing, end=End.HANG, never_sent=missing))
    with rig.asking(question()) as (connection, response):
        assert response.read(len(ANSWERED)) == ANSWERED
        hang_up(connection)
        row = rig.row()
    assert [row[name] for name in COMMON[:3]] == [success, 200, error]


def test_a_provider_that_closes_before_its_status_is_502(rig: Rig) -> None:
    rig.answer(Scenario(head_at_ms=None, end=End.CUT))
    assert rig.ask(STREAM).status == 502
    row = rig.row()
    assert [row[name] for name in COMMON] == [0, 502, "upstream_disconnect", 1, "gpt-5.5"]


def test_a_stream_that_http_ends_well_but_its_format_does_not_is_truncated(rig: Rig) -> None:
    rig.answer(cut(THOUGHTS, 6, End.CLEAN))
    assert rig.ask(STREAM, host=ANTHROPIC, path=MESSAGES).status == 200
    row = rig.row()
    assert [row[name] for name in COMMON] == [0, 200, "stream_truncated", 1, "gpt-5.5"]


def test_a_stream_that_its_format_ends_is_a_success_even_if_http_does_not(rig: Rig) -> None:
    rig.answer(Scenario(TEXT.steps, end=End.CUT))
    with pytest.raises(http.client.IncompleteRead):
        rig.ask(STREAM)
    row = rig.row()
    assert [row[name] for name in (*COMMON, *TOKENS)] == [1, 200, None, 1, "gpt-5.5", 12, 4, 16, "provider"]


def test_a_client_that_leaves_at_done_has_succeeded(rig: Rig) -> None:
    rig.answer(Scenario(TEXT.steps, end=End.HANG))
    with rig.asking(STREAM) as (connection, response):
        while response.readline() != b"data: [DONE]\n":
            pass
        hang_up(connection)
        row = rig.row()
    assert [row[name] for name in (*COMMON, *TOKENS)] == [1, 200, None, 1, "gpt-5.5", 12, 4, 16, "provider"]


def test_half_a_request_is_a_client_that_left(rig: Rig) -> None:
    with rig.sending(headers=[*JSON, ("content-length", "1000")]) as connection:
        connection.send(b'{"model":"gpt-5.5","mess')
        time.sleep(0.05)
        hang_up(connection)
        row = rig.row()
    assert [row[name] for name in COMMON[:3]] == [0, 499, "client_disconnect"]
    assert row["request_bytes"] == 24


def test_an_answer_that_comes_before_the_upload_is_complete_is_recorded_as_such(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = b'{"error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}'
    rig.answer(at_once(error, status=413))
    monkeypatch.setattr(rig.provider, "hasty", True)
    headers = [*JSON, ("content-length", "3000000")]
    with rig.sending(host=ANTHROPIC, path=MESSAGES, headers=headers) as connection:
        connection.send(b"x" * 100_000)
        with closing(connection.getresponse()) as response:
            assert (response.status, response.read()) == (413, error)
    row = rig.row()
    assert [row[name] for name in COMMON[:3]] == [0, 413, "request_too_large"]
