"""The headers that columns name are read, and odd values are none."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.headers import (
    basic_user,
    credentials,
    error_type,
    plain,
    request_columns,
    response_columns,
    server_timing,
)

_TRACE, _SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, 7000),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1500),
        ({"retry-after-ms": "240", "retry-after": "1"}, 240),
        ({"retry-after-ms": "240.4"}, 240),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1000),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": _DATE}, 30_000),
        ({"retry-after": "Wed, 21 Oct 2026 09:28:30 +0200", "date": _DATE}, 30_000),
        ({"retry-after": "Wed, 21 Oct 2026 07:00:00 GMT", "date": _DATE}, 0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "Wed, 99 Oct 2026 07:28:30 GMT", "date": _DATE}, None),
        ({"retry-after": "later", "date": _DATE}, None),
        ({"retry-after": "-5", "date": _DATE}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after-ms": "9" * 25}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_as_milliseconds_or_as_a_date(
    headers: dict[str, str], expected: int | None
) -> None:
    assert response_columns(headers).get("retry_after_ms") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"00-{_TRACE}-{_SPAN}-01", (_TRACE, _SPAN)),
        (f"00-{_TRACE}-{_SPAN}-00", (_TRACE, _SPAN)),
        (f"cc-{_TRACE}-{_SPAN}-01-what-the-future-will-be-like", (_TRACE, _SPAN)),
        (f"00-{'0' * 32}-{_SPAN}-01", (None, None)),
        (f"00-{_TRACE}-{'0' * 16}-01", (None, None)),
        (f"00-{_TRACE.upper()}-{_SPAN}-01", (None, None)),
        (f"00-{_TRACE}-{_SPAN}", (None, None)),
        (f"00-{_TRACE}x-{_SPAN}-01", (None, None)),
        (f"00-{_TRACE}-{_SPAN}-01.", (None, None)),
        (f"00-{_TRACE}-{_SPAN}-01-more", (None, None)),  # version 00 has no more
        (f"ff-{_TRACE}-{_SPAN}-01", (None, None)),  # forbidden by the standard
        ("", (None, None)),
    ],
)
def test_a_trace_is_read_only_from_a_valid_traceparent(value: str, expected: tuple[str | None, str | None]) -> None:
    columns = request_columns({"traceparent": value})
    assert (columns.get("trace_id"), columns.get("parent_span_id")) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("4999", 4999), ("0", 0), ("9" * 18, 10**18 - 1)),
        *((value, None) for value in ("-1", "", "1e3", "12.5", "٣", "9" * 19, "9" * 5000, " 7")),
    ],
)
@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("x-ratelimit-remaining-requests", "rate_limit_remaining_requests"),
        ("anthropic-ratelimit-requests-remaining", "rate_limit_remaining_requests"),
        ("x-ratelimit-remaining-tokens", "rate_limit_remaining_tokens"),
        ("anthropic-ratelimit-tokens-remaining", "rate_limit_remaining_tokens"),
    ],
)
def test_what_is_left_of_a_limit_is_a_number_or_unknown(
    name: str, column: str, value: str, expected: int | None
) -> None:
    assert response_columns({name: value}).get(column) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"user-agent": "OpenAI/Python 3.54.0"}, {"user_agent": "OpenAI/Python 3.54.0"}),
        ({"user-agent": "x" * 400}, {"user_agent": "x" * 256}),
        ({"user-agent": "a\tb\x1b[31m\udcff"}, {"user_agent": "a b\ufffd[31m\ufffd"}),
        ({"x-stainless-retry-count": "2"}, {"retry_count": 2}),
        ({"x-stainless-retry-count": "two"}, {"retry_count": None}),
        ({"authorization": "Bearer x", "cookie": "y", "openai-organization": "z"}, {}),
    ],
)
def test_only_named_headers_of_a_request_are_kept(headers: dict[str, str], expected: dict[str, Any]) -> None:
    assert request_columns(headers) == expected


@pytest.mark.parametrize(
    "name", ["x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-amzn-requestid"]
)
def test_a_providers_request_id_is_kept_under_any_of_its_names(name: str) -> None:
    assert response_columns({name: "req_1"})["provider_request_id"] == "req_1"


def test_server_timing_is_what_the_provider_says() -> None:
    assert server_timing({"openai-processing-ms": "412", "x-envoy-upstream-service-time": "none"}) == {
        "openai-processing-ms": 412
    }
    assert server_timing({"openai-processing-ms": "fast"}) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ThrottlingException", "ThrottlingException"),
        ("ValidationException:http://internal/", "ValidationException"),
        ("", None),
    ],
)
def test_an_error_type_in_a_header_is_its_first_word(value: str, expected: str | None) -> None:
    assert error_type({"x-amzn-errortype": value}) == expected


@pytest.mark.parametrize(
    ("value", "user"),
    [
        ("Basic YmlsbGluZzp4", "billing"),
        ("basic YmlsbGluZzo=", "billing"),
        ("Basic YmlsbGluZw==", "billing"),
        ("Basic Ong=", None),
        ("Basic w6Q6eA==", "ä"),
        ("Basic /////w==", None),
        ("Basic !!", None),
        ("Basic", None),
        ("Bearer YmlsbGluZzp4", None),
        ("", None),
        (None, None),
    ],
)
def test_the_user_of_the_proxys_url_is_read(value: str | None, user: str | None) -> None:
    assert basic_user(value) == user


_VALUES = st.text(max_size=60) | st.from_regex(
    r"[A-Z][a-z]{2}, ?-?\d+ [A-Z][a-z]{2} -?\d{1,6} \d+:\d+(:\d+)? (GMT|[-+]\d{1,6})"
)


@given(value=_VALUES, date=_VALUES)
def test_any_header_is_read_or_unknown(value: str, date: str) -> None:
    names = ("retry-after", "retry-after-ms", "x-request-id", "x-ratelimit-remaining-tokens", "openai-processing-ms")
    headers = dict.fromkeys(names, value) | {"date": date}
    columns = response_columns(headers) | request_columns({"traceparent": value, "x-stainless-retry-count": value})
    numbers = [column for name, column in columns.items() if name not in ("provider_request_id", "trace_id")]
    assert all(number is None or (isinstance(number, int) and 0 <= number < 2**63) for number in numbers)
    server_timing(headers)
    basic_user(value)


@pytest.mark.parametrize("value", ["Basic é", "Basic \udcff", "Basic", "Basic =", "Basic /w==", "Bearer é"])
def test_credentials_that_are_no_base64_cost_no_row(value: str) -> None:
    assert basic_user(value) is None
    assert value.partition(" ")[2] in [*credentials({"authorization": value}, ""), ""]


def test_thousands_of_values_of_one_name_are_cut_instead_of_copied_again_and_again() -> None:
    fields = [(b"x-same", b"v" * 1000)] * 20_000
    began = time.process_time()
    (value,) = plain(fields).values()
    assert time.process_time() - began < 0.5
    assert 64 * 1024 <= len(value) < 66 * 1024


def test_of_thousands_of_secrets_the_first_are_looked_for() -> None:
    headers = {f"x-key-{number}": f"secret-{number}" for number in range(20_000)}
    assert credentials(headers, "")[:2] == ["secret-0", "secret-1"]
    assert len(credentials(headers, "")) <= 256
