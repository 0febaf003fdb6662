-- spans: hour, day
-- For each hour of the last eight days, or each day of all time, and model, from the roll-up: time to the first token,
-- whole time and tokens a second. Percentiles are within 3.2 %; the last minute is not in them yet.
SELECT whole.period AS {span}, nullif(whole.value, '') AS model, whole.calls AS requests,
    round(first_token.p50) AS first_token_p50_ms, round(first_token.p95) AS first_token_p95_ms,
    round(whole.p50) AS response_p50_ms, round(whole.p95) AS response_p95_ms,
    round(rate.p50, 1) AS tokens_per_second_p50
FROM rollup_times AS whole
    LEFT JOIN rollup_times AS first_token
        ON first_token.span = '{span}' AND first_token.period = whole.period
        AND first_token.measure = 'time_to_first_token_ms' AND first_token.dimension = 'model'
        AND first_token.value = whole.value
    LEFT JOIN rollup_times AS rate
        ON rate.span = '{span}' AND rate.period = whole.period
        AND rate.measure = 'tokens_per_second' AND rate.dimension = 'model' AND rate.value = whole.value
WHERE whole.span = '{span}' AND whole.measure = 'response_time_ms' AND whole.dimension = 'model'
ORDER BY whole.period DESC, requests DESC
