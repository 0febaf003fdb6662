-- For each day, model and type of error, over all time, from the roll-up: how many calls failed.
SELECT period AS day, nullif(model, '') AS model, nullif(error_type, '') AS error_type, sum(calls) AS calls
FROM calls_by_span WHERE span = 'day' AND NOT success
GROUP BY period, calls_by_span.model, calls_by_span.error_type
ORDER BY day DESC, calls DESC
