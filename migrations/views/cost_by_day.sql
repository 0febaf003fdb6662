-- For each day, model and origin, over all time, from the roll-up: calls, tokens and cost, and how many calls have one.
-- Costs are of keys; plan_cost_usd is what a plan's calls would have cost. Of cost_incomplete calls the cost is a lower
-- bound or unknown: cost_notes_by_day says why.
SELECT calls.period AS day, nullif(calls.model, '') AS model, nullif(calls.origin, '') AS origin, requests,
    costs.priced, prompt_tokens, completion_tokens, calls.cost_usd, plan_cost_usd, cost_incomplete
FROM (
    SELECT period, model, origin, sum(calls) AS requests,
        CASE WHEN sum(prompt_tokens_known) THEN CAST(total(prompt_tokens) AS INTEGER) END AS prompt_tokens,
        CASE WHEN sum(completion_tokens_known) THEN CAST(total(completion_tokens) AS INTEGER) END AS completion_tokens,
        CASE WHEN sum(cost_usd_known) THEN round(total(cost_usd), 6) END AS cost_usd
    FROM calls_by_span WHERE span = 'day' GROUP BY period, model, origin
) AS calls LEFT JOIN (
    SELECT period, model, origin, sum(cost_usd_known) AS priced,
        sum(CASE WHEN cost_note <> '' THEN calls ELSE 0 END) AS cost_incomplete,
        CASE WHEN sum(CASE WHEN billing = 'subscription' THEN cost_usd_known END)
            THEN round(total(CASE WHEN billing = 'subscription' THEN cost_usd END), 6) END AS plan_cost_usd
    FROM costs_by_span WHERE span = 'day' GROUP BY period, model, origin
) AS costs ON costs.period = calls.period AND costs.model = calls.model AND costs.origin = calls.origin
ORDER BY day DESC, calls.cost_usd DESC
