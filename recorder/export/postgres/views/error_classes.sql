-- windows: last_hour, last_24h, last_7d
-- For each class of errors: how many calls, of how many models, in how many of the providers' own words, and the last of
-- them.
SELECT error_class, count(*) AS calls, count(DISTINCT model) AS model_count, count(DISTINCT error_type) AS type_count,
    max(timestamp) AS last_at, (array_agg(error_type ORDER BY timestamp DESC))[1] AS last_type,
    (array_agg(model ORDER BY timestamp DESC))[1] AS last_model,
    (array_agg(origin ORDER BY timestamp DESC))[1] AS last_origin,
    (array_agg(error_message ORDER BY timestamp DESC))[1] AS last_message
FROM call_errors
WHERE timestamp >= {window}
GROUP BY error_class
ORDER BY calls DESC
