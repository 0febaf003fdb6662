"""The class of a failure and of an end: one word for one cause, whatever the provider calls it.

A failure's words decide first, from the most particular (a code, a reason among the details) to the least (the type).
Words that say no more than "bad request" or "server error" are refined by phrases of the message, then by the status.
"""

from typing import Final

from llm_metrics_proxy.addon.providers.errors import ProviderError
from llm_metrics_proxy.migrations.classes import ERROR_OF, FINISH_OF, OTHER, folded

_GENERAL: Final = frozenset(("invalid_request", "server_error"))
"""Classes of words that many causes share."""
_GENERAL_WORDS: Final = frozenset(
    map(folded, ("RESOURCE_EXHAUSTED", "http_403", "http_429", "PERMISSION_DENIED", "forbidden", "access_denied"))
)
# Numbers mean something only of the provider that gives them.
_NUMBERS: Final = {
    provider: {number: name for name, numbers in classes.items() for number in numbers.split()}
    for provider, classes in {
        "cloudflare": {
            "auth": "3023 3041 5016 5018 9109 10000 10001",
            "invalid_request": "3003 3006 3039 5004 5005 5019",
            "not_found": "3042 5007",
            "overloaded": "3040",
            "quota": "3036",
            "timeout": "3007 3008",
        },
        "minimax": {
            "auth": "1004 2042 2049",
            "content_filter": "1026 1027",
            "invalid_request": "1042 2013",
            "quota": "1008 2056",
            "rate_limit": "1002 1039 1041 2045",
            "server_error": "1000 1013 1024 1033",
            "timeout": "1001",
        },
        "z_ai": {
            "auth": "1000 1001 1002 1003 1004 1100 1110 1111 1112 1121 1220 1311",
            "content_filter": "1300 1301",
            "context_length": "1261",
            "invalid_request": "1210 1212 1213 1214 1215 1231",
            "not_found": "1211 1221 1222",
            "overloaded": "1312",
            "quota": "1113 1304 1308 1309 1310",
            "rate_limit": "1302 1303 1305 1313",
            "server_error": "1120 1200 1230 1234",
        },
    }.items()
}
# Parts of messages, in small letters; the first that is found decides, so limits by the minute stand before quotas.
_PHRASES: Final = tuple(
    (phrase, name)
    for name, phrases in (
        (
            "context_length",
            (
                "prompt is too long",
                "prompt too long",
                "input is too long",
                "context length",
                "context window",
                "context limit",
                "context size",
                "context_length",
                "maximum prompt length",
                "maximum model length",
                "model's maximum length",
                "maximum number of tokens allowed",
                "maximum number of input tokens",
                "max allowed tokens",
                "input token count",
                "prompt token count",
                "range of input length",
                "prompt exceeds max length",
                "number of tokens in the prompt",
                "reduce the length of",
                "max_new_tokens` must be <=",
            ),
        ),
        ("rate_limit", ("per minute", "per_minute", "perminute", "per second", "per_second", "persecond")),
        (
            "quota",
            (
                "perday",
                "per_day",
                "credit balance",
                "insufficient balance",
                "insufficient credit",
                "insufficient fund",
                "insufficient quota",
                "insufficient_quota",
                "not enough credit",
                "more credits",
                "out of credits",
                "no credits",
                "current quota",
                "plan and billing",
                "enable billing",
                "billing account",
                "billing to be enabled",
                "overdue",
                "in good standing",
                "usage limit",
                "spending limit",
                "spend limit",
                "monthly limit",
                "monthly spend",
                "daily limit",
                "daily free allocation",
                "budget has been exceeded",
                "exceeded your monthly",
                "limit: 0",
            ),
        ),
        (
            "overloaded",
            (
                "overloaded",
                "at capacity",
                "out of capacity",
                "capacity temporarily exceeded",
                "not enough capacity",
                "no capacity",
                "high demand",
                "server is busy",
                "temporarily unavailable",
                "no available server",
            ),
        ),
        ("rate_limit", ("rate limit", "rate-limit", "ratelimit", "too many requests", "throttl", "concurrency limit")),
        (
            "content_filter",
            (
                "content management policy",
                "content filter",
                "content policy",
                "content polici",
                "safety system",
                "usage polic",
                "was flagged",
                "been flagged",
                "moderation",
                "inappropriate content",
                "sensitive content",
                "prohibited content",
                "responsibleai",
            ),
        ),
        (
            "auth",
            (
                "api key not valid",
                "api key not found",
                "api key expired",
                "api_key_invalid",
                "valid api key",
                "invalid api key",
                "invalid api-key",
                "incorrect api key",
                "missing api key",
                "provide an api key",
                "no auth credentials",
                "not authenticated",
                "authentication fail",
                "unauthorized",
                "invalid token",
                "invalid x-api-key",
                "security token included in the request is",
            ),
        ),
        (
            "not_found",
            (
                "model not found",
                "model not exist",
                "model does not exist",
                "no such model",
                "unknown model",
                "not a valid model",
                "not found, try pulling",
                "is not found for api version",
                "model identifier is invalid",
                "no endpoints found",
            ),
        ),
        ("timeout", ("timed out", "time out", "timeout", "deadline exceeded")),
    )
    for phrase in phrases
)
_CLIENT_ERRORS: Final = range(400, 500)
_SERVER_ERRORS: Final = range(500, 600)


def error_class(error: ProviderError, status: int, provider: str) -> str:
    """The class of a failure; `status` is HTTP's, `provider` the one of the table of hosts."""
    words = [word for word in (error.code, *error.reasons, error.type) if word]
    general = None
    for word in words:
        name = _NUMBERS.get(provider, {}).get(word) or ERROR_OF.get(folded(word.rpartition("#")[2]))
        if name is None:
            continue
        if name not in _GENERAL and folded(word) not in _GENERAL_WORDS:
            return name
        general = general or name
    said = " ".join((*words, error.message or "")).lower()
    for phrase, name in _PHRASES:
        if phrase in said:
            return name
    of_status = _of_status(status) or _of_status(_number(error.code))  # an error inside a 200 has HTTP's status in it
    if of_status not in (None, *_GENERAL):
        return of_status or OTHER
    return general or of_status or OTHER


def finish_class(reason: str | None, *, calls_tools: bool = False) -> str | None:
    """The class of an answer's end; None where nothing was said.

    `calls_tools`: the answer asks for a tool, which some APIs have no reason for.
    """
    if reason is None:
        return None
    name = FINISH_OF.get(folded(reason), OTHER)
    return "tool" if calls_tools and name == "stop" else name


def _of_status(status: int) -> str | None:
    if (name := ERROR_OF.get(f"http{status}")) is not None:
        return name
    return "invalid_request" if status in _CLIENT_ERRORS else "server_error" if status in _SERVER_ERRORS else None


def _number(code: str | None) -> int:
    return int(code) if code is not None and len(code) == 3 and code.isascii() and code.isdigit() else 0  # noqa: PLR2004
