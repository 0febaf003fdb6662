"""Every wire format against documented exchanges: whatever way the bytes come in, the row is the same.

A case is a folder `fixtures/<provider>/<case>`: `request.http` and `response.http` as on the wire, without transfer
encoding (no response: none came), and `expected.json`:

    row     columns and their values; those that are left out do not matter, but none of them is 0; JSON columns are
            written as objects
    stream  which event was the first output, the first answer and the last output, counted from 0 over everything
            between blank lines; how many events had output; how many tokens the decode rate counts (null: no rate)
    cause   what ended the exchange, in the words of `error_type`; without it HTTP ended cleanly
    faults  counters that rise
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
from msgspec.structs import asdict

from llm_metrics_proxy.addon import providers
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.recorder.events import CompletionRequest
from tests.support.exchanges import CODINGS, MS, Answering, begun, cut_anyhow, encoded, events_of, route_of
from tests.support.fixture import FIXTURES, Message

_CASES = sorted(path.parent.relative_to(FIXTURES).as_posix() for path in FIXTURES.glob("*/*/expected.json"))
_ALL_CODINGS = ("identity", *CODINGS)
_JSON_COLUMNS = ("usage", "billed", "server_timing")
_EVENT = 100 * MS  # what lies between two events

type _Timed = list[tuple[bytes, int]]


class _Case:
    def __init__(self, name: str) -> None:
        folder = FIXTURES / name
        expected = json.loads((folder / "expected.json").read_text())
        self.row: dict[str, Any] = expected["row"]
        self.stream: dict[str, int] = expected.get("stream", {})
        self.cause = Cause(expected.get("cause", "complete"))
        self.faults = set(expected.get("faults", ()))
        self.request = Message.read(folder / "request.http")
        answered = (folder / "response.http").is_file()
        self.response = Message.read(folder / "response.http") if answered else None

    @property
    def events(self) -> list[bytes]:
        return events_of(self.response.body, self.response.headers["content-type"]) if self.response else []

    def encoded(self, coding: str) -> list[bytes]:
        return encoded(coding, self.events, ended=self.cause is Cause.COMPLETE)

    def run(self, coding: str, asked: Iterable[bytes], answered: _Timed) -> tuple[CompletionRequest, set[str]]:
        exchange = begun(
            self.request.path,
            host=self.request.headers["host"],
            headers=self.request.headers,
            method=self.request.method,
        )
        for piece in asked:
            exchange.request_chunk(piece, 1)
        exchange.request_end(2)
        if self.response is not None:
            headers = dict(self.response.headers)
            if coding != "identity":
                headers["content-encoding"] = CODINGS[coding][0]
            exchange.answer_head(self.response.status, headers, 3)
        answering = Answering(exchange)
        for piece, at in answered:
            answering(piece, at)
        row = exchange.finish(self.cause, answered[-1][1] + _EVENT if answered else _EVENT)
        assert row is not None
        return row, exchange.faults


def _at_once(case: _Case, coding: str) -> _Timed:
    return [(whole, _EVENT)] if (whole := b"".join(case.encoded(coding))) else []


def _event_by_event(case: _Case, coding: str) -> _Timed:
    return [(piece, count * _EVENT) for count, piece in enumerate(case.encoded(coding), 1)]


def _byte_by_byte(case: _Case, coding: str) -> _Timed:
    return [(bytes([byte]), count * MS) for count, byte in enumerate(b"".join(case.encoded(coding)), 1)]


def _anyhow(case: _Case, coding: str) -> _Timed:
    return [(piece, count * MS) for count, piece in enumerate(cut_anyhow(b"".join(case.encoded(coding)), seed=1), 1)]


_WAYS: tuple[Callable[[_Case, str], _Timed], ...] = (_at_once, _event_by_event, _byte_by_byte, _anyhow)


@contextmanager
def _tried(*what: str) -> Iterator[None]:
    """Name what failed: a case tries everything in one test, as 8,000 tests would take longer than what they do."""
    try:
        yield
    except Exception as error:
        error.add_note(f"tried: {', '.join(what)}")
        raise


def _seen(row: CompletionRequest, columns: Iterable[str]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in columns}
    return {name: json.loads(v) if v is not None and name in _JSON_COLUMNS else v for name, v in values.items()}


@pytest.mark.parametrize("name", _CASES)
def test_the_row_does_not_depend_on_how_the_bytes_come(name: str) -> None:
    case = _Case(name)
    asked = cut_anyhow(case.request.body, seed=2)
    for coding, way in product(_ALL_CODINGS, _WAYS):
        with _tried(coding, way.__name__):
            answered = way(case, coding)
            row, faults = case.run(coding, asked, answered)
            assert _seen(row, case.row) == case.row
            assert faults == case.faults
            assert row.request_bytes == len(case.request.body)
            assert (row.response_bytes or 0) == sum(len(piece) for piece, _ in answered)
            assert (row.output_events or 0) == case.stream.get("events", 0)


@pytest.mark.parametrize("name", _CASES)
def test_a_number_that_nobody_stated_is_unknown_and_not_0(name: str) -> None:
    case = _Case(name)
    row, _ = case.run("identity", [case.request.body], _event_by_event(case, "identity"))
    zeros = {field for field, value in asdict(row).items() if value == 0 and value is not False}
    assert zeros <= {field for field, value in case.row.items() if value == 0}


@pytest.mark.parametrize("name", _CASES)
def test_an_event_counts_from_the_moment_at_which_it_came(name: str) -> None:
    case = _Case(name)
    first, answer, last = (
        (case.stream[which] + 1) * 100 if case.stream else None for which in ("first", "answer", "last")
    )
    tokens = case.stream.get("visible_tokens")
    rate = (tokens - 1) * 1000 / (last - first) if tokens and first and last else None
    for coding in _ALL_CODINGS:
        with _tried(coding):
            row, _ = case.run(coding, [case.request.body], _event_by_event(case, coding))
            assert row.time_to_first_token_ms == first
            assert row.time_to_first_answer_ms == answer
            assert row.time_to_last_token_ms == last
            assert row.time_to_first_byte_ms == (100 if case.events else None)
            assert row.tokens_per_second == (pytest.approx(rate) if rate else None)


@pytest.mark.parametrize("name", [name for name in _CASES if _Case(name).stream])
def test_an_event_counts_from_its_last_byte_and_no_earlier(name: str) -> None:
    case = _Case(name)
    row, _ = case.run("identity", [case.request.body], _byte_by_byte(case, "identity"))
    sizes = [len(event) for event in case.events]
    for seen, which in ((row.time_to_first_token_ms, "first"), (row.time_to_last_token_ms, "last")):
        end = sum(sizes[: case.stream[which] + 1])
        assert seen is not None
        assert end - 2 <= seen <= end + 1, which  # a line's end may be seen at its CR; an array's element at its comma


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", ["openai/chat_plain", "anthropic/messages_plain_cache"])
def test_an_encoded_request_is_read(name: str, coding: str) -> None:
    case = _Case(name)
    body = b"".join(encoded(coding, [case.request.body]))
    case.request.headers["content-encoding"] = CODINGS[coding][0]
    row, _ = case.run("identity", cut_anyhow(body, seed=3), _at_once(case, "identity"))
    assert _seen(row, case.row) == case.row
    assert row.request_bytes == len(body)


def test_every_registered_format_has_a_case() -> None:
    requests = [_Case(name).request for name in _CASES]
    covered = {id(route_of(one.path, one.headers["host"], one.method).speaks) for one in requests}
    registered = providers._FORMATS  # noqa: SLF001 - what is registered
    assert [pattern for pattern, wire_format, *_ in registered if id(wire_format) not in covered] == []


@pytest.mark.parametrize("folder", sorted(path.relative_to(FIXTURES).as_posix() for path in FIXTURES.glob("*/*")))
def test_every_folder_of_fixtures_is_a_case_with_known_columns(folder: str) -> None:
    assert folder in _CASES
    assert set(_Case(folder).row) <= set(CompletionRequest.__struct_fields__)
