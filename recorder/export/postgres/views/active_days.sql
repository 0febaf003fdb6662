-- The days on which there were calls, from one to the next through the index on timestamp: views of days join each with
-- its calls, so that a condition on their day leaves all other partitions alone.
WITH RECURSIVE days AS (
    SELECT date_trunc('day', min(timestamp), 'UTC') AS day FROM completion_requests
    UNION ALL
    SELECT (
        SELECT date_trunc('day', min(timestamp), 'UTC') FROM completion_requests
        WHERE timestamp >= days.day + interval '24 hours'
    ) FROM days WHERE day IS NOT NULL
)
SELECT day AS day_from, day + interval '24 hours' AS day_to, (day AT TIME ZONE 'UTC')::date AS day
FROM days WHERE day IS NOT NULL
