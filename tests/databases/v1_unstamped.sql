-- Version 1 made from the published SQL by hand: no stamp, no list of applied steps.
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
    error_message TEXT
);
INSERT INTO "completion_requests" VALUES(1,'2026-01-01T00:00:00.000Z',1,200,900,'gpt-4o','billing',0,256,0.7,1.0,3,120,45,165,'stop',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(2,'2026-01-01T00:00:01.250Z',1,200,2400,'claude-sonnet-4','search',1,1024,NULL,NULL,1,3000,512,3512,'end_turn',310,2390,246.5,NULL,NULL);
INSERT INTO "completion_requests" VALUES(4,'2026-01-02T12:30:01.000Z',0,499,1200,'gpt-4o',NULL,1,NULL,0.0,NULL,2,NULL,NULL,NULL,NULL,400,1100,NULL,'client_disconnect',NULL);
INSERT INTO "completion_requests" VALUES(5,'2026-01-03T23:59:59.999Z',0,502,10,NULL,'10.0.0.7',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'upstream_unreachable','it''s gone');
INSERT INTO "completion_requests" VALUES(6,'2026-01-04T08:00:00.000Z',1,200,0,'modèle-é-模型-🙂','',0,-1,2.0,0.0,0,0,0,0,'length',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(7,'2026-01-05T08:00:00.000Z',1,206,2147483648,'big','billing',0,9223372036854775807,1.0e-09,0.1,1,4294967296,1,4294967297,'stop',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL
);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('completion_requests',7);
COMMIT;
