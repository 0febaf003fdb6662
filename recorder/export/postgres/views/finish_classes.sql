-- windows: last_24h, last_7d
-- For each model and class of ends, in one word for all providers: how many calls ended so, and in how much of the model's
-- calls of which the end is known.
SELECT model, finish_class, calls, round(100.0 * calls / sum(calls) OVER (PARTITION BY model), 2) AS percent
FROM (
    SELECT model, coalesce(finish_class, {class_of_finish_reason}) AS finish_class, count(*) AS calls
    FROM completion_requests
    WHERE timestamp >= {window} AND finish_reason IS NOT NULL
    GROUP BY 1, 2) AS ends
ORDER BY model, calls DESC
