-- Models of which no call has a price though its tokens are known, of the last 30 days.
SELECT provider, model, count(*) AS requests, sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens, max(timestamp) AS last_at
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-30 days') AND cost_usd IS NULL
    AND coalesce(prompt_tokens, completion_tokens, total_tokens) IS NOT NULL
GROUP BY provider, model
ORDER BY requests DESC
