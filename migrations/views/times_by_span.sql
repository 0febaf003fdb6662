-- The roll-up's times, counted: for each hour, day or month (span), measure and model, how many calls (calls) took about
-- how long (value), within 3.2 %.
SELECT span, period, measure, rollup_times.value AS model,
    (1 << (CAST(counted.key AS INTEGER) / 16)) * (16.5 + CAST(counted.key AS INTEGER) % 16) / 256 AS value,
    counted.value AS calls
FROM rollup_times, json_each(rollup_times.counts) AS counted
WHERE dimension = 'model'
