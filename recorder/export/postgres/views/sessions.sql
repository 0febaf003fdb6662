-- windows: last_24h, last_7d
-- For each session: its calls in the window, from when to when, tokens and cost; the origin is that of the last.
SELECT session_id, (array_agg(origin ORDER BY timestamp DESC))[1] AS origin, count(*) AS requests,
    count(*) FILTER (WHERE NOT success) AS errors, min(timestamp) AS first_at, max(timestamp) AS last_at,
    string_agg(DISTINCT model, ',') AS models, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round((sum(cost_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6) AS cost_usd,
    round((sum(cost_usd) FILTER (WHERE billing = 'subscription'))::numeric, 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete
FROM completion_requests
WHERE timestamp >= {window} AND session_id IS NOT NULL
GROUP BY session_id
ORDER BY last_at DESC
