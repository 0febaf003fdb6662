-- windows: last_24h, last_7d
-- For each provider and model: of the calls whose provider says how long it worked, how long that was, and what came
-- on top for network and queues. What a header says is set against the first byte, what a body says against the last.
WITH calls AS (
    SELECT provider, model, upload_ms, connect_ms, time_to_first_byte_ms, response_time_ms,
        coalesce(
            json_extract(server_timing, '$."openai-processing-ms"'),
            json_extract(server_timing, '$."x-envoy-upstream-service-time"'),
            json_extract(server_timing, '$."x-amzn-bedrock-invocation-latency"')) AS until_first_byte_ms,
        coalesce(
            json_extract(server_timing, '$.latencyMs'),
            json_extract(server_timing, '$.total_duration') / 1000000.0,
            json_extract(server_timing, '$.total_time') * 1000.0) AS until_last_byte_ms
    FROM completion_requests
    WHERE timestamp >= {since} AND json_valid(server_timing)
), stated AS (
    SELECT provider, model, upload_ms, connect_ms, coalesce(until_first_byte_ms, until_last_byte_ms) AS provider_ms,
        CASE WHEN until_first_byte_ms IS NULL THEN response_time_ms ELSE time_to_first_byte_ms END AS seen_ms
    FROM calls
)
SELECT provider, model, count(*) AS requests, round(avg(seen_ms), 1) AS seen_ms,
    round(avg(provider_ms), 1) AS provider_ms, round(avg(seen_ms - provider_ms), 1) AS network_and_queue_ms,
    round(avg(upload_ms), 1) AS upload_ms, count(connect_ms) AS connections, round(avg(connect_ms), 1) AS connect_ms
FROM stated WHERE provider_ms IS NOT NULL AND seen_ms IS NOT NULL
GROUP BY provider, model
ORDER BY requests DESC
