-- windows: last_24h, last_7d
-- For each label and value: calls, failures, tokens and cost. A call with several labels stands under each of them. Costs
-- are of keys; plan_cost_usd is what a plan's calls would have cost. Of cost_incomplete calls the cost is a lower bound or
-- unknown: cost_notes says why.
-- Cut out and not read as JSON, since what a column of text holds may be none. Names of labels have no signs to escape.
SELECT said[1] AS label, replace(replace(said[2], '\"', '"'), '\\', '\') AS value, count(*) AS requests,
    count(*) FILTER (WHERE NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round((sum(cost_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6) AS cost_usd,
    count(cost_usd) AS priced, max(timestamp) AS last_at,
    round((sum(cost_usd) FILTER (WHERE billing = 'subscription'))::numeric, 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete
FROM completion_requests CROSS JOIN regexp_matches(labels, '"([a-z0-9_.-]+)":"((?:[^"\\]|\\.)*)"', 'g') AS said
WHERE timestamp >= {window} AND labels IS NOT NULL
GROUP BY said[1], said[2]
ORDER BY label, cost_usd DESC NULLS LAST, requests DESC
