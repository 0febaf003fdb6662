-- For each model: time to the first token in the last 7 days, today included, beside the 7 days before. Most slowed down
-- first.
WITH weeks AS (
    SELECT model, timestamp >= date_trunc('day', now(), 'UTC') - interval '144 hours' AS is_this_week, count(*) AS calls,
        (percentile_disc(0.5) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS p50,
        (percentile_disc(0.95) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS p95
    FROM completion_requests
    WHERE timestamp >= date_trunc('day', now(), 'UTC') - interval '312 hours' AND time_to_first_token_ms IS NOT NULL
    GROUP BY 1, 2
)
SELECT this.model, this.calls AS streams, round(this.p50) AS first_token_p50_ms, round(before.p50) AS p50_week_before_ms,
    round((100.0 * this.p50 / nullif(before.p50, 0) - 100)::numeric, 1) AS change_percent,
    round(this.p95) AS first_token_p95_ms, round(before.p95) AS p95_week_before_ms
FROM weeks AS this
    LEFT JOIN weeks AS before ON before.model IS NOT DISTINCT FROM this.model AND NOT before.is_this_week
WHERE this.is_this_week
ORDER BY change_percent DESC NULLS LAST
