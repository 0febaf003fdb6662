-- windows: last_24h, last_7d
-- For each hour and model: calls, time to the first token, whole time, decode rate. Percentiles by nearest rank.
WITH calls AS (
    SELECT substr(timestamp, 1, 13) || ':00Z' AS hour, model, time_to_first_token_ms, response_time_ms, tokens_per_second
    FROM completion_requests
    WHERE timestamp >= {since}
), first_token AS (
    SELECT hour, model, time_to_first_token_ms AS ms,
        cume_dist() OVER (PARTITION BY hour, model ORDER BY time_to_first_token_ms) AS share
    FROM calls WHERE time_to_first_token_ms IS NOT NULL
), first_token_of AS (
    SELECT hour, model, min(ms) FILTER (WHERE share >= 0.5) AS p50, min(ms) FILTER (WHERE share >= 0.95) AS p95
    FROM first_token GROUP BY hour, model
), response AS (
    SELECT hour, model, response_time_ms AS ms,
        cume_dist() OVER (PARTITION BY hour, model ORDER BY response_time_ms) AS share
    FROM calls
), response_of AS (
    SELECT hour, model, count(*) AS requests, min(ms) FILTER (WHERE share >= 0.5) AS p50,
        min(ms) FILTER (WHERE share >= 0.95) AS p95
    FROM response GROUP BY hour, model
), rate_of AS (
    SELECT hour, model, avg(tokens_per_second) AS mean FROM calls GROUP BY hour, model
)
SELECT response_of.hour, response_of.model, requests, first_token_of.p50 AS first_token_p50_ms,
    first_token_of.p95 AS first_token_p95_ms, response_of.p50 AS response_p50_ms, response_of.p95 AS response_p95_ms,
    round(rate_of.mean, 1) AS tokens_per_second
FROM response_of
    LEFT JOIN first_token_of ON first_token_of.hour = response_of.hour AND first_token_of.model IS response_of.model
    LEFT JOIN rate_of ON rate_of.hour = response_of.hour AND rate_of.model IS response_of.model
ORDER BY response_of.hour DESC, requests DESC
