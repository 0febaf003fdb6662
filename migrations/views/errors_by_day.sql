-- For each day, model and type of error with its class, over all time, from the roll-up: how many calls failed.
SELECT period AS day, nullif(model, '') AS model, nullif(error_type, '') AS error_type, sum(calls) AS calls, error_class
FROM errors_by_span WHERE span = 'day'
GROUP BY period, errors_by_span.model, errors_by_span.error_type, error_class
ORDER BY day DESC, calls DESC
