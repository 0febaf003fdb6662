-- windows: last_24h, last_7d
-- For each origin: calls, failures, tokens and cost. Costs are of keys; plan_cost_usd is what a plan's calls
-- would have cost. Of cost_incomplete calls the cost is a lower bound or unknown: cost_notes says why.
SELECT origin, count(*) AS requests, sum(NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd, count(cost_usd) AS priced,
    max(timestamp) AS last_at, round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete
FROM completion_requests
WHERE timestamp >= {window}
GROUP BY origin
ORDER BY cost_usd DESC, requests DESC
