-- windows: last_24h, last_7d
-- For each origin: calls, failures, tokens and cost.
SELECT origin, count(*) AS requests, count(*) FILTER (WHERE NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round(sum(cost_usd)::numeric, 6) AS cost_usd, count(cost_usd) AS priced, max(timestamp) AS last_at
FROM completion_requests
WHERE timestamp >= {window}
GROUP BY origin
ORDER BY cost_usd DESC NULLS LAST, requests DESC
