"""What can never be true of a row of `completion_requests`: a phrase, and the SQL that counts the rows.

Each statement returns (number of rows, lowest id). Comparisons with NULL are not true, so unknown values pass.
"""

from typing import Final

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
        WHERE typeof(status_code) <> 'integer' OR status_code NOT BETWEEN 100 AND 599""",
    "success without a 2xx status, or with an error type": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE success AND (status_code NOT BETWEEN 200 AND 299 OR error_type IS NOT NULL)""",
    "a number is negative": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE min(response_time_ms, coalesce(max_tokens, 0), coalesce(message_count, 0), coalesce(prompt_tokens, 0),
            coalesce(completion_tokens, 0), coalesce(total_tokens, 0), coalesce(cached_tokens, 0),
            coalesce(cache_write_tokens, 0), coalesce(reasoning_tokens, 0), coalesce(time_to_first_token_ms, 0),
            coalesce(time_to_last_token_ms, 0), coalesce(tokens_per_second, 0), coalesce(cost_usd, 0),
            coalesce(request_bytes, 0), coalesce(response_bytes, 0), coalesce(output_events, 0)) < 0""",
    "a number is stored as text or bytes": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE typeof(response_time_ms) IN ('text', 'blob') OR typeof(prompt_tokens) IN ('text', 'blob')
            OR typeof(completion_tokens) IN ('text', 'blob') OR typeof(total_tokens) IN ('text', 'blob')
            OR typeof(time_to_first_token_ms) IN ('text', 'blob') OR typeof(tokens_per_second) IN ('text', 'blob')""",
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
    "event_id is not 32 hex digits": """
        SELECT count(*), min(id) FROM completion_requests
        WHERE length(event_id) <> 32 OR event_id GLOB '*[^0-9a-f]*'""",
    # The index forbids it; NOT INDEXED reads the table itself, since a damaged index would answer for itself.
    "event_id stands in more than one row": """
        SELECT count(*), min(id) FROM (
            SELECT min(id) AS id FROM completion_requests NOT INDEXED
            WHERE event_id IS NOT NULL GROUP BY event_id HAVING count(*) > 1)""",
}
