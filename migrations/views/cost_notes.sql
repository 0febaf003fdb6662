-- windows: last_24h, last_7d
-- For each reason for which costs are lower bounds or unknown, and model: how many calls, and what is known of them.
SELECT cost_note, provider, model, count(*) AS calls, count(cost_usd) AS lower_bounds,
    round(sum(cost_usd), 6) AS cost_usd
FROM completion_requests
WHERE timestamp >= {window} AND cost_note IS NOT NULL
GROUP BY cost_note, provider, model
ORDER BY calls DESC
