-- windows: last_hour, last_24h, last_7d
-- For each class of errors: how many calls, of how many models, in how many of the providers' own words, and the last of
-- them. SQLite takes the other columns of a row with max() from the row that has the maximum.
SELECT error_class, count(*) AS calls, count(DISTINCT model) AS model_count, count(DISTINCT error_type) AS type_count,
    max(timestamp) AS last_at, error_type AS last_type, model AS last_model, origin AS last_origin,
    error_message AS last_message
FROM call_errors
WHERE timestamp >= {window}
GROUP BY error_class
ORDER BY calls DESC
