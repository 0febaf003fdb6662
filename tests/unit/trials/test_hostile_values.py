"""Values that no decent client or provider sends, through a real mitmdump: each arrives, and costs its own column."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.reporting import printable
from tests.support.exchanges import CODINGS, encoded
from tests.support.provider.scenario import Framing, Scenario, Step
from tests.support.proxy import ROOT
from tests.support.rig import JSON, Headers, Rig, Row, at_once, question
from tests.support.waiting import eventually

DEEP = b"[" * 100_000 + b"]" * 100_000
HUGE = 2 * 1024 * 1024
NASTY = "a'); DROP TABLE completion_requests; --\x1b[31m\x1b]0;owned\x07\x9b31m\u202e\u2066\u200e\u061c\ufeff\0\r\n<b>"
LONGEST = {"usage": 8192, "billed": 2048, "server_timing": 8192, "error_message": 500}
"""Characters that a text may have: SECURITY.md's table says so. All others: 256."""


def passed(  # noqa: PLR0913 - each is one thing that a test varies
    rig: Rig, body: bytes, answer: bytes, *, status: int = 200, headers: Headers = JSON, asked: Headers = JSON
) -> Row:
    """Let both pass, see that they arrive unchanged, and return the row, whose values are all within their bounds.

    `headers` are those of the answer, `asked` those of the request.
    """
    rig.answer(at_once(answer, status=status, headers=headers))
    reply = rig.ask(body, headers=asked)
    assert (reply.status, reply.body, rig.served.request.body) == (status, answer, body)
    row = rig.row()
    for name, value in row.items():
        if isinstance(value, str):
            assert len(value) <= LONGEST.get(name, 256), name
            assert printable(value).replace("\\ufffd", "\N{REPLACEMENT CHARACTER}") == value, name
        elif isinstance(value, int | float):
            assert 0 <= value <= 10**12 or name in ("temperature", "top_p"), name
    assert "Traceback" not in rig.proxy.log
    return row


def streamed(*events: bytes) -> bytes:
    return b"".join(b"data: %b\n\n" % event for event in events)


# --- numbers

NUMBERS = [
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "9" * 30,
    "9" * 5000,
]
NUMBERS += ["1e308", "true", "null", '"12"', "[]", "{}", "1.5", str(10**12 + 1)]


@pytest.mark.parametrize(
    "number", NUMBERS, ids=lambda number: number if len(number) < 20 else f"{number[:5]} of {len(number)}"
)
def test_an_absurd_number_is_unknown_and_costs_nothing_else(rig: Rig, number: str) -> None:
    usage = f'{{"prompt_tokens":{number},"completion_tokens":7,"cost":{number}}}'
    body = f'{{"model":"gpt-5.5","messages":[],"max_tokens":{number},"temperature":{number},"top_p":0.5}}'
    row = passed(rig, body.encode(), f'{{"model":"gpt-5.5-real","choices":[],"usage":{usage}}}'.encode())
    assert (row["model"], row["response_model"], row["top_p"]) == ("gpt-5.5", "gpt-5.5-real", 0.5)
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (None, 7, None)
    assert (row["max_tokens"], row["cost_usd"]) == (None, 1.5 if number == "1.5" else None)


def test_counts_that_are_too_large_together_are_unknown(rig: Rig) -> None:
    most = 10**12
    row = passed(rig, question(), f'{{"usage":{{"prompt_tokens":{most},"completion_tokens":{most}}}}}'.encode())
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (most, most, None)


def test_a_cost_of_more_than_a_million_dollars_is_no_cost(rig: Rig) -> None:
    for cost, stored in ((999_999.0, 999_999.0), (1e6 + 1, None), (1e308, None), (-0.01, None)):
        row = passed(rig, question(), f'{{"usage":{{"prompt_tokens":1,"cost":{cost}}}}}'.encode())
        assert row["cost_usd"] == stored


# --- texts


