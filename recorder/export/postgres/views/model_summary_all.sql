-- As model_summary_last_24h over all time. Reads all rows.
SELECT model, count(*) AS requests, count(*) FILTER (WHERE NOT success) AS errors,
    round(100.0 * count(*) FILTER (WHERE NOT success) / count(*), 2) AS error_percent,
    sum(prompt_tokens) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
    sum(completion_tokens) AS completion_tokens,
    round((sum(cost_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6) AS cost_usd,
    (percentile_disc(0.5) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS first_token_p50_ms,
    (percentile_disc(0.95) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS first_token_p95_ms,
    (percentile_disc(0.99) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS first_token_p99_ms,
    round((percentile_disc(0.5) WITHIN GROUP (ORDER BY tokens_per_second))::numeric, 1) AS tokens_per_second_p50,
    round((sum(cost_usd) FILTER (WHERE billing = 'subscription'))::numeric, 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete
FROM completion_requests
GROUP BY model
ORDER BY requests DESC
