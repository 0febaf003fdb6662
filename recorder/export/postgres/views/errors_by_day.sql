-- For each day, model and type of error with its class, over all time: how many calls failed.
SELECT day, failed.*
FROM active_days CROSS JOIN LATERAL (
    SELECT model, error_type, count(*) AS calls, error_class
    FROM call_errors
    WHERE timestamp >= day_from AND timestamp < day_to
    GROUP BY model, error_type, error_class
) AS failed
ORDER BY day DESC, calls DESC
