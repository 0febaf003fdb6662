-- As cost_notes_last_24h for each day of all time, from the roll-up.
SELECT period AS day, cost_note, nullif(provider, '') AS provider, nullif(model, '') AS model, sum(calls) AS calls,
    sum(cost_usd_known) AS lower_bounds, CASE WHEN sum(cost_usd_known) THEN round(total(cost_usd), 6) END AS cost_usd
FROM costs_by_span WHERE span = 'day' AND cost_note <> ''
GROUP BY period, cost_note, costs_by_span.provider, costs_by_span.model
ORDER BY day DESC, calls DESC