@pytest.mark.parametrize("where", ["request", "answer", "error", "event", "usage", "error event"])
def test_100_000_levels_of_json_cost_no_row(rig: Rig, where: str) -> None:
    asked, answer, status = question(stream=where in ("event", "error event")), b'{"model":"m"}', 200
    headers: Headers = JSON
    if where == "request":
        asked = b'{"model":"gpt-5.5","messages":%b}' % DEEP
    elif where in ("event", "error event"):
        headers = [("content-type", "text/event-stream")]
        event = b'{"choices":[{"delta":%b}]}' % DEEP if where == "event" else b'{"error":%b}' % DEEP
        answer = streamed(event, b'{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}', b"[DONE]")
    elif where == "usage":
        answer = b'{"model":"m","usage":{"prompt_tokens":1,"x":%b}}' % (b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    else:
        answer, status = (DEEP, 200) if where == "answer" else (b'{"error":{"message":%b}}' % DEEP, 400)
    row = passed(rig, asked, answer, status=status, headers=headers)
    assert row["status_code"] == status
    if where == "event":
        assert row["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "text",
    [
        b'"\xff\xfe"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\xed\xa0\x80"',
        b'"a\\u0000b"',
        b'"a\x00b"',
        b'"\\q"',
        b'"\xf8\x88\x80\x80\x80"',
    ],
    ids=repr,
)
def test_bytes_that_are_no_text_cost_no_row(rig: Rig, text: bytes) -> None:
    row = passed(rig, b'{"model":%b,"messages":[]}' % text, b'{"model":%b,"usage":{"prompt_tokens":1}}' % text)
    assert row["success"] == 1


def test_megabytes_where_a_word_should_be_are_cut(rig: Rig) -> None:
    long = "x" * HUGE
    usage = {"prompt_tokens": 1, long: 1, "tier": long, "list": [long] * 2, **{f"key{n}": n for n in range(10_000)}}
    answer = {"id": long, "model": long, "choices": [{"finish_reason": long}], "usage": usage}
    row = passed(
        rig, question(model=long), json.dumps(answer).encode(), headers=[*JSON, ("x-request-id", "r" * 60_000)]
    )
    assert row["response_model"] == row["finish_reason"] == "x" * 256
    assert row["model"] == "x" * 16  # what is kept of a long string in a long request
    assert row["provider_request_id"] == "r" * 256
    assert row["prompt_tokens"] == 1
    assert row["usage"] is None or len(row["usage"]) <= LONGEST["usage"]


def test_megabytes_in_an_error_are_cut(rig: Rig) -> None:
    words = "word " * (HUGE // 5)
    said = {"error": {"type": words, "code": words, "message": words, "status": words}}
    row = passed(rig, question(), json.dumps(said).encode(), status=400)
    assert row["error_message"] == words[:500]
    assert (row["error_type"], row["error_code"]) == (words[:256], words[:256])


@pytest.mark.parametrize("length", [5000, 60_000])
def test_a_long_path_is_no_call_and_is_counted(rig: Rig, length: int) -> None:
    path = f"/v1/{'deployments/' * (length // 12)}chat/completions"
    before = sum(row["count"] for row in rig.query("SELECT count FROM unrecognised"))
    rig.answer(at_once(b"{}"))
    assert rig.ask(question(), path=path).status == 200
    if length > 8192:
        assert eventually(
            lambda: sum(row["count"] for row in rig.query("SELECT count FROM unrecognised")) == before + 1
        )
        assert rig.query("SELECT max(length(path)) AS n FROM unrecognised")[0]["n"] <= 256
    else:
        assert len(rig.row()["endpoint"]) == 256


def test_labels_of_a_client_are_cut_and_steer_nothing(rig: Rig) -> None:
    nasty = NASTY.replace("\0", "").replace("\r\n", "")
    latin = nasty.encode().decode("latin-1")
    headers = [*JSON, ("x-llm-origin", latin + "y" * 5000), ("User-Agent", latin), ("session_id", latin)]
    row = passed(
        rig, question(), b"{}", asked=[*headers, ("traceparent", latin), ("x-stainless-retry-count", "9" * 99)]
    )
    assert row["origin"].startswith("a'); DROP TABLE completion_requests; --")
    assert (row["retry_count"], row["trace_id"]) == (None, None)
    assert rig.query("SELECT count(*) AS n FROM completion_requests")[0]["n"] > 0


# --- encodings


@pytest.mark.parametrize("direction", ["request", "answer"])
@pytest.mark.parametrize(
    "header", ["gzip", "br", "zstd", "deflate", "gzip, br", "nonsense", "gzip, gzip, gzip, gzip, gzip"]
)
def test_a_body_that_is_not_encoded_as_it_says_is_passed_and_counted(rig: Rig, header: str, direction: str) -> None:
    before = rig.counter("undecodable")
    body, answer = question(), b'{"model":"m","choices":[]}'
    lie = ("content-encoding", header)
    rig.answer(at_once(answer, headers=[*JSON, *([lie] if direction == "answer" else [])]))
    reply = rig.ask(body, headers=[*JSON, *([lie] if direction == "request" else [])])
    assert (reply.body, rig.served.request.body) == (answer, body)
    row = rig.row()
    assert row["model"] == (None if direction == "request" else "gpt-5.5")
    assert row["response_model"] == (None if direction == "answer" else "m")
    assert (row["request_bytes"], row["response_bytes"]) == (len(body), len(answer))
    assert eventually(lambda: rig.counter("undecodable") == before + 1)


# --- secrets in compressed and cut errors

KEY = 'planted-Zq7Xw+"quoted"/= and more'
SPELT: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "in a URL": lambda key: "".join(f"%{ord(sign):02X}" for sign in key),
    "in JSON": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "for Basic": lambda key: b64encode(f":{key}".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELT)
@pytest.mark.parametrize("coding", ["identity", *CODINGS])
@pytest.mark.parametrize("streams", [False, True])
def test_a_key_in_an_error_is_masked_however_it_is_spelt_cut_and_encoded(
    rig: Rig, coding: str, spelling: str, *, streams: bool
) -> None:
    said = json.dumps({"error": {"type": "auth", "message": f"Key {SPELT[spelling](KEY)} is wrong."}}).encode()
    body = b"event: error\ndata: " + said + b"\n\n" if streams else said
    data = b"".join(encoded(coding, [body]))
    kind = ("content-type", "text/event-stream" if streams else "application/json")
    headers = [kind, *([("content-encoding", CODINGS[coding][0])] if coding != "identity" else [])]
    steps = tuple(Step(at, data[at : at + 7]) for at in range(0, len(data), 7))
    rig.answer(Scenario(steps, status=200 if streams else 401, headers=tuple(headers), framing=Framing.CHUNKED))
    assert rig.ask(question(stream=streams), headers=[*JSON, ("Authorization", f"Bearer {KEY}")]).body == data
    row = rig.row()
    assert (row["error_type"], row["error_message"]) == ("auth", "Key [masked] is wrong.")


def test_a_key_that_the_provider_repeats_elsewhere_is_masked_or_left_out(rig: Rig) -> None:
    key = "planted-Zq7Xw-of-sixteen-and-more"
    answer = {"model": f"m {key}", "choices": [{"finish_reason": key}], "usage": {"prompt_tokens": 1, key: key}}
    rig.answer(at_once(json.dumps(answer).encode(), headers=[*JSON, ("x-request-id", f"req {key}")]))
    rig.ask(question(model=f"gpt {key}"), headers=[*JSON, ("x-api-key", key), ("session_id", key), ("User-Agent", key)])
    row = rig.row()
    assert key not in str(row)
    assert (row["prompt_tokens"], row["response_model"], row["model"]) == (1, "m [masked]", "gpt [masked]")


def test_texts_of_a_usage_are_not_kept(rig: Rig) -> None:
    usage = {"prompt_tokens": 1, "service_tier": "standard", "note": "The answer is: 42!", "a text as a name, too": 2}
    row = passed(rig, question(), json.dumps({"usage": usage}).encode())
    assert json.loads(row["usage"]) == {"prompt_tokens": 1, "service_tier": "standard", "note": None}


def test_numbers_of_a_usage_that_nobody_can_read_are_not_kept(rig: Rig) -> None:
    said = f'{{"usage":{{"prompt_tokens":1,"a":{2**63 - 1},"b":{2**63},"c":1{"0" * 4000},"d":-{2**63},"e":1.5}}}}'
    row = passed(rig, question(), said.encode())
    kept = {"prompt_tokens": 1, "a": 2**63 - 1, "b": None, "c": None, "d": None, "e": 1.5}
    assert json.loads(row["usage"]) == kept


def test_a_key_in_a_path_that_nobody_knows_is_not_kept(rig: Rig) -> None:
    rig.answer(at_once(b"{}"))
    rig.ask(question(), path="/v1/odd/AIzaSyAb3dEf6hIj9kLm2nOp5qSt8vYz1/run")
    found = eventually(lambda: rig.query("SELECT path FROM unrecognised WHERE path LIKE '/v1/odd/%/run'"))
    assert found == [{"path": "/v1/odd/{id}/run"}]


def test_a_stream_that_nobody_asked_for_has_no_first_token(rig: Rig) -> None:
    answer = streamed(b'{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}', b"[DONE]")
    row = passed(rig, question(), answer, headers=[("content-type", "text/event-stream")])
    assert (row["is_streaming"], row["time_to_first_token_ms"], row["output_events"]) == (0, None, 1)


# --- what people read


def test_nothing_that_came_over_the_wire_steers_a_terminal(rig: Rig) -> None:
    """Written by real traffic, and shown by every command that shows texts of it."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, NASTY: NASTY}
    said = {"error": {"type": NASTY, "code": NASTY, "message": NASTY}}
    latin = NASTY.replace("\0", "").replace("\r\n", "").encode().decode("latin-1")
    headers = [*JSON, ("x-llm-origin", latin)]
    passed(rig, question(model=NASTY), json.dumps({"model": NASTY, "usage": usage}).encode(), asked=headers)
    passed(rig, question(model=NASTY), json.dumps(said).encode(), status=400, asked=headers)
    database, programs = rig.proxy.database, Path(sys.executable).parent
    commands = [
        *(["llm-metrics", command, "--db", str(database)] for command in ("status", "check", "recost")),
        ["sqlite-utils", "llm-top", str(database)],
        ["sqlite-utils", "rows", str(database), "model_summary_last_24h", "-t"],
        [
            "sqlite-utils",
            str(database),
            "select model, origin, error_type, error_message from completion_requests",
            "-t",
        ],
    ]
    for program, *arguments in commands:
        done = subprocess.run(
            [programs / program, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
        )
        shown = done.stdout + done.stderr
        assert "Traceback" not in shown
        assert "DROP TABLE" in shown or arguments[0] in ("status", "check"), program
        assert [sign for sign in shown if not (sign.isprintable() or sign == "\n")] == []
