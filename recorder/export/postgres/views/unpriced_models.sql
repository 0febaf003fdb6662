-- Models of the last 30 days whose calls have tokens, and none has a price: name one in prices.toml.
SELECT provider, model, count(*) AS requests, coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
    coalesce(sum(completion_tokens), 0) AS completion_tokens, (max(timestamp) AT TIME ZONE 'UTC')::date AS last_day
FROM completion_requests
WHERE timestamp >= date_trunc('day', now(), 'UTC') - interval '696 hours'
GROUP BY provider, model
HAVING count(prompt_tokens) + count(completion_tokens) > 0 AND count(cost_usd) = 0
ORDER BY requests DESC
