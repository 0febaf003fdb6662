-- windows: last_24h, last_7d
-- The twenty calls that cost most.
SELECT timestamp, model, origin, status_code, error_type, response_time_ms, time_to_first_token_ms, prompt_tokens,
    cached_tokens, completion_tokens, cost_usd, retry_count, session_id, provider_request_id, id, host_id,
    cost_complete::int AS cost_complete, cost_note
FROM completion_requests
WHERE timestamp >= {window} AND cost_usd IS NOT NULL
ORDER BY cost_usd DESC LIMIT 20
