-- windows: last_24h, last_7d
-- For each model: how much of the input was read from the provider's cache, of the calls whose provider says so.
SELECT model, count(cached_tokens) AS requests, count(*) FILTER (WHERE cached_tokens > 0) AS hits,
    sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
    sum(cache_write_tokens) AS cache_write_tokens,
    round(100.0 * sum(cached_tokens) / nullif(sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0), 1)
        AS cached_percent
FROM completion_requests
WHERE timestamp >= {window}
GROUP BY model
HAVING count(cached_tokens) > 0
ORDER BY prompt_tokens DESC NULLS LAST
