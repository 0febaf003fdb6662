-- windows: last_24h, last_7d
-- For each session: who called what for, in how many calls, from when to when, with which tokens and cost. A pause is a
-- time in which none of its calls was under way. Of cost_incomplete calls the cost is a lower bound or unknown.
SELECT session_id, max(agent) AS agent, max(project) AS project, max(origin) AS origin, count(*) AS requests,
    count(*) FILTER (WHERE request_kind = 'main') AS main,
    count(*) FILTER (WHERE request_kind = 'subagent') AS subagent,
    count(*) FILTER (WHERE request_kind = 'auxiliary') AS auxiliary,
    count(*) FILTER (WHERE request_kind = 'compaction') AS compaction,
    count(*) FILTER (WHERE request_kind = 'prewarm') AS prewarm,
    sum(NOT success) AS errors, min(timestamp) AS first_at, max(timestamp) AS last_at,
    CAST(round(86400000 * max(max(pause), 0)) AS INTEGER) AS longest_pause_ms,
    group_concat(DISTINCT model) AS models, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round(100.0 * sum(cached_tokens) / sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 1) AS cached_percent,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd,
    round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd, count(cost_note) AS cost_incomplete
FROM (
    SELECT session_id, timestamp, success, agent, project, origin, request_kind, model, prompt_tokens, cached_tokens,
        completion_tokens, cost_usd, billing, cost_note,
        julianday(timestamp) - max(julianday(timestamp) + response_time_ms / 86400000.0) OVER (
            PARTITION BY +session_id ORDER BY timestamp, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS pause
    FROM completion_requests
    WHERE timestamp >= {window} AND +session_id IS NOT NULL
)
GROUP BY session_id
ORDER BY last_at DESC
