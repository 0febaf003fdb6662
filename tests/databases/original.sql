-- The original llm-metrics-proxy: naive local times, app_version, another schema_version.
BEGIN TRANSACTION;
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
    error_message TEXT,
    app_version TEXT
);
INSERT INTO "completion_requests" VALUES(1,'2025-08-19T14:03:22.123456',1,200,900,'gpt-4o','billing',0,256,0.7,1.0,3,120,45,165,'stop',900,900,NULL,NULL,NULL,'1.4.0');
INSERT INTO "completion_requests" VALUES(2,'2025-08-19 14:03:22',1,200,2400,'claude-sonnet-4','search',1,1024,NULL,NULL,1,3000,512,3512,'end_turn',310,2390,246.5,NULL,NULL,'1.4.0');
INSERT INTO "completion_requests" VALUES(3,'2025-10-26T02:30:00.500000',0,429,35,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'rate_limit_exceeded','Slow down: "tier 1"','1.4.0');
INSERT INTO "completion_requests" VALUES(4,'2025-12-31 23:59:59.999999',0,499,1200,'gpt-4o',NULL,1,NULL,0.0,NULL,2,NULL,NULL,NULL,NULL,400,1100,NULL,'client_disconnect',NULL,'1.4.0');
INSERT INTO "completion_requests" VALUES(5,'2025-08-19T14:03:22',0,502,10,NULL,'10.0.0.7',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'upstream_unreachable','it''s gone','1.4.0');
INSERT INTO "completion_requests" VALUES(6,'not a time',1,200,0,'modèle-é-模型-🙂','',0,-1,2.0,0.0,0,0,0,0,'length',NULL,NULL,NULL,NULL,NULL,'1.4.0');
INSERT INTO "completion_requests" VALUES(7,'2025-08-20T00:00:00',1,206,2147483648,'big','billing',0,9223372036854775807,1.0e-09,0.1,1,4294967296,1,4294967297,'stop',NULL,NULL,NULL,NULL,NULL,'1.4.0');
CREATE TABLE schema_version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    applied_at TEXT NOT NULL,
    description TEXT
);
INSERT INTO "schema_version" VALUES(1,1,'2025-08-01T10:00:00.000001','Initial schema');
INSERT INTO "schema_version" VALUES(2,2,'2025-08-02T10:00:00.000001','Add app_version');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('schema_version',2);
INSERT INTO "sqlite_sequence" VALUES('completion_requests',7);
COMMIT;
