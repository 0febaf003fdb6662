-- windows: last_hour, last_24h, last_7d
-- For each type of error: how many calls, since when, and the last of them.
SELECT error_type, calls, first_at, last_at, last_status_code, last_model, last_origin, last_message
FROM (
    SELECT DISTINCT ON (error_type) error_type, count(*) OVER of_type AS calls, min(timestamp) OVER of_type AS first_at,
        timestamp AS last_at, status_code AS last_status_code, model AS last_model, origin AS last_origin,
        error_message AS last_message
    FROM completion_requests
    WHERE timestamp >= {window} AND NOT success
    WINDOW of_type AS (PARTITION BY error_type)
    ORDER BY error_type, timestamp DESC
) AS last
ORDER BY calls DESC
