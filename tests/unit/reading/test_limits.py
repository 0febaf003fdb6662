"""Limits that answers state, in the spellings of all providers, and one word of each a minute."""

import json
from datetime import UTC, datetime

import pytest

from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.quota.news import News
from llm_metrics_proxy.addon.quota.stated import (
    HEADERS,
    Stated,
    body_of_limits,
    headers_of_limits,
    limits_in,
    resets_at,
)
from llm_metrics_proxy.recorder.events import CompletionRequest, Limit
from tests.support.exchanges import begun

WALL = int(datetime(2026, 12, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000_000
IN_90_S = "2026-12-01T12:01:30.000Z"
UNIX = WALL // 1_000_000_000 + 90

type Said = tuple[str, str | None, str | None, float | None, float | None, str | None]


def said(headers: dict[str, str], provider: str = "openai", body: bytes = b"") -> list[Said]:
    """Return kind, window, model, limit, remaining and reset of each limit that an answer to `gpt-5` states."""
    found = limits_in(Stated(WALL, headers_of_limits(headers) or {}, body), provider, "gpt-5")
    return [(one.kind, one.window, one.model, one.limit, one.remaining, one.resets_at) for one in found]


OPENAI = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "1m30s",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199000",
    "x-ratelimit-reset-tokens": "1m30.000s",
}
PLAN = {
    "anthropic-ratelimit-unified-status": "allowed",
    "anthropic-ratelimit-unified-5h-utilization": "0.634",
    "anthropic-ratelimit-unified-5h-reset": str(UNIX),
    "anthropic-ratelimit-unified-7d-utilization": "1.02",
    "anthropic-ratelimit-unified-7d-reset": str(UNIX),
    "anthropic-ratelimit-unified-7d_opus-utilization": "0",
}
CODEX = {
    "x-codex-primary-used-percent": "12.5",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-after-seconds": "90",
    "x-codex-secondary-used-percent": "89",
    "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-at": str(UNIX),
}


@pytest.mark.parametrize(
    ("provider", "headers", "expected"),
    [
        (
            "openai",
            OPENAI,
            [("requests", None, "gpt-5", 500, 499, IN_90_S), ("tokens", None, "gpt-5", 200_000, 199_000, IN_90_S)],
        ),
        (
            "groq",
            OPENAI,
            [("requests", "1d", "gpt-5", 500, 499, IN_90_S), ("tokens", "1m", "gpt-5", 200_000, 199_000, IN_90_S)],
        ),
        (
            "mistral",
            {"x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-req-minute": "59"},
            [("requests", "1m", "gpt-5", 60, 59, None)],
        ),
        (
            "cerebras",
            {"x-ratelimit-limit-tokens-day": "9", "x-ratelimit-remaining-tokens-day": "8"}
            | {"x-ratelimit-reset-tokens-day": "90.0"},
            [("tokens", "1d", "gpt-5", 9, 8, IN_90_S)],
        ),
        (
            "anthropic",
            {
                "anthropic-ratelimit-input-tokens-limit": "2000",
                "anthropic-ratelimit-input-tokens-remaining": "1000",
                "anthropic-ratelimit-input-tokens-reset": "2026-12-01T12:01:30Z",
            },
            [("input_tokens", "1m", "gpt-5", 2000, 1000, IN_90_S)],
        ),
        (
            "anthropic",
            PLAN,
            [
                ("plan", "5h", None, 100, 36.6, IN_90_S),
                ("plan", "7d", None, 100, 0, IN_90_S),
                ("plan", "7d", "opus", 100, 100, None),
            ],
        ),
        (
            "openai",
            CODEX,
            [("plan", "5h", None, 100, 87.5, IN_90_S), ("plan", "7d", None, 100, 11, IN_90_S)],
        ),
        (
            "openai",
            CODEX | {"x-codex-primary-window-minutes": "77"},
            [("plan", "77m", None, 100, 87.5, IN_90_S), ("plan", "7d", None, 100, 11, IN_90_S)],
        ),
        (
            "github_copilot",
            {"x-quota-snapshot-premium_interactions": "ent=300&ov=0.0&rem=75.0&rst=2026-12-01T12%3A01%3A30Z"},
            [("premium_requests", "1mo", None, 300, 225, IN_90_S)],
        ),
        ("github_copilot", {"x-quota-snapshot-chat": "ent=-1&ov=0.0&rem=100.0&rst=2026-12-01T12%3A01%3A30Z"}, []),
        (
            "openrouter",
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "19", "x-ratelimit-reset": str(UNIX * 1000)},
            [("requests", None, None, 20, 19, IN_90_S)],
        ),
        (
            "openai",
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "99", "ratelimit-reset": "90"},
            [("requests", None, None, 100, 99, IN_90_S)],
        ),
        ("azure", {"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "-1"}, []),
        ("azure", {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}, []),
        ("azure", {"x-ratelimit-remaining-requests": "9"}, [("requests", None, "gpt-5", None, 9, None)]),
        ("openai", {"x-ratelimit-reset-requests": "1s"}, []),
        ("openai", {"x-request-id": "req_1"}, []),
    ],
)  # fmt: skip
def test_limits_are_in_one_form_for_all(provider: str, headers: dict[str, str], expected: list[Said]) -> None:
    assert sorted(said(headers, provider), key=str) == sorted(expected, key=str)


GOOGLES = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [
                    {
                        "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                        "quotaDimensions": {"model": "gemini-2.5-pro", "location": "global"},
                        "quotaValue": "50",
                    },
                    {"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "125000"},
                ],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "90s"},
        ],
    }
}
OF_GOOGLE = [
    ("requests", "1d", "gemini-2.5-pro", 50, 0, None),
    ("input_tokens", "1m", "gpt-5", 125_000, 0, IN_90_S),
]


