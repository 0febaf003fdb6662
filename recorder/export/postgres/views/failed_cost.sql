-- windows: last_24h, last_7d
-- For each model and type of error: what calls cost that failed, were cut or left, at least; and how many of them were
-- attempts after a first one.
SELECT model, error_type, count(*) AS calls, sum((retry_count > 0)::integer) AS retries,
    sum(prompt_tokens) AS prompt_tokens,
    round((sum(cost_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6) AS cost_usd,
    round((sum(cost_usd) FILTER (WHERE billing = 'subscription'))::numeric, 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete, error_class
FROM call_errors
WHERE timestamp >= {window} AND (cost_usd IS NOT NULL OR cost_note IS NOT NULL)
GROUP BY model, error_type, error_class
ORDER BY cost_usd DESC NULLS LAST, calls DESC
