"""Who sent a request is taken from the first source that says so."""

import pytest

from llm_metrics_proxy.addon.headers import host_asked_for, origin_of

_HEADERS = {"origin": "https://app.example", "user-agent": "OpenAI/Python 3.54.0"}


@pytest.mark.parametrize(
    ("proxy_user", "label", "headers", "expected"),
    [
        ("billing", "search", _HEADERS, "billing"),
        (None, "search", _HEADERS, "search"),
        (None, "  search ", _HEADERS, "search"),
        ("", "search", _HEADERS, "search"),
        (None, "  ", _HEADERS, "https://app.example"),
        (None, None, _HEADERS, "https://app.example"),
        (None, None, {"user-agent": "OpenAI/Python 3.54.0"}, "OpenAI/Python"),
        (None, None, {"user-agent": "curl/8.5"}, "curl/8.5"),
        (None, None, {"user-agent": "  "}, "192.0.2.1"),
        (None, None, {"origin": "", "user-agent": ""}, "192.0.2.1"),
        (None, None, {}, "192.0.2.1"),
    ],
)
def test_the_origin_is_the_first_source_that_says_something(
    proxy_user: str | None, label: str | None, headers: dict[str, str], expected: str
) -> None:
    assert origin_of(proxy_user, label, headers, "192.0.2.1") == expected


def test_an_origin_is_one_short_printable_line() -> None:
    assert origin_of("a\nb\x00" + "c" * 300, None, {}, None) == "a b\ufffd" + "c" * 252


def test_without_any_source_the_origin_is_unknown() -> None:
    assert origin_of(None, None, {}, None) is None


@pytest.mark.parametrize(
    ("address", "server_name", "expected"),
    [
        ("api.openai.com", "other.example", "api.openai.com"),
        ("104.18.6.192", "api.openai.com", "api.openai.com"),
        ("2606:4700::6812:7c0", "api.openai.com", "api.openai.com"),
        ("104.18.6.192", None, "104.18.6.192"),
        ("104.18.6.192", "", "104.18.6.192"),
        ("localhost", None, "localhost"),
    ],
)
def test_the_host_is_a_name_where_there_is_one(address: str, server_name: str | None, expected: str) -> None:
    assert host_asked_for(address, server_name) == expected
