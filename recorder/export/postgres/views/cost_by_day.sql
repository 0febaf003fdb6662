-- For each day, model and origin, over all time: calls, tokens and cost, and how many calls have one. Costs are of keys; plan_cost_usd is what a plan's calls
-- would have cost. Of cost_incomplete calls the cost is a lower bound or unknown: cost_notes_by_day says why.
SELECT day, calls.*
FROM active_days CROSS JOIN LATERAL (
    SELECT model, origin, count(*) AS requests, count(cost_usd) AS priced, sum(prompt_tokens) AS prompt_tokens,
        sum(completion_tokens) AS completion_tokens,
        round((sum(cost_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6) AS cost_usd,
        round((sum(cost_usd) FILTER (WHERE billing = 'subscription'))::numeric, 6) AS plan_cost_usd,
        count(cost_note) AS cost_incomplete
    FROM completion_requests
    WHERE timestamp >= day_from AND timestamp < day_to
    GROUP BY model, origin
) AS calls
ORDER BY day DESC, cost_usd DESC NULLS LAST
