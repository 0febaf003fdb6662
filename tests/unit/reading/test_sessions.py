"""WebSocket sessions: one row for each response, whatever way its messages are written.

A case is a file `fixtures_ws/<protocol>/<case>.json`: `url`, `messages` in order, one each 100 ms, `end` (what closed
the connection, in the words of `error_type`; without it the client did), and `rows` in the order in which they are
made: columns and their values, and by the number of the message: `t0`, `first` output, first `answer`, `last` output,
`end`. A number beyond the messages is the connection's end.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.addon.websocket_protocols import match_session, session_of
from llm_metrics_proxy.addon.websocket_protocols.message import LONG_MESSAGE, Message
from llm_metrics_proxy.addon.websocket_protocols.session import Session
from llm_metrics_proxy.recorder.events import CompletionRequest, timestamp_of
from tests.support.exchanges import MS

FIXTURES = Path(__file__).parents[2] / "fixtures_ws"
CASES = sorted(path.relative_to(FIXTURES).with_suffix("").as_posix() for path in FIXTURES.glob("*/*.json"))
_STEP = 100  # milliseconds between two messages
_WALL = 1_767_323_045_678_000_000
_MOMENTS = ("t0", "first", "answer", "last", "end")
URLS = {
    "responses": "wss://api.openai.com/v1/responses",
    "realtime": "wss://api.openai.com/v1/realtime?model=gpt-realtime",
    "gemini": "wss://generativelanguage.googleapis.com/ws/a.v1beta.GenerativeService.BidiGenerateContent",
}

type _Writer = Callable[[object], bytes]


def _at(message: int) -> int:
    return (message + 1) * _STEP * MS


def begun(url: str, headers: dict[str, str] | None = None) -> Session:
    """Begin a session at the moment 0; `headers` are those of its upgrade."""
    asked = urlsplit(url)
    host = asked.hostname or ""
    route = match_session(host, 443, asked.path, asked.query)
    assert route is not None, f"no protocol answers to {url}"
    return session_of(
        Opening(
            route=route,
            at=0,
            wall=_WALL,
            host=f"{host}:443",
            path=asked.path,
            query=asked.query,
            headers=headers or {},
            origin="tests",
            client="127.0.0.1",
            http_version="1.1",
        )
    )


def compact(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def _spacious(message: object) -> bytes:
    return json.dumps(message, indent=4).encode() + b"\n"


def _turned_round(message: object) -> bytes:
    return json.dumps(dict(reversed(message.items())) if isinstance(message, dict) else message).encode()


def _run(case: dict[str, Any], write: _Writer) -> list[tuple[int, CompletionRequest]]:
    """Return each row with the number of the message that made it."""
    session, made = begun(case["url"], case.get("headers")), []
    for count, entry in enumerate(case["messages"]):
        ((sender, message),) = entry.items()
        said = Message(write(message), _at(count), from_client=sender == "client")
        while not said.abridge():
            pass
        rows = session.message(said)
        made += [(count, row) for row in rows]
    count = len(case["messages"])
    made += [(count, row) for row in session.finish(Cause(case.get("end", "client_disconnect")), _at(count))]
    assert session.finish(Cause.CLIENT_DISCONNECT, _at(count + 1)) == [], "rows that had been made already"
    assert session.faults == set(case.get("faults", ()))
    return made


@pytest.mark.parametrize("write", [compact, _spacious, _turned_round], ids=lambda write: write.__name__.strip("_"))
@pytest.mark.parametrize("name", CASES)
def test_each_response_makes_its_row_when_it_ends(name: str, write: _Writer) -> None:
    case = json.loads((FIXTURES / f"{name}.json").read_text())
    made = _run(case, write)
    assert [at for at, _ in made] == [expected["end"] for expected in case["rows"]]
    for (_, row), expected in zip(made, case["rows"], strict=True):
        columns = {column: value for column, value in expected.items() if column not in _MOMENTS}
        seen = {column: getattr(row, column) for column in columns}
        assert seen | {"billed": row.billed and json.loads(row.billed)} == columns
        t0 = expected["t0"]
        after = {moment: None if (at := expected[moment]) is None else (at - t0) * _STEP for moment in _MOMENTS[1:]
                 if moment in expected}  # fmt: skip
        assert row.timestamp == timestamp_of(_WALL + _at(t0))
        assert row.time_to_first_token_ms == after["first"]
        assert row.time_to_last_token_ms == after["last"]
        assert row.time_to_first_answer_ms == after.get("answer", after["first"])
        assert row.response_time_ms == after["end"]


@pytest.mark.parametrize("name", CASES)
def test_long_messages_give_the_rows_that_short_ones_give(name: str) -> None:
    case = json.loads((FIXTURES / f"{name}.json").read_text())

    def padded(message: object) -> bytes:
        return compact({"pad": 'x\\"' * LONG_MESSAGE} | message if isinstance(message, dict) else message)

    def rows(write: _Writer) -> list[dict[str, Any]]:
        made = [msgspec.structs.asdict(row) for _, row in _run(case, write)]
        return [
            {k: v for k, v in row.items() if k not in {"event_id", "request_bytes", "response_bytes"}} for row in made
        ]

    assert rows(padded) == rows(compact)


@pytest.mark.parametrize("name", CASES)
def test_bytes_are_those_of_the_messages(name: str) -> None:
    case = json.loads((FIXTURES / f"{name}.json").read_text())
    asked = [len(compact(message)) for entry in case["messages"] for message in [entry.get("client")] if message]
    for (_, row), expected in zip(_run(case, compact), case["rows"], strict=True):
        message = case["messages"][expected["t0"]].get("client")
        assert row.request_bytes == (len(compact(message)) if message else 0)
        assert row.request_bytes in [0, *asked]
        assert row.response_bytes is not None
        assert (row.response_bytes > 0) == (row.time_to_first_byte_ms is not None)


def test_every_row_of_a_case_names_known_columns() -> None:
    cases = [json.loads((FIXTURES / f"{name}.json").read_text()) for name in CASES]
    named = {column for case in cases for row in case["rows"] for column in row}
    assert named - set(_MOMENTS) <= set(CompletionRequest.__struct_fields__)


@pytest.mark.parametrize(
    ("url", "speaks"),
    [
        (URLS["responses"], "Responses"),
        ("wss://chatgpt.com/backend-api/codex/responses", "Responses"),
        (URLS["realtime"], "Realtime"),
        ("wss://api.x.ai/v1/realtime", "Realtime"),
        ("wss://made-up.cognitiveservices.azure.com/voice-live/realtime?model=gpt-4o", "Realtime"),
        (URLS["gemini"], "GeminiLive"),
        ("wss://us-central1-aiplatform.googleapis.com/ws/a.v1.LlmBidiService/BidiGenerateContent", "GeminiLive"),
    ],
)
def test_the_path_tells_the_protocol(url: str, speaks: str) -> None:
    assert type(begun(url)).__name__ == speaks


@pytest.mark.parametrize("path", ["/", "/socket", "/v1/chat/completions", "/v1/realtime/sessions", "/responses.json"])
def test_other_sockets_are_left_alone(path: str) -> None:
    assert match_session("api.openai.com", 443, path, "") is None
