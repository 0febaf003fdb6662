-- windows: last_24h, last_7d
-- For each provider and model: of the calls whose provider says how long it worked, how long that was, and what came
-- on top for network and queues. What a header says is set against the first byte, what a body says against the last.
-- Cut out with instr() and not json_extract(), which older SQLite does not trust in a view.
WITH known(name, in_ms, is_header, priority) AS (
    VALUES ('"openai-processing-ms":', 1.0, 1, 1), ('"x-amzn-bedrock-invocation-latency":', 1.0, 1, 2),
        ('"x-envoy-upstream-service-time":', 1.0, 1, 3), ('"latencyMs":', 1.0, 0, 4),
        ('"total_duration":', 0.000001, 0, 5), ('"total_time":', 1000.0, 0, 6)
), stated AS (
    SELECT provider, model, upload_ms, connect_ms, time_to_first_byte_ms, response_time_ms, server_timing, (
        SELECT priority FROM known WHERE instr(server_timing, name) ORDER BY priority LIMIT 1) AS best
    FROM completion_requests
    WHERE timestamp >= {since} AND server_timing IS NOT NULL
), calls AS (
    SELECT provider, model, upload_ms, connect_ms,
        CASE WHEN is_header THEN time_to_first_byte_ms ELSE response_time_ms END AS seen_ms,
        in_ms * CAST(substr(server_timing, instr(server_timing, name) + length(name)) AS REAL) AS provider_ms
    FROM stated JOIN known ON priority = best
)
SELECT provider, model, count(*) AS requests, round(avg(seen_ms), 1) AS seen_ms,
    round(avg(provider_ms), 1) AS provider_ms, round(avg(seen_ms - provider_ms), 1) AS network_and_queue_ms,
    round(avg(upload_ms), 1) AS upload_ms, count(connect_ms) AS connections, round(avg(connect_ms), 1) AS connect_ms
FROM calls WHERE seen_ms IS NOT NULL
GROUP BY provider, model
ORDER BY requests DESC
