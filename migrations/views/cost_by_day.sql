-- For each day, model and origin, over all time, from the roll-up: calls, tokens and cost, and how many calls have one.
SELECT period AS day, nullif(model, '') AS model, nullif(origin, '') AS origin, sum(calls) AS requests,
    sum(cost_usd_known) AS priced,
    CASE WHEN sum(prompt_tokens_known) THEN CAST(total(prompt_tokens) AS INTEGER) END AS prompt_tokens,
    CASE WHEN sum(completion_tokens_known) THEN CAST(total(completion_tokens) AS INTEGER) END AS completion_tokens,
    CASE WHEN sum(cost_usd_known) THEN round(total(cost_usd), 6) END AS cost_usd
FROM calls_by_span WHERE span = 'day'
GROUP BY period, calls_by_span.model, calls_by_span.origin
ORDER BY day DESC, cost_usd DESC
