-- As cost_notes_last_24h for each day of all time.
SELECT day, calls.*
FROM active_days CROSS JOIN LATERAL (
    SELECT cost_note, provider, model, count(*) AS calls, count(cost_usd) AS lower_bounds,
        round(sum(cost_usd)::numeric, 6) AS cost_usd
    FROM completion_requests
    WHERE timestamp >= day_from AND timestamp < day_to AND cost_note IS NOT NULL
    GROUP BY cost_note, provider, model
) AS calls
ORDER BY day DESC, calls DESC
