-- The roll-up of costs with the calls that it does not have yet: for each day or month (span), who pays (billing) and what
-- is lacking (cost_note). Of a group with a note, costs are lower bounds, and calls without one are unknown.
SELECT span, period, model, origin, provider, billing, cost_note, calls, cost_usd, cost_usd_known
FROM rollup_costs WHERE calls <> 0
UNION ALL
SELECT span, substr(timestamp, 1, length), ifnull(model, ''), ifnull(origin, ''), ifnull(provider, ''),
    ifnull(billing, ''), ifnull(cost_note, ''), count(*), total(cost_usd), count(cost_usd)
FROM (SELECT 'day' AS span, 10 AS length UNION ALL SELECT 'month', 7) CROSS JOIN completion_requests
WHERE id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
GROUP BY 1, 2, 3, 4, 5, 6, 7
