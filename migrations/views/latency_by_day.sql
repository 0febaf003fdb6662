-- For each day and model, over all time, from the roll-up: time to the first token and whole time, within 3.2 %.
WITH ranked AS (
    SELECT period, model, measure, value, calls,
        1.0 * sum(calls) OVER (PARTITION BY period, model, measure ORDER BY value)
            / sum(calls) OVER (PARTITION BY period, model, measure) AS share
    FROM times_by_span
    WHERE span = 'day' AND measure IN ('time_to_first_token_ms', 'response_time_ms')
)
SELECT period AS day, nullif(model, '') AS model, sum(calls) FILTER (WHERE measure = 'response_time_ms') AS requests,
    round(min(value) FILTER (WHERE measure = 'time_to_first_token_ms' AND share >= 0.5)) AS first_token_p50_ms,
    round(min(value) FILTER (WHERE measure = 'time_to_first_token_ms' AND share >= 0.95)) AS first_token_p95_ms,
    round(min(value) FILTER (WHERE measure = 'response_time_ms' AND share >= 0.5)) AS response_p50_ms,
    round(min(value) FILTER (WHERE measure = 'response_time_ms' AND share >= 0.95)) AS response_p95_ms
FROM ranked GROUP BY period, model
ORDER BY day DESC, requests DESC
