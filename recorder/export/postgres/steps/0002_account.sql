-- Version 2: what the recorders say of themselves (recorder_counters and recorder_events of SQLite), for each source.
-- Published: never edited.
CREATE TABLE recorder_counters (
    source_id text NOT NULL,
    host_id text NOT NULL,
    process text NOT NULL,
    name text NOT NULL,
    value bigint,
    updated_at timestamptz(3),
    PRIMARY KEY (source_id, process, name)
);

CREATE TABLE recorder_events (
    source_id text NOT NULL,
    host_id text NOT NULL,
    id bigint NOT NULL,
    at timestamptz(3),
    process text,
    kind text,
    count bigint,
    from_at timestamptz(3),
    to_at timestamptz(3),
    detail text,
    PRIMARY KEY (source_id, id)
);
