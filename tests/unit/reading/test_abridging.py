"""Of a long request's body only as much is kept as columns need, and they say what they would say of all of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llm_metrics_proxy.addon.framing import abridging
from llm_metrics_proxy.addon.framing.abridging import LONG_BODY, LONGEST_STRING, Abridged, Strings
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.privacy.quotation import QUOTABLE, quotable
from llm_metrics_proxy.addon.providers.format import Request, WireFormat
from tests.support.exchanges import Answering, begun, cut_anyhow, cut_at, route_of
from tests.support.fixture import FIXTURES, Message

_REQUESTS = sorted(
    path.parent.relative_to(FIXTURES).as_posix()
    for path in FIXTURES.glob("*/*/request.http")
    if Message.read(path).body  # a fetch has none
)
_READ = 65_536  # bytes: how mitmproxy hands on a large body
_CUT = 16  # characters that at most are kept of a long string
_SIGNS = st.sampled_from(['"', "\\", "\n", "a", " ", "ä", "🏞", "{", "[", ","])
_TEXTS = st.text(_SIGNS, max_size=20) | st.builds(str.__mul__, st.text(_SIGNS, min_size=1, max_size=9), st.just(300))
_VALUES = st.recursive(
    _TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text("abc", max_size=5), inner, max_size=6),
    max_leaves=40,
)


def _abridged(pieces: list[bytes]) -> bytes:
    body = Abridged()
    for piece in pieces:
        body.feed(piece)
    ((_, kept),) = body.finish()
    return bytes(kept)


def _reads(body: bytes) -> list[bytes]:
    return cut_at(body, range(0, len(body), _READ))


def _is_abridged(kept: object, value: object) -> bool:
    """Tell whether one is the other, but for escaped signs, which are others, and for long strings, which are cut."""
    if isinstance(value, dict) and isinstance(kept, dict):
        return kept.keys() == value.keys() and all(_is_abridged(kept[key], value[key]) for key in value)
    if isinstance(value, list) and isinstance(kept, list):
        return len(kept) == len(value) and all(map(_is_abridged, kept, value))
    if isinstance(value, str) and isinstance(kept, str):
        whole = value.replace("\\", "__").replace('"', "__")
        is_short = len(json.dumps(value)) <= LONGEST_STRING
        return kept == whole or (not is_short and 0 < len(kept) <= _CUT)
    return type(kept) is type(value) and kept == value


def _chat(contents: list[str]) -> bytes:
    messages = [{"role": "user", "content": content} for content in contents]
    return json.dumps({"model": "gpt-5.5", "messages": messages, "temperature": 0.5, "max_tokens": 7}).encode()


def _read(speaks: WireFormat, body: bytes) -> Request:
    """A request, but for long texts of what it says of its program, which are looked for in the whole body."""
    asked = speaks.request(body)
    return replace(
        asked, said={name: value for name, value in asked.said.items() if b"\\" not in value and b"__" not in value}
    )


@pytest.mark.parametrize("name", _REQUESTS)
def test_every_request_reads_the_same_when_its_strings_are_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abridging, "LONG_BODY", 0)
    monkeypatch.setattr(abridging, "LONGEST_STRING", 60)
    request = Message.read(FIXTURES / name / "request.http")
    speaks = route_of(request.path, request.headers["host"], request.method).speaks
    for pieces in ([request.body], cut_anyhow(request.body, 1), cut_at(request.body, range(len(request.body)))):
        assert _read(speaks, _abridged(pieces)) == _read(speaks, request.body)


@given(value=_VALUES, ascii_only=st.booleans(), cuts=st.lists(st.integers(min_value=0), max_size=12))
def test_any_json_cut_anywhere_is_json_of_the_same_shape(value: object, ascii_only: bool, cuts: list[int]) -> None:  # noqa: FBT001 - hypothesis'
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    strings = Strings()
    kept = b"".join(strings.cut(piece) for piece in cut_at(body, cuts)) + strings.rest
    assert _is_abridged(json.loads(kept), value), kept


@pytest.mark.parametrize(
    "content",
    [
        "Where does the Rhine rise? " * 90,
        "A" * 5_000_000,
        '{"key": "a \\"quoted\\" value"}\n' * 60,
        "äöü→" * 500,
        "\n" * 3000,
    ],
    ids=["prose", "an image", "JSON in JSON", "not ASCII", "escapes alone"],
)
def test_little_is_kept_of_a_long_body_and_it_says_all_that_columns_need(content: str) -> None:
    count = 5_000_000 // len(json.dumps(content))
    body = _chat([content] * count)
    kept = _abridged(_reads(body))
    assert len(kept) < LONG_BODY + 80 * count
    request = route_of("/v1/chat/completions", "api.openai.com").speaks.request(kept)
    assert (request.model, request.message_count, request.temperature, request.max_tokens) == ("gpt-5.5", count, 0.5, 7)


def test_a_short_body_and_one_that_is_no_json_are_kept_as_they_are() -> None:
    for body in (_chat(["x" * (LONG_BODY - 200)]), b'--a\r\n"' + b"x" * 2 * LONG_BODY):
        assert _abridged(_reads(body)) == body


def test_many_short_strings_are_kept_as_they_are_and_what_stands_between_them_too() -> None:
    body = json.dumps({"model": "m", "input": [*["ab", "", "cde"] * 30_000, *range(1000), "f"]}).encode()
    numbers = body.index(b"0, 1, 2")
    for before in range(1, 6):
        assert _abridged([body[: numbers - before], body[numbers - before :]]) == body


def test_a_long_string_is_cut_between_two_characters() -> None:
    for shift in range(4):
        string = "x" * shift + "→🏞" * 100
        kept = Strings().cut(json.dumps([string], ensure_ascii=False).encode())
        assert string.startswith(json.loads(kept)[0])


def test_a_long_body_that_ends_within_a_string_is_kept_to_its_end() -> None:
    body = _chat(["x" * LONG_BODY]) + b'{"and": "then'
    assert _abridged(cut_at(body, [LONG_BODY + 1000, len(body) - 3])).endswith(b'{"and": "then')


@pytest.mark.parametrize("read", [1000, QUOTABLE - 1, _READ, 10_000_000])
def test_beginning_and_end_of_a_cut_body_are_known_as_they_came(read: int) -> None:
    raw = _chat([f"{number} {'x' * number}" for number in range(1000)])
    body = Abridged()
    for piece in cut_at(raw, range(0, len(raw), read)):
        body.feed(piece)
    body.finish()
    assert body.quotable == quotable(raw)


def test_an_error_that_quotes_a_long_request_is_masked() -> None:
    first, last = "What my first secret question said.", "And the last one was about the moon."
    exchange = begun("/v1/chat/completions", host="api.openai.com")
    for piece in _reads(_chat([first, *["filler " * 100] * 1000, last])):
        exchange.request_chunk(piece, 1)
    exchange.request_end(2)
    exchange.answer_head(400, {"content-type": "application/json"}, 3)
    Answering(exchange)(json.dumps({"error": {"message": f"Cannot read: {first} Nor: {last}"}}).encode(), 4)
    row = exchange.finish(Cause.COMPLETE, 5)
    assert row is not None
    assert (row.message_count, row.request_bytes) == (1002, len(_chat([first, *["filler " * 100] * 1000, last])))
    assert row.error_message is not None
    assert row.error_message.startswith("Cannot read: ")
    assert "secret" not in row.error_message
    assert "moon" not in row.error_message
