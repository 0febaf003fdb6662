-- The roll-up of failed calls with those that it does not have yet: for each day or month (span), their class and the
-- provider's own word. '' stands for NULL in keys; calls from before version 7 of the schema have the class of their type.
SELECT span, period, model, origin, provider, coalesce(error_class, {class_of_error_type}) AS error_class, error_type,
    calls
FROM (
    SELECT span, period, model, origin, provider, nullif(error_class, '') AS error_class, error_type, calls
    FROM rollup_errors
    UNION ALL
    SELECT span, substr(timestamp, 1, length), ifnull(model, ''), ifnull(origin, ''), ifnull(provider, ''), error_class,
        ifnull(error_type, ''), count(*)
    FROM (SELECT 'day' AS span, 10 AS length UNION ALL SELECT 'month', 7) CROSS JOIN completion_requests
    WHERE id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0) AND NOT success
    GROUP BY 1, 2, 3, 4, 5, 6, 7)
