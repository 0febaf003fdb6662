-- windows: last_hour, last_24h, last_7d
-- For each model: calls, failures, tokens, cost, time to the first token and decode rate. Percentiles by nearest rank.
WITH calls AS (
    SELECT model, success, prompt_tokens, cached_tokens, completion_tokens, cost_usd, billing, cost_note,
        time_to_first_token_ms, tokens_per_second
    FROM completion_requests
    WHERE timestamp >= {window}
), first_token AS (
    SELECT model, time_to_first_token_ms AS ms,
        cume_dist() OVER (PARTITION BY model ORDER BY time_to_first_token_ms) AS share
    FROM calls WHERE time_to_first_token_ms IS NOT NULL
), first_token_of AS (
    SELECT model, min(ms) FILTER (WHERE share >= 0.5) AS p50, min(ms) FILTER (WHERE share >= 0.95) AS p95,
        min(ms) FILTER (WHERE share >= 0.99) AS p99
    FROM first_token GROUP BY model
), rate AS (
    SELECT model, tokens_per_second AS per_second,
        cume_dist() OVER (PARTITION BY model ORDER BY tokens_per_second) AS share
    FROM calls WHERE tokens_per_second IS NOT NULL
), rate_of AS (
    SELECT model, min(per_second) FILTER (WHERE share >= 0.5) AS p50 FROM rate GROUP BY model
), sums AS (
    SELECT model, count(*) AS requests, sum(NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
        sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
        sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription') AS cost_usd,
        sum(cost_usd) FILTER (WHERE billing = 'subscription') AS plan_cost_usd, count(cost_note) AS cost_incomplete
    FROM calls GROUP BY model
)
SELECT sums.model, requests, errors, round(100.0 * errors / requests, 2) AS error_percent, prompt_tokens, cached_tokens,
    completion_tokens, round(cost_usd, 6) AS cost_usd, first_token_of.p50 AS first_token_p50_ms,
    first_token_of.p95 AS first_token_p95_ms, first_token_of.p99 AS first_token_p99_ms,
    round(rate_of.p50, 1) AS tokens_per_second_p50, round(plan_cost_usd, 6) AS plan_cost_usd, cost_incomplete
FROM sums
    LEFT JOIN first_token_of ON first_token_of.model IS sums.model
    LEFT JOIN rate_of ON rate_of.model IS sums.model
ORDER BY requests DESC
