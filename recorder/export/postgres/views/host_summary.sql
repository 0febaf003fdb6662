-- windows: last_24h, last_7d
-- For each host: calls, failures, tokens and cost, time to the first token, and when it last sent a call.
SELECT host_id, count(*) AS requests, count(*) FILTER (WHERE NOT success) AS errors,
    round(100.0 * count(*) FILTER (WHERE NOT success) / count(*), 2) AS error_percent,
    sum(prompt_tokens) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
    sum(completion_tokens) AS completion_tokens,
    round((sum(cost_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6) AS cost_usd,
    (percentile_disc(0.5) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS first_token_p50_ms,
    (percentile_disc(0.95) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS first_token_p95_ms,
    max(timestamp) AS last_at,
    round((sum(cost_usd) FILTER (WHERE billing = 'subscription'))::numeric, 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete
FROM completion_requests
WHERE timestamp >= {window}
GROUP BY host_id
ORDER BY requests DESC
