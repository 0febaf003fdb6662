-- For each day, model and type of error, over all time: how many calls failed.
SELECT day, failed.*
FROM active_days CROSS JOIN LATERAL (
    SELECT model, error_type, count(*) AS calls
    FROM completion_requests
    WHERE timestamp >= day_from AND timestamp < day_to AND NOT success
    GROUP BY model, error_type
) AS failed
ORDER BY day DESC, calls DESC
