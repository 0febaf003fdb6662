-- Calls that a recorder could not record: how many, from when to when, and why. Empty is good.
SELECT at, process, detail AS cause, count AS calls, from_at, to_at, host_id FROM recorder_events
WHERE kind = 'gap'
ORDER BY at DESC, id DESC
