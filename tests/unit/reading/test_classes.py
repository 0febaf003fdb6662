"""Failures and ends of all providers have one word for one cause: as their documentation and their SDKs spell them."""

import json
import sqlite3
from contextlib import closing

import pytest

from llm_metrics_proxy.addon.classes import error_class, finish_class
from llm_metrics_proxy.addon.outcomes import STREAM_TRUNCATED, Cause
from llm_metrics_proxy.addon.providers.errors import ProviderError, read_error
from llm_metrics_proxy.migrations import classes

FAILURES = [
    # OpenAI
    (
        "openai",
        429,
        {"error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "Limit 30000"}},
        "rate_limit",
    ),
    ("openai", 429, {"error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "m"}}, "quota"),
    ("openai", 429, {"error": {"type": "requests", "code": None, "message": "Rate limit reached"}}, "rate_limit"),
    (
        "openai",
        400,
        {"error": {"type": "invalid_request_error", "code": "context_length_exceeded", "message": "m"}},
        "context_length",
    ),
    (
        "openai",
        400,
        {"error": {"type": "invalid_request_error", "message": "This model's maximum context length is 8192 tokens."}},
        "context_length",
    ),
    ("openai", 401, {"error": {"type": "invalid_request_error", "code": "invalid_api_key", "message": "m"}}, "auth"),
    ("openai", 401, {"error": {"type": "invalid_request_error", "message": "You didn't say who you are."}}, "auth"),
    ("openai", 404, {"error": {"type": "invalid_request_error", "code": "model_not_found"}}, "not_found"),
    ("openai", 404, {"error": {"type": "invalid_request_error", "message": "Unknown"}}, "not_found"),
    ("openai", 400, {"error": {"type": "invalid_request_error", "code": "invalid_prompt"}}, "content_filter"),
    (
        "openai",
        400,
        {"error": {"type": "image_generation_user_error", "code": "moderation_blocked", "message": "m"}},
        "content_filter",
    ),
    ("openai", 400, {"error": {"type": "invalid_request_error", "code": "unsupported_value"}}, "invalid_request"),
    ("openai", 500, {"error": {"type": "server_error", "message": "The server had an error"}}, "server_error"),
    ("openai", 503, {"error": {"type": "server_error", "message": "Slow down", "code": "slow_down"}}, "overloaded"),
    ("openai", 403, {"error": {"code": "unsupported_country_region_territory", "type": "request_forbidden"}}, "auth"),
    (
        "azure.ai.openai",
        400,
        {
            "error": {
                "code": "content_filter",
                "message": "The response was filtered",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
        "content_filter",
    ),
    ("azure.ai.openai", 404, {"error": {"code": "DeploymentNotFound", "message": "m"}}, "not_found"),
    (
        "azure.ai.openai",
        429,
        {"error": {"code": "429", "message": "Requests have exceeded call rate limit"}},
        "rate_limit",
    ),
    ("azure.ai.openai", 403, {"error": {"code": "403", "message": "Out of call volume quota"}}, "auth"),
    # Anthropic
    ("anthropic", 529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
    ("anthropic", 200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
    (
        "anthropic",
        400,
        {"error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}},
        "context_length",
    ),
    (
        "anthropic",
        400,
        {"error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed context limit"}},
        "context_length",
    ),
    (
        "anthropic",
        400,
        {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}},
        "quota",
    ),
    (
        "anthropic",
        400,
        {"error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}},
        "content_filter",
    ),
    (
        "anthropic",
        400,
        {"error": {"type": "invalid_request_error", "message": "max_tokens: required"}},
        "invalid_request",
    ),
    ("anthropic", 402, {"error": {"type": "billing_error", "message": "m"}}, "quota"),
    ("anthropic", 403, {"error": {"type": "permission_error", "message": "m"}}, "auth"),
    ("anthropic", 404, {"error": {"type": "not_found_error", "message": "model: claude-9"}}, "not_found"),
    ("anthropic", 413, {"error": {"type": "request_too_large", "message": "Request exceeds"}}, "invalid_request"),
    ("anthropic", 429, {"error": {"type": "rate_limit_error", "message": "m"}}, "rate_limit"),
    ("anthropic", 500, {"error": {"type": "api_error", "message": "Internal server error"}}, "server_error"),
    ("anthropic", 504, {"error": {"type": "timeout_error", "message": "m"}}, "timeout"),
    # Google: RESOURCE_EXHAUSTED is a rate or a quota by its details
    (
        "gcp.gemini",
        429,
        {
            "error": {
                "code": 429,
                "status": "RESOURCE_EXHAUSTED",
                "message": "You exceeded your current quota, please check your plan and billing details.",
                "details": [{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}],
            }
        },
        "rate_limit",
    ),
    (
        "gcp.gemini",
        429,
        {
            "error": {
                "code": 429,
                "status": "RESOURCE_EXHAUSTED",
                "message": "Resource has been exhausted (e.g. check quota).",
                "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}],
            }
        },
        "quota",
    ),
    (
        "gcp.gemini",
        429,
        {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Resource has been exhausted."}},
        "rate_limit",
    ),
    (
        "gcp.vertex_ai",
        429,
        {
            "error": {
                "code": 429,
                "status": "RESOURCE_EXHAUSTED",
                "message": "Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute",
            }
        },
        "rate_limit",
    ),
    (
        "gcp.gemini",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "API key not valid. Please pass a valid API key.",
                    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
                }
            }
        ],
        "auth",
    ),
    (
        "gcp.gemini",
        400,
        {
            "error": {
                "status": "INVALID_ARGUMENT",
                "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            }
        },
        "context_length",
    ),
    ("gcp.gemini", 503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}}, "overloaded"),
    ("gcp.gemini", 504, {"error": {"code": 504, "status": "DEADLINE_EXCEEDED", "message": "m"}}, "timeout"),
    ("gcp.gemini", 403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "m"}}, "auth"),
    (
        "gcp.vertex_ai",
        403,
        {
            "error": {
                "status": "PERMISSION_DENIED",
                "message": "This API method requires billing to be enabled.",
                "details": [{"reason": "BILLING_DISABLED"}],
            }
        },
        "quota",
    ),
    ("gcp.gemini", 499, {"error": {"code": 499, "status": "CANCELLED", "message": "m"}}, "client_left"),
    ("gcp.gemini", 400, {"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "m"}}, "invalid_request"),
    # AWS
    ("aws.bedrock", 429, {"__type": "x", "type": "ThrottlingException", "message": "Too many tokens"}, "rate_limit"),
    ("aws.bedrock", 400, {"type": "ServiceQuotaExceededException", "message": "m"}, "quota"),
    ("aws.bedrock", 503, {"type": "ServiceUnavailableException", "message": "m"}, "overloaded"),
    ("aws.bedrock", 429, {"type": "ModelNotReadyException", "message": "m"}, "overloaded"),
    ("aws.bedrock", 403, {"type": "AccessDeniedException", "message": "You don't have access to the model."}, "auth"),
    ("aws.bedrock", 408, {"type": "ModelTimeoutException", "message": "m"}, "timeout"),
    ("aws.bedrock", 424, {"type": "ModelErrorException", "message": "m"}, "server_error"),
    ("aws.bedrock", 200, {"type": "modelStreamErrorException", "message": "m"}, "server_error"),
    ("aws.bedrock", 404, {"type": "ResourceNotFoundException", "message": "m"}, "not_found"),
    (
        "aws.bedrock",
        400,
        {"type": "ValidationException", "message": "Input is too long for requested model."},
        "context_length",
    ),
    (
        "aws.bedrock",
        400,
        {"type": "ValidationException", "message": "The provided model identifier is invalid."},
        "not_found",
    ),
    ("aws.bedrock", 400, {"type": "ValidationException", "message": "Malformed input request"}, "invalid_request"),
    # Cohere, Mistral
    ("cohere", 429, {"message": "You are using a Trial key, which is limited to 10 API calls / minute."}, "rate_limit"),
    (
        "cohere",
        400,
        {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"},
        "context_length",
    ),
    ("cohere", 498, {"message": "blocked"}, "invalid_request"),
    ("mistral_ai", 429, {"object": "error", "type": "service_tier_capacity_exceeded", "code": "3505"}, "overloaded"),
    ("mistral_ai", 422, {"detail": [{"msg": "Input should be a valid string"}]}, "invalid_request"),
    ("mistral_ai", 401, {"detail": "Unauthorized"}, "auth"),
    ("mistral_ai", 400, {"object": "error", "type": "invalid_model", "message": "Invalid model: m"}, "not_found"),
    # DashScope
    ("alibaba", 400, {"code": "DataInspectionFailed", "message": "m"}, "content_filter"),
    ("alibaba", 400, {"code": "Arrearage", "message": "Access denied"}, "quota"),
    ("alibaba", 429, {"code": "Throttling.RateQuota", "message": "m"}, "rate_limit"),
    ("alibaba", 401, {"code": "InvalidApiKey", "message": "m"}, "auth"),
    (
        "alibaba",
        400,
        {"code": "InvalidParameter", "message": "Range of input length should be [1, 30720]"},
        "context_length",
    ),
    ("alibaba", 403, {"code": "AllocationQuota.FreeTierOnly", "message": "m"}, "quota"),
    # MiniMax, Z.ai, Cloudflare: numbers of their own
    ("minimax", 200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "quota"),
    ("minimax", 200, {"base_resp": {"status_code": 1002, "status_msg": "m"}}, "rate_limit"),
    ("minimax", 200, {"base_resp": {"status_code": 1004, "status_msg": "m"}}, "auth"),
    ("minimax", 200, {"base_resp": {"status_code": 1027, "status_msg": "m"}}, "content_filter"),
    (
        "minimax",
        200,
        {"base_resp": {"status_code": 2013, "status_msg": "context window exceeds limit"}},
        "context_length",
    ),
    ("z_ai", 429, {"error": {"code": "1113", "message": "m"}}, "quota"),
    ("z_ai", 429, {"error": {"code": "1302", "message": "m"}}, "rate_limit"),
    ("z_ai", 400, {"error": {"code": "1261", "message": "m"}}, "context_length"),
    ("z_ai", 401, {"error": {"code": "1002", "message": "m"}}, "auth"),
    ("cloudflare", 429, {"errors": [{"code": 3040, "message": "m"}], "success": False}, "overloaded"),
    ("cloudflare", 429, {"errors": [{"code": 3036, "message": "m"}], "success": False}, "quota"),
    ("cloudflare", 400, {"errors": [{"code": 5007, "message": "No such model"}], "success": False}, "not_found"),
    # gateways and servers of one's own
    ("openrouter", 402, {"error": {"code": 402, "message": "Insufficient credits"}}, "quota"),
    ("openrouter", 200, {"error": {"code": 429, "message": "Provider returned error"}}, "rate_limit"),
    ("openrouter", 200, {"error": {"code": 502, "message": "Upstream error"}}, "server_error"),
    (
        "openrouter",
        403,
        {"error": {"code": 403, "message": "m", "metadata": {"reasons": ["sexual"], "flagged_input": "..."}}},
        "content_filter",
    ),
    (
        "openrouter",
        200,
        {"error": {"code": 400, "message": "m", "metadata": {"error_type": "context_length_exceeded"}}},
        "context_length",
    ),
    ("groq", 413, {"error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "m"}}, "rate_limit"),
    ("moonshot_ai", 429, {"error": {"type": "exceeded_current_quota_error", "message": "m"}}, "quota"),
    ("moonshot_ai", 429, {"error": {"type": "engine_overloaded_error", "message": "m"}}, "overloaded"),
    ("deepseek", 402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}, "quota"),
    ("x_ai", 400, {"code": "Client specified an invalid argument", "error": "Model not found: grok-9"}, "not_found"),
    ("custom", 400, {"error": {"type": "exceed_context_size_error", "code": 400, "message": "m"}}, "context_length"),
    ("custom", 400, {"object": "error", "message": "longer than the maximum model length of 32768"}, "context_length"),
    ("ollama", 404, {"error": "model 'llama9' not found, try pulling it first"}, "not_found"),
    ("ollama", 200, {"error": "an error was encountered while running the model: timeout"}, "timeout"),
    ("custom", 418, {"error": {"message": "m"}}, "invalid_request"),
    ("custom", 599, {"error": {"message": "m"}}, "server_error"),
    ("custom", 200, {"error": {"message": "m", "code": "never_heard_of"}}, "other"),
    ("custom", 200, {"error": {"message": "m", "code": "failed"}}, "server_error"),
]


@pytest.mark.parametrize(("provider", "status", "body", "expected"), FAILURES)
def test_a_failure_has_the_class_of_its_cause(provider: str, status: int, body: object, expected: str) -> None:
    error = read_error(json.dumps(body).encode())
    assert error is not None
    assert error_class(error, status, provider) == expected
    assert expected in classes.ERROR_CLASSES


@pytest.mark.parametrize(
    ("error_type", "expected"),
    [
        (Cause.CLIENT_DISCONNECT, "client_left"),
        (Cause.UPSTREAM_UNREACHABLE, "network"),
        (Cause.UPSTREAM_TLS, "network"),
        (Cause.UPSTREAM_DISCONNECT, "network"),
        (Cause.TIMEOUT, "timeout"),
        (Cause.PROXY_SHUTDOWN, "shutdown"),
        (STREAM_TRUNCATED, "truncated"),
        ("http_400", "invalid_request"),
        ("http_429", "rate_limit"),
        ("http_504", "timeout"),
        ("http_301", "other"),
    ],
)
def test_what_the_proxy_says_itself_has_a_class_too(error_type: str, expected: str) -> None:
    status = int(error_type[5:]) if error_type.startswith("http_") else 200
    assert error_class(ProviderError(type=error_type), status, "openai") == expected


ENDS = {
    "stop": "stop end_turn STOP COMPLETE completed eos_token stop_sequence STOP_SEQUENCE FINISH turnComplete",
    "length": "length max_tokens MAX_TOKENS max_output_tokens model_context_window_exceeded ERROR_LIMIT",
    "tool": "tool_calls tool_use function_call TOOL_CALL requires_action",
    "filter": "content_filter SAFETY RECITATION refusal guardrail_intervened JAILBREAK MODEL_ARMOR sensitive",
    "error": "error ERROR failed MALFORMED_FUNCTION_CALL insufficient_system_resource malformed_tool_use TIMEOUT",
    "pause": "pause_turn requires_continuation NEED_MORE_INPUT",
    "cancelled": "cancelled USER_CANCELLED interrupted abort",
    "other": "OTHER LANGUAGE FINISH_REASON_UNSPECIFIED",
}


@pytest.mark.parametrize(
    ("reason", "expected"), [(word, name) for name, words in ENDS.items() for word in words.split()]
)
def test_an_end_has_the_class_of_its_reason(reason: str, expected: str) -> None:
    assert finish_class(reason) == expected


def test_the_lists_of_classes_are_closed() -> None:
    assert set(ENDS) == set(classes.FINISH_CLASSES)
    assert {expected for _, _, _, expected in FAILURES} | {"network", "truncated", "shutdown"} == set(
        classes.ERROR_CLASSES
    )


def test_nothing_said_is_no_class() -> None:
    assert finish_class(None) is None
    assert finish_class(None, calls_tools=True) is None


def test_an_answer_that_asks_for_a_tool_ends_with_it_where_the_reason_is_only_stop() -> None:
    assert finish_class("STOP", calls_tools=True) == "tool"
    assert finish_class("MAX_TOKENS", calls_tools=True) == "length"


@pytest.mark.parametrize("table", [classes.ERRORS, classes.FINISHES])
def test_no_word_has_two_classes(table: dict[str, str]) -> None:
    words = [{classes.folded(word) for word in words.split()} for words in table.values()]
    assert sum(map(len, words)) == len(set().union(*words))


def test_the_sql_of_views_says_the_same_as_the_table() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for column, sql, table in (
            ("error_type", classes.SQL_OF_ERROR, classes.ERRORS),
            ("finish_reason", classes.SQL_OF_FINISH, classes.FINISHES),
        ):
            select = f"SELECT {sql} FROM (SELECT ? AS {column})"  # noqa: S608 - of ours
            for name, words in (*table.items(), (classes.OTHER, "never_heard_of")):
                for word in words.split():
                    assert connection.execute(select, (word,)).fetchone() == (name,)
        assert connection.execute(select, (None,)).fetchone() == (None,)
