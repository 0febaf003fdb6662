-- windows: last_hour, last_24h, last_7d
-- For each type of error and its class: how many calls, since when, and the last of them. SQLite takes the other columns of
-- a row with max() from the row that has the maximum.
SELECT error_type, calls, first_at, last_at, status_code AS last_status_code, model AS last_model,
    origin AS last_origin, error_message AS last_message, error_class
FROM (
    SELECT error_type, error_class, count(*) AS calls, min(timestamp) AS first_at, max(timestamp) AS last_at, status_code,
        model, origin, error_message
    FROM call_errors
    WHERE timestamp >= {window}
    GROUP BY error_type, error_class)
ORDER BY calls DESC
