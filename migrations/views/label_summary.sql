-- windows: last_24h, last_7d
-- For each label and value: calls, failures, tokens and cost. A call with several labels stands under each of them. Costs
-- are of keys; plan_cost_usd is what a plan's calls would have cost. Of cost_incomplete calls the cost is a lower bound or
-- unknown: cost_notes says why.
SELECT label.key AS label, CAST(label.value AS TEXT) AS value, count(*) AS requests, sum(NOT success) AS errors,
    sum(prompt_tokens) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
    sum(completion_tokens) AS completion_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd, count(cost_usd) AS priced,
    max(timestamp) AS last_at, round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete
FROM completion_requests CROSS JOIN json_each(CASE WHEN json_valid(labels) THEN labels END) AS label
WHERE timestamp >= {window} AND labels IS NOT NULL
GROUP BY label.key, label.value
ORDER BY label, cost_usd DESC, requests DESC
