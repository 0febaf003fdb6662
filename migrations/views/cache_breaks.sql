-- windows: last_24h, last_7d
-- Calls of a session that read much less from the cache than the call before had left there: `lost_tokens` of what was
-- `expected_tokens`, and what that cost. docs/querying.md says how they are found, and what each cause means.
WITH usable AS NOT MATERIALIZED (
    -- Titles, compactions and the like are no part of the conversation that they are about.
    SELECT id, timestamp, session_id, agent_id, agent, agent_version, project, provider, model, billing, response_time_ms,
        prompt_tokens AS prompt, ifnull(completion_tokens, 0) AS output, cached_tokens AS cached,
        ifnull(cache_write_tokens, 0) AS written, cached_tokens + ifnull(cache_write_tokens, 0) AS reach,
        billed, cache_saved_usd, cache_spent_usd,
        julianday(timestamp) + coalesce(time_to_first_byte_ms, response_time_ms) / 86400000.0 AS answered,
        julianday(timestamp) + response_time_ms / 86400000.0 AS ended
    FROM completion_requests
    WHERE cached_tokens IS NOT NULL AND prompt_tokens > 0 AND success
        AND ifnull(request_kind, 'main') IN ('main', 'subagent')
), calls AS MATERIALIZED (
    SELECT id, timestamp, session_id, agent_id, model, cached, reach, lag(id) OVER conversation AS last_id,
        lag(model) OVER conversation AS last_model, lag(reach) OVER conversation AS last_reach
    FROM usable
    WHERE timestamp >= {window} AND +session_id IS NOT NULL
    WINDOW conversation AS (PARTITION BY +session_id, agent_id ORDER BY timestamp, id)
), fallen AS MATERIALIZED (
    -- The call before is the last one with the same model: each model has a cache of its own.
    SELECT calls.*, iif(model IS last_model, last_id, (
        SELECT earlier.id FROM usable AS earlier
        WHERE earlier.session_id = calls.session_id AND earlier.agent_id IS calls.agent_id
            AND earlier.model = calls.model AND earlier.timestamp >= {window} AND earlier.timestamp < calls.timestamp
        ORDER BY earlier.timestamp DESC LIMIT 1
    )) AS same_id
    FROM calls
    WHERE last_id IS NOT NULL AND (model IS NOT last_model OR (cached < 0.9 * last_reach AND last_reach - cached >= 1024))
), pairs AS MATERIALIZED (
    SELECT fallen.same_id, before.reach AS expected, min(before.reach, now.prompt) - now.cached AS lost,
        before.id AS before_id, before.timestamp AS before_at, before.prompt AS before_prompt,
        before.answered AS before_answered, before.ended AS before_ended, before.agent_version AS before_version,
        iif(before.model IS now.model, before.cache_saved_usd / nullif(before.cached, 0), NULL) AS usd_of_read,
        julianday(now.timestamp) AS began, now.*,
        (SELECT max(one.written) FROM usable AS one WHERE one.session_id = now.session_id
            AND one.agent_id IS now.agent_id AND one.model = now.model AND one.timestamp >= {window}) > 0 AS is_explicit
    FROM fallen
    JOIN usable AS now ON now.id = fallen.id
    JOIN usable AS before ON before.id = ifnull(fallen.same_id, fallen.last_id)
    WHERE now.cached < 0.9 * before.reach AND min(before.reach, now.prompt) - now.cached >= 1024
        AND iif(fallen.same_id IS NULL,
            -- Another model goes on with the conversation: what it has to read is about as long.
            julianday(now.timestamp) >= before.ended AND now.prompt * 2 >= before.prompt,
            -- What is under way at once cannot read what the other writes.
            julianday(now.timestamp) >= before.answered)
)
SELECT id, timestamp, session_id, agent_id, agent, project, provider, model,
    CASE
        WHEN same_id IS NULL THEN 'model_changed'
        WHEN prompt < 0.8 * before_prompt OR EXISTS (
            SELECT 1 FROM completion_requests AS one
            WHERE one.session_id = pairs.session_id AND one.request_kind = 'compaction'
                AND one.timestamp > before_at AND one.timestamp < pairs.timestamp
        ) THEN 'compaction'
        WHEN began - before_answered > CASE
            WHEN provider = 'deepseek' THEN 1.0
            WHEN EXISTS (
                SELECT 1 FROM usable AS one
                WHERE one.session_id = pairs.session_id AND one.agent_id IS pairs.agent_id AND one.model = pairs.model
                    AND one.timestamp >= {window} AND one.billed LIKE '%cache_write_1h_tokens%'
            ) THEN 1.0 / 24
            ELSE 5.0 / 1440
        END THEN 'expired'
        WHEN agent_version <> before_version THEN 'agent_changed'
        WHEN NOT is_explicit AND cached <= (
            SELECT one.cached FROM usable AS one
            WHERE one.session_id = pairs.session_id AND one.agent_id IS pairs.agent_id AND one.model = pairs.model
                AND one.timestamp >= {window}
            ORDER BY one.timestamp LIMIT 1
        ) THEN 'missed'
        ELSE 'edited'
    END AS cause,
    CAST(round(86400 * (began - before_answered)) AS INTEGER) AS idle_seconds, prompt AS prompt_tokens,
    cached AS cached_tokens, expected AS expected_tokens, lost AS lost_tokens,
    round(100.0 * cached / prompt, 1) AS cached_percent, billing,
    round(lost * coalesce(usd_of_read, (
        SELECT min(one.cache_saved_usd / one.cached) FROM usable AS one
        WHERE one.session_id = pairs.session_id AND one.agent_id IS pairs.agent_id AND one.model = pairs.model
            AND one.timestamp >= {window} AND one.cached > 0
    )) + min(lost, written) * ifnull(cache_spent_usd / nullif(written, 0), 0), 6) AS cost_usd
FROM pairs
WHERE NOT (is_explicit AND cached = 0 AND written = 0)
    -- One conversation makes one call after the other: what was under way beside others was not alone in this one.
    AND NOT EXISTS (
        SELECT 1 FROM usable AS one
        WHERE one.session_id = pairs.session_id AND one.agent_id IS pairs.agent_id AND one.timestamp >= {window}
            AND one.id NOT IN (pairs.id, before_id) AND one.timestamp < strftime('%Y-%m-%dT%H:%M:%fZ', pairs.ended)
            AND one.ended > julianday(before_at)
            AND (one.ended > pairs.began OR julianday(one.timestamp) < before_ended)
    )
    -- Where a later call goes on where the one before was, nothing was broken: this was another conversation.
    AND NOT EXISTS (
        SELECT 1 FROM usable AS later
        WHERE later.session_id = pairs.session_id AND later.agent_id IS pairs.agent_id AND later.model = pairs.model
            AND later.timestamp > pairs.timestamp AND later.cached > (
                SELECT max(one.prompt + one.output) FROM usable AS one
                WHERE one.session_id = pairs.session_id AND one.agent_id IS pairs.agent_id AND one.model = pairs.model
                    AND one.timestamp >= pairs.timestamp AND one.timestamp < later.timestamp
            )
    )
ORDER BY timestamp DESC
