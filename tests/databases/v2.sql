-- Version 2 as its release left it, with rows from version 1 that have no event_id.
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'llm_metrics_proxy','m0001_completion_requests','2026-02-01 00:00:00.000000+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'llm_metrics_proxy','m0002_identity_and_detail','2026-02-01 00:00:00.000000+00:00');
CREATE TABLE completion_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TEXT NOT NULL,
    success BOOLEAN NOT NULL,
    status_code INTEGER NOT NULL,
    response_time_ms INTEGER NOT NULL,
    model TEXT,
    origin TEXT,
    is_streaming BOOLEAN NOT NULL,
    max_tokens INTEGER,
    temperature REAL,
    top_p REAL,
    message_count INTEGER,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    total_tokens INTEGER,
    finish_reason TEXT,
    time_to_first_token_ms INTEGER,
    time_to_last_token_ms INTEGER,
    tokens_per_second REAL,
    error_type TEXT,
    error_message TEXT
, event_id TEXT, provider TEXT, operation TEXT, host TEXT, endpoint TEXT, response_model TEXT, cached_tokens INTEGER, cache_write_tokens INTEGER, reasoning_tokens INTEGER, usage_source TEXT, usage TEXT, cost_usd REAL, cost_source TEXT, time_to_first_byte_ms REAL, time_to_first_answer_ms REAL, output_events INTEGER, chunk_gap_p50_ms REAL, chunk_gap_p95_ms REAL, chunk_gap_max_ms REAL, upload_ms REAL, connect_ms REAL, request_bytes INTEGER, response_bytes INTEGER, http_version TEXT, client TEXT, user_agent TEXT, session_id TEXT, trace_id TEXT, parent_span_id TEXT, retry_count INTEGER, provider_request_id TEXT, retry_after_ms INTEGER, rate_limit_remaining_requests INTEGER, rate_limit_remaining_tokens INTEGER, server_timing TEXT, error_code TEXT);
INSERT INTO "completion_requests" VALUES(1,'2026-01-01T00:00:00.000Z',1,200,900,'gpt-4o','billing',0,256,0.7,1.0,3,120,45,165,'stop',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(2,'2026-01-01T00:00:01.250Z',1,200,2400,'claude-sonnet-4','search',1,1024,NULL,NULL,1,3000,512,3512,'end_turn',310,2390,246.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(4,'2026-01-02T12:30:01.000Z',0,499,1200,'gpt-4o',NULL,1,NULL,0.0,NULL,2,NULL,NULL,NULL,NULL,400,1100,NULL,'client_disconnect',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(5,'2026-01-03T23:59:59.999Z',0,502,10,NULL,'10.0.0.7',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'upstream_unreachable','it''s gone',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(6,'2026-01-04T08:00:00.000Z',1,200,0,'modèle-é-模型-🙂','',0,-1,2.0,0.0,0,0,0,0,'length',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(7,'2026-01-05T08:00:00.000Z',1,206,2147483648,'big','billing',0,9223372036854775807,1.0e-09,0.1,1,4294967296,1,4294967297,'stop',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(8,'2026-01-01T00:00:01.250Z',1,200,2400,'claude-sonnet-4','search',1,1024,NULL,NULL,1,3000,512,3512,'end_turn',310,2390,246.5,NULL,NULL,'019c8f0a00007abc8123456789abcdef','anthropic','chat','api.anthropic.com:443','/v1/messages','claude-sonnet-4-20250514',2048,NULL,NULL,'provider','{"input_tokens": 952, "cache_read_input_tokens": 2048, "output_tokens": 512}',0.0125,'genai-prices 0.0.1',305.25,NULL,88,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'0af7651916cd43dd8448eb211c80319c',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(9,'2026-01-02T12:30:00.999Z',0,429,35,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'rate_limit_exceeded','Slow down: "tier 1"','019c8f0a00017abc8123456789abcde0','openai','chat','api.openai.com:443','/v1/chat/completions',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,20.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,2,NULL,NULL,NULL,NULL,NULL,'rate_limit');
CREATE TABLE recorder_counters (
        process TEXT NOT NULL,
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        updated_at TEXT NOT NULL,
        PRIMARY KEY (process, name)
    );
INSERT INTO "recorder_counters" VALUES('host-7-1767225600000','received',12,'2026-02-01T00:00:00.000Z');
INSERT INTO "recorder_counters" VALUES('host-7-1767225600000','written',9,'2026-02-01T00:00:00.000Z');
INSERT INTO "recorder_counters" VALUES('host-7-1767225600000','dropped_queue_full',3,'2026-02-01T00:00:00.000Z');
CREATE TABLE recorder_events (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        process TEXT NOT NULL,
        kind TEXT NOT NULL,
        count INTEGER,
        from_at TEXT,
        to_at TEXT,
        detail TEXT
    );
INSERT INTO "recorder_events" VALUES(1,'2026-02-01T00:00:00.000Z','host-7-1767225600000','gap',3,'2026-01-31T00:00:00.000Z','2026-01-31T00:00:01.000Z','queue_full');
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL
);
INSERT INTO "schema_version" VALUES(1,'2026-01-01T00:00:00.000Z');
INSERT INTO "schema_version" VALUES(2,'2026-02-01T00:00:00.000Z');
CREATE TABLE unrecognised (
        host TEXT NOT NULL,
        path TEXT NOT NULL,
        count INTEGER NOT NULL,
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL,
        PRIMARY KEY (host, path)
    );
INSERT INTO "unrecognised" VALUES('api.example.com','/v1/new/{id}',2,'2026-01-31T00:00:00.000Z','2026-02-01T00:00:00.000Z');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX completion_requests_event_id ON completion_requests(event_id);
CREATE INDEX completion_requests_timestamp ON completion_requests(timestamp);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('completion_requests',9);
COMMIT;
PRAGMA user_version=2;
PRAGMA application_id=1280068944;
