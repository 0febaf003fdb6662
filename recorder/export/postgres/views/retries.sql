-- windows: last_24h, last_7d
-- For each provider and origin: calls that were attempts after a first one, refusals for too many, and how near the
-- limits came.
SELECT provider, origin, count(*) AS requests, count(*) FILTER (WHERE retry_count > 0) AS retries,
    max(retry_count) AS most_retries, count(*) FILTER (WHERE status_code = 429) AS rate_limited,
    max(retry_after_ms) AS longest_retry_after_ms, min(rate_limit_remaining_requests) AS least_remaining_requests,
    min(rate_limit_remaining_tokens) AS least_remaining_tokens
FROM completion_requests
WHERE timestamp >= {window}
GROUP BY provider, origin
HAVING count(*) FILTER (WHERE retry_count > 0 OR status_code = 429) > 0
ORDER BY rate_limited DESC, retries DESC
