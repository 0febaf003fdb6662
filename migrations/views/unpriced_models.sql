-- Models of the last 30 days whose calls have tokens, and none has a price: name one in prices.toml.
SELECT nullif(provider, '') AS provider, nullif(model, '') AS model, sum(calls) AS requests,
    CAST(total(prompt_tokens) AS INTEGER) AS prompt_tokens, CAST(total(completion_tokens) AS INTEGER) AS completion_tokens,
    max(period) AS last_day
FROM calls_by_span
WHERE span = 'day' AND period > date('now', '-30 days')
GROUP BY calls_by_span.provider, calls_by_span.model
HAVING sum(prompt_tokens_known + completion_tokens_known) > 0 AND NOT EXISTS (
    SELECT 1 FROM costs_by_span AS costs
    WHERE costs.span = 'day' AND costs.period > date('now', '-30 days') AND costs.cost_usd_known > 0
        AND costs.provider = calls_by_span.provider AND costs.model = calls_by_span.model)
ORDER BY requests DESC
