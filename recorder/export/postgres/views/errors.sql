-- windows: last_hour, last_24h, last_7d
-- For each type of error and its class: how many calls, since when, and the last of them.
SELECT error_type, calls, first_at, last_at, last_status_code, last_model, last_origin, last_message, error_class
FROM (
    SELECT DISTINCT ON (error_type, error_class) error_type, error_class, count(*) OVER of_type AS calls,
        min(timestamp) OVER of_type AS first_at, timestamp AS last_at, status_code AS last_status_code,
        model AS last_model, origin AS last_origin, error_message AS last_message
    FROM call_errors
    WHERE timestamp >= {window}
    WINDOW of_type AS (PARTITION BY error_type, error_class)
    ORDER BY error_type, error_class, timestamp DESC
) AS last
ORDER BY calls DESC
