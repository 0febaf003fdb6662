-- As model_summary_last_24h over all time, from the roll-up, so also of rows that were pruned; percentiles within 3.2 %.
WITH sums AS (
    SELECT model, sum(calls) AS requests, sum(calls * NOT success) AS errors,
        CASE WHEN sum(prompt_tokens_known) THEN CAST(total(prompt_tokens) AS INTEGER) END AS prompt_tokens,
        CASE WHEN sum(cached_tokens_known) THEN CAST(total(cached_tokens) AS INTEGER) END AS cached_tokens,
        CASE WHEN sum(completion_tokens_known) THEN CAST(total(completion_tokens) AS INTEGER) END AS completion_tokens,
        CASE WHEN sum(cost_usd_known) THEN round(total(cost_usd), 6) END AS cost_usd
    FROM calls_by_span WHERE span = 'month' GROUP BY model
), costs AS (
    SELECT model, sum(CASE WHEN cost_note <> '' THEN calls ELSE 0 END) AS cost_incomplete,
        CASE WHEN sum(CASE WHEN billing = 'subscription' THEN cost_usd_known END)
            THEN round(total(CASE WHEN billing = 'subscription' THEN cost_usd END), 6) END AS plan_cost_usd
    FROM costs_by_span WHERE span = 'month' GROUP BY model
), times AS (
    SELECT model, measure, value, sum(calls) AS calls FROM times_by_span
    WHERE span = 'month' AND measure IN ('time_to_first_token_ms', 'tokens_per_second')
    GROUP BY model, measure, value
), ranked AS (
    SELECT model, measure, value,
        1.0 * sum(calls) OVER (PARTITION BY model, measure ORDER BY value)
            / sum(calls) OVER (PARTITION BY model, measure) AS share
    FROM times
), percentiles AS (
    SELECT model,
        min(value) FILTER (WHERE measure = 'time_to_first_token_ms' AND share >= 0.5) AS first_token_p50_ms,
        min(value) FILTER (WHERE measure = 'time_to_first_token_ms' AND share >= 0.95) AS first_token_p95_ms,
        min(value) FILTER (WHERE measure = 'time_to_first_token_ms' AND share >= 0.99) AS first_token_p99_ms,
        min(value) FILTER (WHERE measure = 'tokens_per_second' AND share >= 0.5) AS tokens_per_second_p50
    FROM ranked GROUP BY model
)
SELECT nullif(sums.model, '') AS model, requests, errors, round(100.0 * errors / requests, 2) AS error_percent,
    prompt_tokens, cached_tokens, completion_tokens, cost_usd, round(first_token_p50_ms) AS first_token_p50_ms,
    round(first_token_p95_ms) AS first_token_p95_ms, round(first_token_p99_ms) AS first_token_p99_ms,
    round(tokens_per_second_p50, 1) AS tokens_per_second_p50, plan_cost_usd, cost_incomplete
FROM sums LEFT JOIN percentiles ON percentiles.model = sums.model LEFT JOIN costs ON costs.model = sums.model
ORDER BY requests DESC
