-- For each model: time to the first token in the last 7 days, today included, beside the 7 days before, from the
-- roll-up, within 3.2 %. Most slowed down first.
WITH times AS (
    SELECT model, period > date('now', '-7 days') AS is_this_week, value, sum(calls) AS calls
    FROM times_by_span
    WHERE span = 'day' AND measure = 'time_to_first_token_ms' AND period > date('now', '-14 days')
    GROUP BY 1, 2, 3
), ranked AS (
    SELECT model, is_this_week, value, calls,
        1.0 * sum(calls) OVER (PARTITION BY model, is_this_week ORDER BY value)
            / sum(calls) OVER (PARTITION BY model, is_this_week) AS share
    FROM times
), weeks AS (
    SELECT model, is_this_week, sum(calls) AS calls, min(value) FILTER (WHERE share >= 0.5) AS p50,
        min(value) FILTER (WHERE share >= 0.95) AS p95
    FROM ranked GROUP BY model, is_this_week
)
SELECT nullif(now.model, '') AS model, now.calls AS streams, round(now.p50) AS first_token_p50_ms,
    round(before.p50) AS p50_week_before_ms, round(100.0 * now.p50 / before.p50 - 100, 1) AS change_percent,
    round(now.p95) AS first_token_p95_ms, round(before.p95) AS p95_week_before_ms
FROM weeks AS now LEFT JOIN weeks AS before ON before.model = now.model AND NOT before.is_this_week
WHERE now.is_this_week
ORDER BY change_percent DESC
