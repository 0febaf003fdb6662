-- Version 1: the calls, by months, and how far each source has come. Published: never edited.
-- Columns are those of SQLite's completion_requests; id is the row's there, so it says nothing without host_id.
CREATE TABLE completion_requests (
    id bigint,
    timestamp timestamptz(3) NOT NULL,
    success boolean,
    status_code bigint,
    response_time_ms bigint,
    model text,
    origin text,
    is_streaming boolean,
    max_tokens bigint,
    temperature double precision,
    top_p double precision,
    message_count bigint,
    prompt_tokens bigint,
    completion_tokens bigint,
    total_tokens bigint,
    finish_reason text,
    time_to_first_token_ms bigint,
    time_to_last_token_ms bigint,
    tokens_per_second double precision,
    error_type text,
    error_message text,
    event_id text COLLATE "C" NOT NULL,
    provider text,
    operation text,
    host text,
    endpoint text,
    response_model text,
    cached_tokens bigint,
    cache_write_tokens bigint,
    reasoning_tokens bigint,
    usage_source text,
    usage text,
    cost_usd double precision,
    cost_source text,
    time_to_first_byte_ms double precision,
    time_to_first_answer_ms double precision,
    output_events bigint,
    chunk_gap_p50_ms double precision,
    chunk_gap_p95_ms double precision,
    chunk_gap_max_ms double precision,
    upload_ms double precision,
    connect_ms double precision,
    request_bytes bigint,
    response_bytes bigint,
    http_version text,
    client text,
    user_agent text,
    session_id text,
    trace_id text,
    parent_span_id text,
    retry_count bigint,
    provider_request_id text,
    retry_after_ms bigint,
    rate_limit_remaining_requests bigint,
    rate_limit_remaining_tokens bigint,
    server_timing text,
    error_code text,
    host_id text,
    PRIMARY KEY (event_id, timestamp)
) PARTITION BY RANGE (timestamp);

-- Calls come about in the order of time, so this grows at its end, as the primary key does. No other: each costs all inserts.
CREATE INDEX completion_requests_timestamp ON completion_requests (timestamp);

-- A source is a sidecar's database: all its rows up to row_id are here, and all changes up to change_id.
CREATE TABLE llm_metrics_sources (
    source_id text PRIMARY KEY,
    host_id text NOT NULL,
    row_id bigint NOT NULL,
    change_id bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Of these months, each given by one of its days, those that have no partition: as their first days.
CREATE FUNCTION llm_metrics_lacking(months date[]) RETURNS SETOF date LANGUAGE sql STABLE
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
    SELECT DISTINCT date_trunc('month', month)::date FROM unnest(months) AS month
    WHERE NOT EXISTS (
        SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'completion_requests'::regclass AND relname = to_char(month, '"completion_requests_"YYYY_MM')
    )
$$;

-- Makes those, with the rights of who made this function, so that exporters need none to create tables. Attached, and not
-- created as partitions, which would wait for all who read.
CREATE FUNCTION llm_metrics_make_partitions(months date[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    month date;
    partition text;
BEGIN
    IF NOT EXISTS (SELECT FROM llm_metrics_lacking(months)) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(5497854252990689908);
    FOR month IN SELECT llm_metrics_lacking(months) LOOP
        partition := to_char(month, '"completion_requests_"YYYY_MM');
        EXECUTE format('CREATE TABLE %I (LIKE completion_requests INCLUDING DEFAULTS)', partition);
        EXECUTE format(
            'ALTER TABLE completion_requests ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            partition, month::timestamptz, (month + interval '1 month')::timestamptz
        );
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION llm_metrics_make_partitions FROM PUBLIC;
