-- For each window of a limit that answers stated: what of it is used, when it resets, and when it is empty at the pace of
-- the last hour since it was refilled. empty_at is NULL where it resets before, or nothing was used. Of kind `plan` limit
-- and remaining are per cent. Windows that have reset since nobody has asked are left out.
WITH newest AS (
    SELECT provider, key_id, model, kind, quota_window, max(minute) AS minute
    FROM quota
    GROUP BY provider, key_id, model, kind, quota_window
), steps AS (
    SELECT quota.*, quota.minute = newest.minute AS is_last, quota.remaining > lag(quota.remaining) OVER of_window AS refilled
    FROM newest JOIN quota ON quota.provider = newest.provider AND quota.key_id = newest.key_id
        AND quota.model = newest.model AND quota.kind = newest.kind AND quota.quota_window = newest.quota_window
        AND quota.minute >= strftime('%Y-%m-%dT%H:%M', newest.minute || ':00', '-1 hour')
    WINDOW of_window AS (
        PARTITION BY quota.provider, quota.key_id, quota.model, quota.kind, quota.quota_window ORDER BY quota.minute
    )
), since AS (
    SELECT *, ifnull(sum(refilled) OVER later, 0) AS refilled_later
    FROM steps
    WINDOW later AS (
        PARTITION BY provider, key_id, model, kind, quota_window ORDER BY minute DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
), pace AS (
    SELECT provider, key_id, model, kind, quota_window, max(seen_at) AS seen_at,
        max(quota_limit) FILTER (WHERE is_last) AS quota_limit, max(remaining) FILTER (WHERE is_last) AS remaining,
        max(resets_at) FILTER (WHERE is_last) AS resets_at,
        (max(remaining) - min(remaining)) / nullif(julianday(max(seen_at)) - julianday(min(seen_at)), 0) AS used_a_day
    FROM since WHERE refilled_later = 0
    GROUP BY provider, key_id, model, kind, quota_window
), headroom AS (
    SELECT *, CASE WHEN used_a_day > 0 AND remaining / used_a_day < 400 THEN
        strftime('%Y-%m-%dT%H:%M:%fZ', julianday(seen_at) + remaining / used_a_day) END AS empty_at
    FROM pace
)
SELECT provider, nullif(key_id, '') AS key_id, nullif(model, '') AS model, kind, nullif(quota_window, '') AS quota_window,
    quota_limit - remaining AS used, quota_limit, remaining,
    round(100.0 * (quota_limit - remaining) / quota_limit, 1) AS used_percent, resets_at,
    CASE WHEN resets_at IS NULL OR empty_at < resets_at THEN empty_at END AS empty_at, seen_at
FROM headroom
WHERE resets_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    OR seen_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')
        AND ifnull(julianday(resets_at) - julianday(seen_at) < 2.0 / 1440, 1)
ORDER BY used_percent DESC, provider, key_id, model, kind, quota_window
