-- windows: last_24h, last_7d
-- For each model: what reads from the provider's cache saved, what writes to it cost beyond plain input, and what is left.
-- Of `unpriced` calls that used a cache nobody knows the price, or they are of before version 8 of the schema. A plan's
-- calls are apart: nobody pays for them.
SELECT model, provider, count(*) AS requests, sum(cached_tokens) AS cached_tokens,
    sum(cache_write_tokens) AS cache_write_tokens,
    round((sum(cache_saved_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6) AS saved_usd,
    round((sum(cache_spent_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6) AS spent_usd,
    round((sum(cache_saved_usd - cache_spent_usd) FILTER (WHERE billing IS DISTINCT FROM 'subscription'))::numeric, 6)
        AS net_usd,
    round((sum(cache_saved_usd - cache_spent_usd) FILTER (WHERE billing = 'subscription'))::numeric, 6) AS plan_net_usd,
    count(*) - count(cache_saved_usd) AS unpriced
FROM completion_requests
WHERE timestamp >= {window} AND (cached_tokens > 0 OR cache_write_tokens > 0)
GROUP BY model, provider
ORDER BY saved_usd DESC NULLS LAST, requests DESC
