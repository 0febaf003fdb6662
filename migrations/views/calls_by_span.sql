-- The roll-up with the calls that it does not have yet: for each day or month (span) and key, numbers and sums of calls.
-- '' stands for NULL in keys; a sum of which no value is known (_known) is unknown. Costs are those that are billed, and
-- not what a plan's calls would have cost: costs_by_span has both.
SELECT span, period, model, origin, provider, is_streaming, success, error_type, calls,
    prompt_tokens, prompt_tokens_known, completion_tokens, completion_tokens_known, total_tokens,
    total_tokens_known, cached_tokens, cached_tokens_known, cache_write_tokens, cache_write_tokens_known,
    reasoning_tokens, reasoning_tokens_known, cost_usd, cost_usd_known, response_time_ms, response_time_ms_known,
    time_to_first_token_ms, time_to_first_token_ms_known, time_to_last_token_ms, time_to_last_token_ms_known,
    tokens_per_second, tokens_per_second_known
FROM rollup_calls
UNION ALL
SELECT span, substr(timestamp, 1, length), ifnull(model, ''), ifnull(origin, ''), ifnull(provider, ''), is_streaming,
    success, ifnull(error_type, ''), count(*),
    total(prompt_tokens), count(prompt_tokens), total(completion_tokens), count(completion_tokens),
    total(total_tokens), count(total_tokens), total(cached_tokens), count(cached_tokens), total(cache_write_tokens),
    count(cache_write_tokens), total(reasoning_tokens), count(reasoning_tokens),
    total(iif(billing IS 'subscription', NULL, cost_usd)), count(iif(billing IS 'subscription', NULL, cost_usd)),
    total(response_time_ms), count(response_time_ms), total(time_to_first_token_ms), count(time_to_first_token_ms),
    total(time_to_last_token_ms), count(time_to_last_token_ms), total(tokens_per_second), count(tokens_per_second)
FROM (SELECT 'day' AS span, 10 AS length UNION ALL SELECT 'month', 7) CROSS JOIN completion_requests
WHERE id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