@pytest.mark.parametrize("body", [GOOGLES, [GOOGLES]])
def test_a_refusal_of_google_names_what_is_empty(body: object) -> None:
    assert said({}, "gcp.gemini", body_of_limits(json.dumps(body).encode())) == OF_GOOGLE


@pytest.mark.parametrize(
    "body",
    [
        b"QuotaFailure",
        b'["QuotaFailure"]',
        b'{"error": "QuotaFailure"}',
        b'{"error": {"details": [{"violations": [7, {"quotaId": 7}]}, "QuotaFailure"]}}',
        b'{"error": {"details": [{"violations": [{"quotaId": "x", "quotaDimensions": 7}]}, "QuotaFailure"]}}',
        b"[" * 10_000 + b"QuotaFailure",
        b"x" * 100_000 + b"QuotaFailure",
    ],
)  # fmt: skip
def test_a_body_of_another_shape_costs_nothing_else(body: bytes) -> None:
    assert all(one[4] == 0 for one in said({}, body=body_of_limits(body)))


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("120ms", "2026-12-01T12:00:00.120Z"),
        ("6m0s", "2026-12-01T12:06:00.000Z"),
        ("1h2m3.5s", "2026-12-01T13:02:03.500Z"),
        ("2d", "2026-12-03T12:00:00.000Z"),
        ("0", "2026-12-01T12:00:00.000Z"),
        ("26.5", "2026-12-01T12:00:26.500Z"),
        ("2026-12-01T13:00:00+01:00", "2026-12-01T12:00:00.000Z"),
        ("2026-12-01T12:00:00", "2026-12-01T12:00:00.000Z"),
        *((nonsense, None) for nonsense in ("", "soon", "-1", "1e9", "9" * 18, "9999-12-31T00:00:00Z", "1x", "NaN")),
    ],
)  # fmt: skip
def test_a_reset_is_a_moment_however_it_is_written(written: str, moment: str | None) -> None:
    assert resets_at(written, WALL) == moment


@pytest.mark.parametrize("value", ["", "x", "-5", "1e400", "9" * 400, "nan", "\x00", "1" * 19, "5;DROP TABLE quota"])
def test_nonsense_makes_no_number(value: str) -> None:
    assert said(dict.fromkeys(HEADERS, value)) == []


def call(status: int = 200, model: str = "gpt-5", key_id: str | None = "0123456789abcdef") -> CompletionRequest:
    return CompletionRequest(
        timestamp="2026-12-01T12:00:00.000Z", success=status == 200, status_code=status, response_time_ms=1,
        is_streaming=False, event_id="0" * 32, provider="openai", model=model, key_id=key_id,
    )  # fmt: skip


def test_each_key_and_model_is_heard_once_a_minute_and_a_refusal_besides() -> None:
    news, minute = News(), 60_000_000_000

    def heard(row: CompletionRequest, at: int = 0) -> bool:
        return news.of(row, Stated(WALL + at, OPENAI)) is not None

    assert [heard(call(), second * 1_000_000_000) for second in (0, 1, 59)] == [True, False, False]
    assert [heard(call(429)), heard(call(429)), heard(call())] == [True, False, False]
    assert [heard(call(), minute), heard(call(model="gpt-6"), minute), heard(call(key_id=None), minute)] == [True] * 3
    for number in range(3_000):
        heard(call(model=f"m{number}"))
    assert len(news._heard) <= 1_000  # noqa: SLF001 - bounded whatever clients choose


def test_what_is_heard_has_the_key_the_model_and_the_moment_of_the_answer() -> None:
    exchange = begun("/v1/chat/completions", host="api.openai.com")
    exchange.request_chunk(b'{"model":"gpt-5","messages":[]}', 1)
    exchange.request_end(2)
    exchange.answer_head(200, {"content-type": "application/json", **OPENAI}, 5_000_000_000)
    exchange.answered.add(b'{"choices":[]}', 6_000_000_000)
    row = exchange.finish(Cause.COMPLETE, 7_000_000_000)
    assert row is not None
    assert exchange.stated is not None
    limits = News().of(row, exchange.stated)
    assert limits is not None
    assert (limits.provider, limits.key_id, limits.at) == ("openai", row.key_id, "2026-01-02T03:04:10.678Z")
    assert limits.limits[0] == Limit("requests", None, "gpt-5", 500.0, 499.0, "2026-01-02T03:05:40.678Z")
