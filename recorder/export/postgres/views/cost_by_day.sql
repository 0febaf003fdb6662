-- For each day, model and origin, over all time: calls, tokens and cost, and how many calls have one.
SELECT day, calls.*
FROM active_days CROSS JOIN LATERAL (
    SELECT model, origin, count(*) AS requests, count(cost_usd) AS priced, sum(prompt_tokens) AS prompt_tokens,
        sum(completion_tokens) AS completion_tokens, round(sum(cost_usd)::numeric, 6) AS cost_usd
    FROM completion_requests
    WHERE timestamp >= day_from AND timestamp < day_to
    GROUP BY model, origin
) AS calls
ORDER BY day DESC, cost_usd DESC NULLS LAST
