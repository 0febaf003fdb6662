-- Calls that could not be recorded: how many, from when to when, and why. Empty is good.
SELECT at, process, detail AS cause, count AS calls, from_at, to_at FROM recorder_events
WHERE kind = 'gap'
ORDER BY id DESC
