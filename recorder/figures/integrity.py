"""Statements about rows of `completion_requests` that can never be true: a phrase, and the SQL that counts such rows.

Each statement returns (number of rows, lowest id). Comparisons with NULL are not true, so unknown values pass.
"""

from typing import Final

import msgspec

from llm_metrics_proxy.recorder.events import CompletionRequest

_TYPES = {field.name: field.type for field in msgspec.structs.fields(CompletionRequest)}
_NUMBERS = tuple(name for name, kind in _TYPES.items() if kind in (int, int | None, float, float | None))
_FRACTIONS = tuple(name for name in _NUMBERS if _TYPES[name] == float | None)
_TEXTS = tuple(name for name, kind in _TYPES.items() if kind in (str, str | None))
# -1 in a request stands for "no limit" with some servers, and rate limits are what a provider says.
_MAY_BE_NEGATIVE = {
    "max_tokens",
    "temperature",
    "top_p",
    "rate_limit_remaining_requests",
    "rate_limit_remaining_tokens",
}


def _some(names: tuple[str, ...], condition: str) -> str:
    """`condition` for any of the columns."""
    where = " OR ".join(condition.format(name) for name in names)
    return f"SELECT count(*), min(id) FROM completion_requests WHERE {where}"  # noqa: S608 - names of our own fields


IMPOSSIBLE: Final = {
    # With a modifier strftime() computes the day, so that the 30th of February comes back as another one.
    "timestamp is not YYYY-MM-DDTHH:MM:SS.mmmZ": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE strftime('%Y-%m-%dT%H:%M:%fZ', timestamp, '+0 days') IS NOT timestamp""",
    "success or is_streaming is neither 0 nor 1": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE success NOT IN (0, 1) OR is_streaming NOT IN (0, 1)""",
    "status_code is no status of HTTP": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE typeof(status_code) <> 'integer' OR status_code NOT BETWEEN 100 AND 999""",
    "success without a 2xx status, or with an error type": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE success AND (status_code NOT BETWEEN 200 AND 299 OR error_type IS NOT NULL)""",
    "a number is negative": _some(tuple(name for name in _NUMBERS if name not in _MAY_BE_NEGATIVE), "{} < 0"),
    "a number is stored as text or bytes": _some(_NUMBERS, "typeof({}) IN ('text', 'blob')"),
    "a number is infinite": _some(_FRACTIONS, "abs({}) = 9e999"),
    "a text is stored as something else": _some(_TEXTS, "typeof({}) NOT IN ('text', 'null')"),
    "the first token came after the last, or the last after the end": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE time_to_first_token_ms > time_to_last_token_ms OR time_to_last_token_ms > response_time_ms""",
    "a part of the tokens is more than the whole": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE coalesce(cached_tokens, 0) + coalesce(cache_write_tokens, 0) > prompt_tokens
            OR reasoning_tokens > completion_tokens""",
    "a time of a token without a stream": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE NOT is_streaming AND (time_to_first_token_ms IS NOT NULL OR time_to_last_token_ms IS NOT NULL)""",
    "usage or server_timing is no JSON": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE NOT json_valid(coalesce(usage, '{}')) OR NOT json_valid(coalesce(server_timing, '{}'))""",
    "usage_source is neither provider nor partial": """
        SELECT count(*), min(id) FROM completion_requests WHERE usage_source NOT IN ('provider', 'partial')""",
    "event_id is not 32 hex digits": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE length(event_id) <> 32 OR event_id GLOB '*[^0-9a-f]*'""",
    # The index forbids it; NOT INDEXED reads the table itself, since a damaged index would answer for itself.
    "event_id stands in more than one row": """
        SELECT count(*), min(id) FROM (
            SELECT min(id) AS id FROM completion_requests NOT INDEXED
            WHERE event_id IS NOT NULL GROUP BY event_id HAVING count(*) > 1)""",
}
