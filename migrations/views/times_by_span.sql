-- The times of the roll-up with those that it does not have yet: for each day or month (span), measure and model, how
-- many calls (calls) took how long (value). Values of the roll-up are within 3.2 %.
SELECT span, period, measure, value AS model, (1 << (bucket / 16)) * (16.5 + bucket % 16) / 256 AS value, calls
FROM rollup_times WHERE dimension = 'model'
UNION ALL
SELECT 'day', substr(timestamp, 1, 10), 'time_to_first_token_ms', ifnull(model, ''), time_to_first_token_ms, 1
FROM completion_requests WHERE time_to_first_token_ms IS NOT NULL
    AND id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
UNION ALL
SELECT 'day', substr(timestamp, 1, 10), 'response_time_ms', ifnull(model, ''), response_time_ms, 1
FROM completion_requests WHERE response_time_ms IS NOT NULL
    AND id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
UNION ALL
SELECT 'day', substr(timestamp, 1, 10), 'tokens_per_second', ifnull(model, ''), tokens_per_second, 1
FROM completion_requests WHERE tokens_per_second IS NOT NULL
    AND id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
UNION ALL
SELECT 'month', substr(timestamp, 1, 7), 'time_to_first_token_ms', ifnull(model, ''), time_to_first_token_ms, 1
FROM completion_requests WHERE time_to_first_token_ms IS NOT NULL
    AND id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
UNION ALL
SELECT 'month', substr(timestamp, 1, 7), 'response_time_ms', ifnull(model, ''), response_time_ms, 1
FROM completion_requests WHERE response_time_ms IS NOT NULL
    AND id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
UNION ALL
SELECT 'month', substr(timestamp, 1, 7), 'tokens_per_second', ifnull(model, ''), tokens_per_second, 1
FROM completion_requests WHERE tokens_per_second IS NOT NULL
    AND id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
