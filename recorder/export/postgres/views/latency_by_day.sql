-- For each day of all time and model: time to the first token, whole time and tokens a second.
SELECT day, times.*
FROM active_days CROSS JOIN LATERAL (
    SELECT model, count(*) AS requests,
        (percentile_disc(0.5) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS first_token_p50_ms,
        (percentile_disc(0.95) WITHIN GROUP (ORDER BY time_to_first_token_ms))::float8 AS first_token_p95_ms,
        (percentile_disc(0.5) WITHIN GROUP (ORDER BY response_time_ms))::float8 AS response_p50_ms,
        (percentile_disc(0.95) WITHIN GROUP (ORDER BY response_time_ms))::float8 AS response_p95_ms,
        round((percentile_disc(0.5) WITHIN GROUP (ORDER BY tokens_per_second))::numeric, 1) AS tokens_per_second_p50
    FROM completion_requests
    WHERE timestamp >= day_from AND timestamp < day_to
    GROUP BY model
) AS times
ORDER BY day DESC, requests DESC
