-- Answers by another model than the one asked for, over all time: how many calls, from when to when, and what those cost
-- of which both prices are known (compared), beside what the model asked for would have cost. Within a minute after a call.
SELECT nullif(provider, '') AS provider, model, response_model, sum(calls) AS calls, min(first_at) AS first_at,
    max(last_at) AS last_at, sum(compared) AS compared,
    CASE WHEN sum(compared) THEN round(sum(cost_usd), 6) END AS cost_usd,
    CASE WHEN sum(compared) THEN round(sum(asked_usd), 6) END AS asked_usd,
    CASE WHEN sum(compared) THEN round(sum(cost_usd) - sum(asked_usd), 6) END AS difference_usd
FROM model_answers
WHERE substituted
GROUP BY provider, model, response_model
ORDER BY last_at DESC, calls DESC
