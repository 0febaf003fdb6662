-- windows: last_24h, last_7d
-- For each session: its calls in the window, from when to when, tokens and cost.
SELECT session_id, origin, count(*) AS requests, sum(NOT success) AS errors, min(timestamp) AS first_at,
    max(timestamp) AS last_at, group_concat(DISTINCT model) AS models, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd,
    round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd, count(cost_note) AS cost_incomplete
FROM completion_requests
WHERE timestamp >= {window} AND session_id IS NOT NULL
GROUP BY session_id
ORDER BY last_at DESC
