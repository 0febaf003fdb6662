-- windows: last_24h, last_7d
-- The twenty calls that took longest.
SELECT timestamp, model, origin, status_code, error_type, response_time_ms, time_to_first_token_ms, prompt_tokens,
    cached_tokens, completion_tokens, cost_usd, retry_count, session_id, provider_request_id, id,
    cost_complete, cost_note
FROM completion_requests
WHERE timestamp >= {window} AND response_time_ms IS NOT NULL
ORDER BY response_time_ms DESC LIMIT 20
