-- windows: last_24h, last_7d
-- For each provider and model: of the calls whose provider says how long it worked, how long that was, and what came
-- on top for network and queues. What a header says is set against the first byte, what a body says against the last.
-- Cut out and not read as JSON, since what a column of text holds may be none.
WITH stated AS (
    SELECT provider, model, upload_ms, connect_ms, time_to_first_byte_ms, response_time_ms, server_timing, CASE
            WHEN server_timing LIKE '%"openai-processing-ms":%' THEN 'openai-processing-ms'
            WHEN server_timing LIKE '%"x-amzn-bedrock-invocation-latency":%' THEN 'x-amzn-bedrock-invocation-latency'
            WHEN server_timing LIKE '%"x-envoy-upstream-service-time":%' THEN 'x-envoy-upstream-service-time'
            WHEN server_timing LIKE '%"latencyMs":%' THEN 'latencyMs'
            WHEN server_timing LIKE '%"total_duration":%' THEN 'total_duration'
            WHEN server_timing LIKE '%"total_time":%' THEN 'total_time'
        END AS name
    FROM completion_requests
    WHERE timestamp >= {window} AND server_timing IS NOT NULL
), calls AS (
    SELECT provider, model, upload_ms, connect_ms,
        CASE WHEN name IN ('latencyMs', 'total_duration', 'total_time') THEN response_time_ms
            ELSE time_to_first_byte_ms END AS seen_ms,
        CASE name WHEN 'total_duration' THEN 0.000001 WHEN 'total_time' THEN 1000.0 ELSE 1.0 END
            * coalesce(substring(server_timing FROM '"' || name || '":\s*(-?\d{1,18}(?:\.\d{1,18})?)')::float8, 0)
            AS provider_ms
    FROM stated WHERE name IS NOT NULL
)
SELECT provider, model, count(*) AS requests, round(avg(seen_ms)::numeric, 1) AS seen_ms,
    round(avg(provider_ms)::numeric, 1) AS provider_ms,
    round(avg(seen_ms - provider_ms)::numeric, 1) AS network_and_queue_ms,
    round(avg(upload_ms)::numeric, 1) AS upload_ms, count(connect_ms) AS connections,
    round(avg(connect_ms)::numeric, 1) AS connect_ms
FROM calls WHERE seen_ms IS NOT NULL
GROUP BY provider, model
ORDER BY requests DESC
