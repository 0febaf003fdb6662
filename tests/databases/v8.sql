-- Version 8: the calls of v7.sql, brought up to date, and two with labels, one of which with a key's id; a limit.
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'llm_metrics_proxy','m0001_completion_requests','2026-11-30 23:53:50.034051+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'llm_metrics_proxy','m0002_identity_and_detail','2026-11-30 23:53:50.036280+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'llm_metrics_proxy','m0003_rollup','2026-11-30 23:53:50.041593+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'llm_metrics_proxy','m0004_exporters','2026-11-30 23:53:50.041870+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'llm_metrics_proxy','m0005_billed','2026-12-01 00:31:57.508251+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'llm_metrics_proxy','m0006_costs','2026-12-01 02:59:07.880530+00:00');
INSERT INTO "_sqlite_migrations" VALUES(7,'llm_metrics_proxy','m0007_classes','2026-12-01 12:38:23.242125+00:00');
INSERT INTO "_sqlite_migrations" VALUES(8,'llm_metrics_proxy','m0008_who_spent_it','2026-12-01 15:46:44.579512+00:00');
CREATE TABLE completed_later (
        row_id INTEGER PRIMARY KEY,
        before TEXT NOT NULL,
        added INTEGER NOT NULL
    );
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
, event_id TEXT, provider TEXT, operation TEXT, host TEXT, endpoint TEXT, response_model TEXT, cached_tokens INTEGER, cache_write_tokens INTEGER, reasoning_tokens INTEGER, usage_source TEXT, usage TEXT, cost_usd REAL, cost_source TEXT, time_to_first_byte_ms REAL, time_to_first_answer_ms REAL, output_events INTEGER, chunk_gap_p50_ms REAL, chunk_gap_p95_ms REAL, chunk_gap_max_ms REAL, upload_ms REAL, connect_ms REAL, request_bytes INTEGER, response_bytes INTEGER, http_version TEXT, client TEXT, user_agent TEXT, session_id TEXT, trace_id TEXT, parent_span_id TEXT, retry_count INTEGER, provider_request_id TEXT, retry_after_ms INTEGER, rate_limit_remaining_requests INTEGER, rate_limit_remaining_tokens INTEGER, server_timing TEXT, error_code TEXT, billed TEXT, service_tier TEXT, region TEXT, billing TEXT, cost_complete INTEGER, cost_note TEXT, error_class TEXT, finish_class TEXT, agent TEXT, agent_version TEXT, agent_id TEXT, parent_agent_id TEXT, request_kind TEXT, project TEXT, response_id TEXT, labels TEXT, key_id TEXT, cache_saved_usd REAL, cache_spent_usd REAL);
INSERT INTO "completion_requests" VALUES(1,'2026-01-01T00:00:00.000Z',1,200,900,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,100,20,120,'stop',NULL,NULL,NULL,NULL,NULL,'019b76daa8007abc8123456789000000','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 100, "completion_tokens": 20}',0.00045,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(2,'2026-01-01T01:56:40.123Z',1,200,901,'claude-sonnet-4-20250514','search',1,NULL,NULL,NULL,NULL,101,21,122,'end_turn',310,850,88.25,NULL,NULL,'019b7745783b7abc8123456789000001','anthropic','chat','api.anthropic.com:443','/v1/messages',NULL,64,NULL,NULL,'provider','{"input_tokens": 37, "cache_read_input_tokens": 64, "output_tokens": 21}',0.0004452,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(3,'2026-01-01T03:53:20.246Z',0,429,902,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'rate_limit_exceeded','Slow down: "tier 1", it''s busy','019b77b048767abc8123456789000002','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,NULL,NULL,NULL,NULL,300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s2',NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(4,'2026-01-01T05:50:00.369Z',0,502,903,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'upstream_unreachable',NULL,'019b781b18b17abc8123456789000003',NULL,'chat','api.openai.com:443','/v1/chat/completions',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(5,'2026-01-01T07:46:40.492Z',1,200,904,'modèle-é-模型-🙂','',0,NULL,NULL,NULL,NULL,104,24,128,'stop',NULL,NULL,NULL,NULL,NULL,'019b7885e8ec7abc8123456789000004','ollama','chat','localhost:11434','/api/chat',NULL,NULL,NULL,NULL,'provider',NULL,NULL,NULL,300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(6,'2026-01-01T09:43:20.615Z',1,200,905,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,105,25,130,'stop',NULL,NULL,NULL,NULL,NULL,'019b78f0b9277abc8123456789000005','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 105, "completion_tokens": 25}',0.025,'provider',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(7,'2026-01-17T04:53:44.600Z',1,200,1100,'gpt-4o-mini','billing',0,NULL,NULL,NULL,NULL,300,220,520,'stop',NULL,NULL,NULL,NULL,NULL,'019bca4d56187abc81234567890000c8','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-mini-2024-07-18',NULL,NULL,NULL,'provider','{"prompt_tokens": 300, "completion_tokens": 220}',0.000177,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(8,'2026-01-17T06:50:24.723Z',1,200,1101,'gpt-4o','billing',1,NULL,NULL,NULL,NULL,301,221,522,'stop',200,1000,31.5,NULL,NULL,'019bcab826537abc81234567890000c9','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 301, "completion_tokens": 221}',0.0029625,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(9,'2026-03-06T19:34:58.400Z',1,200,1700,'gpt-4o','search',0,NULL,NULL,NULL,NULL,900,820,1720,'stop',NULL,NULL,NULL,NULL,NULL,'019cc4a560607abc8123456789000320','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 900, "completion_tokens": 820}',0.01045,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(10,'2026-03-14T22:01:50.700Z',1,200,1800,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1000,920,1920,'stop',NULL,NULL,NULL,NULL,NULL,'019cee5eb76c7abc8123456789000384','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1000, "completion_tokens": 920}',0.0117,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(11,'2026-03-14T23:58:30.823Z',1,200,1801,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1001,921,1922,'stop',NULL,NULL,NULL,NULL,NULL,'019ceec987a77abc8123456789000385','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1001, "completion_tokens": 921}',0.0117125,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(12,'2026-03-15T01:55:10.946Z',1,200,1802,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1002,922,1924,'stop',NULL,NULL,NULL,NULL,NULL,'019cef3457e27abc8123456789000386','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1002, "completion_tokens": 922}',0.011725,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(13,'2026-03-15T03:51:51.069Z',1,200,1803,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1003,923,1926,'stop',NULL,NULL,NULL,NULL,NULL,'019cef9f281d7abc8123456789000387','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1003, "completion_tokens": 923}',0.0117375,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(14,'2026-03-15T05:48:31.192Z',1,200,1804,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1004,924,1928,'stop',NULL,NULL,NULL,NULL,NULL,'019cf009f8587abc8123456789000388','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1004, "completion_tokens": 924}',0.01175,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(15,'2026-03-15T07:45:11.315Z',1,200,1805,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1005,925,1930,'stop',NULL,NULL,NULL,NULL,NULL,'019cf074c8937abc8123456789000389','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1005, "completion_tokens": 925}',0.0117625,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(16,'2026-03-15T09:41:51.438Z',1,200,1806,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1006,926,1932,'stop',NULL,NULL,NULL,NULL,NULL,'019cf0df98ce7abc812345678900038a','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1006, "completion_tokens": 926}',0.011775,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(17,'2026-03-15T11:38:31.561Z',1,200,1807,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1007,927,1934,'stop',NULL,NULL,NULL,NULL,NULL,'019cf14a69097abc812345678900038b','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1007, "completion_tokens": 927}',0.0117875,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(18,'2026-03-15T13:35:11.684Z',1,200,1808,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1008,928,1936,'stop',NULL,NULL,NULL,NULL,NULL,'019cf1b539447abc812345678900038c','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1008, "completion_tokens": 928}',0.0118,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(19,'2026-03-15T15:31:51.807Z',1,200,1809,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1009,929,1938,'stop',NULL,NULL,NULL,NULL,NULL,'019cf220097f7abc812345678900038d','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1009, "completion_tokens": 929}',0.0118125,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(20,'2026-03-15T17:28:31.930Z',1,200,1810,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1010,930,1940,'stop',NULL,NULL,NULL,NULL,NULL,'019cf28ad9ba7abc812345678900038e','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1010, "completion_tokens": 930}',0.011825,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(21,'2026-03-15T19:25:12.053Z',1,200,1811,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1011,931,1942,'stop',NULL,NULL,NULL,NULL,NULL,'019cf2f5a9f57abc812345678900038f','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1011, "completion_tokens": 931}',0.0118375,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(22,'2026-03-15T21:21:52.176Z',1,200,1812,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1012,932,1944,'stop',NULL,NULL,NULL,NULL,NULL,'019cf3607a307abc8123456789000390','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1012, "completion_tokens": 932}',0.01185,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(23,'2026-03-15T23:18:32.299Z',1,200,1813,'gpt-4o','billing',0,NULL,NULL,NULL,NULL,1013,933,1946,'stop',NULL,NULL,NULL,NULL,NULL,'019cf3cb4a6b7abc8123456789000391','openai','chat','api.openai.com:443','/v1/chat/completions','gpt-4o-2024-08-06',NULL,NULL,NULL,'provider','{"prompt_tokens": 1013, "completion_tokens": 933}',0.0118625,'genai-prices 0.2.3',300.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(24,'2026-03-20T10:00:00.000Z',1,200,200,'gpt-5-mini','tests',0,400,0.2,0.9,2,23,9,32,'stop',NULL,NULL,NULL,NULL,NULL,'00000000000000000000000000000000','openai','chat','api.openai.com','/v1/chat/completions','gpt-5-mini-2026-03-11',16,NULL,0,'provider','{"prompt_tokens":23,"completion_tokens":9,"total_tokens":32,"prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}',NULL,NULL,100.0,NULL,NULL,NULL,NULL,NULL,2.0e-06,NULL,180,481,'1.1','127.0.0.1','OpenAI/Python 3.54.0',NULL,NULL,NULL,1,'req_made_up_1',NULL,4999,399950,'{"openai-processing-ms":412}',NULL,'{"input_tokens":23,"output_tokens":9,"cache_read_tokens":16}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(25,'2026-03-20T10:00:01.000Z',1,200,200,'claude-sonnet-4-5','tests',0,1024,NULL,NULL,1,2112,30,2142,'end_turn',NULL,NULL,NULL,NULL,NULL,'00000000000000000000000000000001','anthropic','chat','api.anthropic.com','/v1/messages','claude-sonnet-4-5-20250929',2000,100,20,'provider','{"input_tokens":12,"cache_creation_input_tokens":100,"cache_read_input_tokens":2000,"cache_creation":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":60},"output_tokens":30,"output_tokens_details":{"thinking_tokens":20},"server_tool_use":{"web_search_requests":3,"web_fetch_requests":1},"service_tier":"standard"}',NULL,NULL,100.0,NULL,NULL,NULL,NULL,NULL,2.0e-06,NULL,107,522,'1.1','127.0.0.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"input_tokens":2112,"cache_write_tokens":100,"cache_read_tokens":2000,"cache_write_5m_tokens":40,"cache_write_1h_tokens":60,"output_tokens":30,"output_reasoning_tokens":20,"web_searches":3}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(26,'2026-03-20T10:00:02.000Z',1,200,200,'gemini-2.5-flash','tests',0,NULL,NULL,NULL,1,1050,105,1155,'STOP',NULL,NULL,NULL,NULL,NULL,'00000000000000000000000000000002','gcp.gemini','generate_content','generativelanguage.googleapis.com','/v1beta/models/gemini-2.5-flash:generateContent','gemini-2.5-flash',400,NULL,25,'provider','{"promptTokenCount":1000,"promptTokensDetails":[{"modality":"TEXT","tokenCount":100},{"modality":"AUDIO","tokenCount":200},{"modality":"IMAGE","tokenCount":300},{"modality":"DOCUMENT","tokenCount":50},{"modality":"VIDEO","tokenCount":350}],"cachedContentTokenCount":400,"cacheTokensDetails":[{"modality":"TEXT","tokenCount":40},{"modality":"AUDIO","tokenCount":60},{"modality":"IMAGE","tokenCount":100},{"modality":"DOCUMENT","tokenCount":20},{"modality":"VIDEO","tokenCount":180}],"toolUsePromptTokenCount":50,"toolUsePromptTokensDetails":[{"modality":"TEXT","tokenCount":10},{"modality":"AUDIO","tokenCount":11},{"modality":"IMAGE","tokenCount":12},{"modality":"DOCUMENT","tokenCount":3},{"modality":"VIDEO","tokenCount":14}],"candidatesTokenCount":80,"candidatesTokensDetails":[{"modality":"TEXT","tokenCount":10},{"modality":"AUDIO","tokenCount":20},{"modality":"IMAGE","tokenCount":15},{"modality":"DOCUMENT","tokenCount":5},{"modality":"VIDEO","tokenCount":30}],"thoughtsTokenCount":25,"totalTokenCount":1155}',NULL,NULL,100.0,NULL,NULL,NULL,NULL,NULL,2.0e-06,NULL,63,1163,'1.1','127.0.0.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"input_tokens":1050,"input_text_tokens":110,"input_audio_tokens":211,"input_image_tokens":365,"input_video_tokens":364,"cache_read_tokens":400,"cache_text_read_tokens":40,"cache_audio_read_tokens":60,"cache_image_read_tokens":120,"cache_video_read_tokens":180,"input_tool_tokens":50,"input_text_tool_tokens":10,"input_audio_tool_tokens":11,"input_image_tool_tokens":15,"input_video_tool_tokens":14,"output_tokens":105,"output_text_tokens":10,"output_audio_tokens":20,"output_image_tokens":20,"output_video_tokens":30,"output_reasoning_tokens":25}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(27,'2026-03-20T10:00:03.000Z',1,200,200,'whisper-1','tests',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'00000000000000000000000000000003','openai','transcription','api.openai.com','/v1/audio/transcriptions',NULL,NULL,NULL,NULL,'provider','{"type":"duration","seconds":4.5}',NULL,NULL,100.0,NULL,NULL,NULL,NULL,NULL,2.0e-06,NULL,172,59,'1.1','127.0.0.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"audio_seconds":4.5}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(28,'2026-03-20T10:00:04.000Z',0,529,200,'claude-sonnet-4-5','tests',1,1024,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'overloaded_error','Overloaded','00000000000000000000000000000004','anthropic','chat','api.anthropic.com','/v1/messages',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,100.0,NULL,NULL,NULL,NULL,NULL,2.0e-06,NULL,131,96,'1.1','127.0.0.1',NULL,NULL,NULL,NULL,NULL,NULL,7000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(29,'2026-03-21T10:00:00.000Z',1,200,200,'gpt-5-mini','tests',0,NULL,NULL,NULL,NULL,230,90,320,NULL,NULL,NULL,NULL,NULL,NULL,'019d0f6d4a007abc8123456789000006','openai','chat','eu.api.openai.com','/v1/chat/completions','gpt-5-mini-2026-03-11',NULL,NULL,NULL,'provider','{"prompt_tokens":230,"completion_tokens":90,"total_tokens":320}',0.00012,'genai-prices 0.2.3',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"input_tokens":230,"output_tokens":90}','flex','eu','api_key',0,'region_without_price',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(30,'2026-03-22T10:00:00.000Z',0,400,200,'gpt-5-mini','tests',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'invalid_request_error','This model''s maximum context length is 128000 tokens.','019d148fca007abc8123456789000007','openai','chat','eu.api.openai.com','/v1/chat/completions','gpt-5-mini-2026-03-11',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'context_length_exceeded',NULL,NULL,'eu','api_key',NULL,NULL,'context_length',NULL,'Codex','0.50.0','thread-2','thread-1','compaction','shop',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(31,'2026-03-22T10:00:01.000Z',1,200,200,'gpt-5-mini','tests',0,NULL,NULL,NULL,NULL,230,90,320,'stop',NULL,NULL,NULL,NULL,NULL,'019d148fcde87abc8123456789000008','openai','chat','eu.api.openai.com','/v1/chat/completions','gpt-5-mini-2026-03-11',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'eu','api_key',NULL,NULL,NULL,'stop','Codex','0.50.0','thread-2','thread-1','compaction','shop','resp_68af4030',NULL,NULL,NULL,NULL);
INSERT INTO "completion_requests" VALUES(32,'2026-03-23T10:00:00.000Z',1,200,200,'gpt-5-mini','tests',0,NULL,NULL,NULL,NULL,230,90,320,'stop',NULL,NULL,NULL,NULL,NULL,'019d19f0a0007abc8123456789abcde0','openai','chat','eu.api.openai.com','/v1/chat/completions','gpt-5-mini-2026-03-11',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'eu','api_key',NULL,NULL,NULL,'stop','Codex','0.50.0','thread-2','thread-1','compaction','shop',NULL,'{"team":"search","env":"prod"}','0123456789abcdef',NULL,NULL);
INSERT INTO "completion_requests" VALUES(33,'2026-03-23T10:01:00.000Z',1,200,200,'gpt-5-mini','tests',0,NULL,NULL,NULL,NULL,230,90,320,'stop',NULL,NULL,NULL,NULL,NULL,'019d19f0a0007abc8123456789abcde1','openai','chat','eu.api.openai.com','/v1/chat/completions','gpt-5-mini-2026-03-11',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'eu','api_key',NULL,NULL,NULL,'stop','Codex','0.50.0','thread-2','thread-1','compaction','shop',NULL,'{"team":"ads"}',NULL,NULL,NULL);
CREATE TABLE export_changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        row_id INTEGER NOT NULL
    );
INSERT INTO "export_changes" VALUES(1,6);
CREATE TABLE exporters (
        name TEXT PRIMARY KEY,
        source_id TEXT NOT NULL,
        row_id INTEGER NOT NULL,
        claimed_id INTEGER NOT NULL,
        change_id INTEGER,
        sent INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        reached_at TEXT NOT NULL,
        error TEXT,
        state TEXT
    ) WITHOUT ROWID
    ;
INSERT INTO "exporters" VALUES('otlp http://collector.example:4318','f5917d0f0ef7a7bbe038cb161f6148e9',4,4,NULL,4,1,'2026-11-30T23:53:53.066Z',NULL,NULL);
INSERT INTO "exporters" VALUES('postgres db.example/metrics','45a93c7ae4875586ff7382d3d82d0b55',9,9,0,9,0,'2026-11-30T23:53:53.066Z',NULL,'{"host_id": 3}');
INSERT INTO "exporters" VALUES('postgres gone.example/metrics','712f17dbf1682690516706e24b7d7cb8',0,0,NULL,0,0,'','no answer',NULL);
CREATE TABLE model_answers (
        day TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        response_model TEXT NOT NULL,
        substituted INTEGER NOT NULL,
        told INTEGER NOT NULL,
        calls INTEGER NOT NULL,
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL,
        compared INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        asked_usd REAL NOT NULL,
        PRIMARY KEY (day, provider, model, response_model)
    ) WITHOUT ROWID
    ;
INSERT INTO "model_answers" VALUES('2026-03-23','openai','gpt-5','gpt-5-mini',1,1,1,'2026-03-23T10:00:00.000Z','2026-03-23T10:00:00.000Z',1,0.001,0.005);
CREATE TABLE quota (
        provider TEXT NOT NULL,
        key_id TEXT NOT NULL,
        model TEXT NOT NULL,
        kind TEXT NOT NULL,
        quota_window TEXT NOT NULL,
        minute TEXT NOT NULL,
        seen_at TEXT NOT NULL,
        quota_limit REAL,
        remaining REAL,
        resets_at TEXT,
        PRIMARY KEY (provider, key_id, model, kind, quota_window, minute)
    ) WITHOUT ROWID
    ;
INSERT INTO "quota" VALUES('openai','0123456789abcdef','gpt-5','requests','','2026-03-23T10:00','2026-03-23T10:00:00.000Z',500.0,499.0,'2026-03-23T10:00:00.120Z');
CREATE TABLE recorder_counters (
        process TEXT NOT NULL,
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        updated_at TEXT NOT NULL,
        PRIMARY KEY (process, name)
    );
INSERT INTO "recorder_counters" VALUES('host-7-1767225600000','received',30,'2026-11-30T23:53:51.162Z');
INSERT INTO "recorder_counters" VALUES('host-7-1767225600000','written',23,'2026-11-30T23:53:51.162Z');
INSERT INTO "recorder_counters" VALUES('host-7-1767225600000','unrecognised',1,'2026-11-30T23:53:51.162Z');
INSERT INTO "recorder_counters" VALUES('host-7-1767225600000','dropped_queue_full',6,'2026-11-30T23:53:51.162Z');
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
INSERT INTO "recorder_events" VALUES(1,'2026-11-30T23:53:51.162Z','host-7-1767225600000','gap',6,'2026-03-16T01:15:12.422Z','2026-03-16T10:58:33.037Z','queue_full');
INSERT INTO "recorder_events" VALUES(2,'2026-12-01T00:31:57.508Z','host-8-1767225600000','migrate',23,NULL,NULL,'/data/backups/m.db.20261201_003157_473.backup');
INSERT INTO "recorder_events" VALUES(3,'2026-12-01T02:59:07.880Z','host-9-1767225600000','migrate',28,NULL,NULL,'/data/backups/m.db.20261201_025907_867.backup');
INSERT INTO "recorder_events" VALUES(4,'2026-12-01T12:38:23.242Z','host-9-1767225600000','migrate',29,NULL,NULL,'/data/backups/m.db.20261201_123823_171.backup');
INSERT INTO "recorder_events" VALUES(5,'2026-12-01T15:46:44.579Z','host-8-24025','migrate',31,NULL,NULL,'/data/backups/metrics.db.20261201_154644_442.backup');
CREATE TABLE rollup_calls (
        span TEXT NOT NULL,
        period TEXT NOT NULL,
        model TEXT NOT NULL,
        origin TEXT NOT NULL,
        provider TEXT NOT NULL,
        is_streaming INTEGER NOT NULL,
        success INTEGER NOT NULL,
        error_type TEXT NOT NULL,
        calls INTEGER NOT NULL,
        prompt_tokens REAL NOT NULL, prompt_tokens_known INTEGER NOT NULL, completion_tokens REAL NOT NULL, completion_tokens_known INTEGER NOT NULL, total_tokens REAL NOT NULL, total_tokens_known INTEGER NOT NULL, cached_tokens REAL NOT NULL, cached_tokens_known INTEGER NOT NULL, cache_write_tokens REAL NOT NULL, cache_write_tokens_known INTEGER NOT NULL, reasoning_tokens REAL NOT NULL, reasoning_tokens_known INTEGER NOT NULL, cost_usd REAL NOT NULL, cost_usd_known INTEGER NOT NULL, response_time_ms REAL NOT NULL, response_time_ms_known INTEGER NOT NULL, time_to_first_token_ms REAL NOT NULL, time_to_first_token_ms_known INTEGER NOT NULL, time_to_last_token_ms REAL NOT NULL, time_to_last_token_ms_known INTEGER NOT NULL, tokens_per_second REAL NOT NULL, tokens_per_second_known INTEGER NOT NULL,
        PRIMARY KEY (span, period, model, origin, provider, is_streaming, success, error_type)
    ) WITHOUT ROWID
    ;
INSERT INTO "rollup_calls" VALUES('day','2026-01-01','','','',0,0,'upstream_unreachable',1,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,903.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('day','2026-01-01','claude-sonnet-4-20250514','search','anthropic',1,1,'',1,101.0,1,21.0,1,122.0,1,64.0,1,0.0,0,0.0,0,0.0004452,1,901.0,1,310.0,1,850.0,1,88.25,1);
INSERT INTO "rollup_calls" VALUES('day','2026-01-01','gpt-4o','billing','openai',0,0,'rate_limit_exceeded',1,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,902.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('day','2026-01-01','gpt-4o','billing','openai',0,1,'',2,205.0,2,45.0,2,250.0,2,0.0,0,0.0,0,0.0,0,1.29500000000000014405e-02,2,1805.0,2,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('day','2026-01-01','modèle-é-模型-🙂','','ollama',0,1,'',1,104.0,1,24.0,1,128.0,1,0.0,0,0.0,0,0.0,0,0.0,0,904.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('day','2026-01-17','gpt-4o','billing','openai',1,1,'',1,301.0,1,221.0,1,522.0,1,0.0,0,0.0,0,0.0,0,0.0029625,1,1101.0,1,200.0,1,1000.0,1,31.5,1);
INSERT INTO "rollup_calls" VALUES('day','2026-01-17','gpt-4o-mini','billing','openai',0,1,'',1,300.0,1,220.0,1,520.0,1,0.0,0,0.0,0,0.0,0,0.000177,1,1100.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('day','2026-03-06','gpt-4o','search','openai',0,1,'',1,900.0,1,820.0,1,1720.0,1,0.0,0,0.0,0,0.0,0,0.01045,1,1700.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('day','2026-03-14','gpt-4o','billing','openai',0,1,'',2,2001.0,2,1841.0,2,3842.0,2,0.0,0,0.0,0,0.0,0,2.34125000000000027533e-02,2,3601.0,2,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('day','2026-03-15','gpt-4o','billing','openai',0,1,'',12,12090.0,12,11130.0,12,23220.0,12,0.0,0,0.0,0,0.0,0,0.141525,12,21690.0,12,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('month','2026-01','','','',0,0,'upstream_unreachable',1,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,903.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('month','2026-01','claude-sonnet-4-20250514','search','anthropic',1,1,'',1,101.0,1,21.0,1,122.0,1,64.0,1,0.0,0,0.0,0,0.0004452,1,901.0,1,310.0,1,850.0,1,88.25,1);
INSERT INTO "rollup_calls" VALUES('month','2026-01','gpt-4o','billing','openai',0,0,'rate_limit_exceeded',1,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,0.0,0,902.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('month','2026-01','gpt-4o','billing','openai',0,1,'',2,205.0,2,45.0,2,250.0,2,0.0,0,0.0,0,0.0,0,1.29500000000000014405e-02,2,1805.0,2,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('month','2026-01','gpt-4o','billing','openai',1,1,'',1,301.0,1,221.0,1,522.0,1,0.0,0,0.0,0,0.0,0,0.0029625,1,1101.0,1,200.0,1,1000.0,1,31.5,1);
INSERT INTO "rollup_calls" VALUES('month','2026-01','gpt-4o-mini','billing','openai',0,1,'',1,300.0,1,220.0,1,520.0,1,0.0,0,0.0,0,0.0,0,0.000177,1,1100.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('month','2026-01','modèle-é-模型-🙂','','ollama',0,1,'',1,104.0,1,24.0,1,128.0,1,0.0,0,0.0,0,0.0,0,0.0,0,904.0,1,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('month','2026-03','gpt-4o','billing','openai',0,1,'',14,14091.0,14,12971.0,14,27062.0,14,0.0,0,0.0,0,0.0,0,1.64937500000000014654e-01,14,25291.0,14,0.0,0,0.0,0,0.0,0);
INSERT INTO "rollup_calls" VALUES('month','2026-03','gpt-4o','search','openai',0,1,'',1,900.0,1,820.0,1,1720.0,1,0.0,0,0.0,0,0.0,0,0.01045,1,1700.0,1,0.0,0,0.0,0,0.0,0);
CREATE TABLE rollup_costs (
        span TEXT NOT NULL,
        period TEXT NOT NULL,
        model TEXT NOT NULL,
        origin TEXT NOT NULL,
        provider TEXT NOT NULL,
        billing TEXT NOT NULL,
        cost_note TEXT NOT NULL,
        calls INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        cost_usd_known INTEGER NOT NULL,
        PRIMARY KEY (span, period, model, origin, provider, billing, cost_note)
    ) WITHOUT ROWID
    ;
INSERT INTO "rollup_costs" VALUES('day','2026-01-01','','','','','',1,0.0,0);
INSERT INTO "rollup_costs" VALUES('day','2026-01-01','claude-sonnet-4-20250514','search','anthropic','','',1,0.0004452,1);
INSERT INTO "rollup_costs" VALUES('day','2026-01-01','gpt-4o','billing','openai','','',3,1.29500000000000014405e-02,2);
INSERT INTO "rollup_costs" VALUES('day','2026-01-01','modèle-é-模型-🙂','','ollama','','',1,0.0,0);
INSERT INTO "rollup_costs" VALUES('day','2026-01-17','gpt-4o','billing','openai','','',1,0.0029625,1);
INSERT INTO "rollup_costs" VALUES('day','2026-01-17','gpt-4o-mini','billing','openai','','',1,0.000177,1);
INSERT INTO "rollup_costs" VALUES('day','2026-03-06','gpt-4o','search','openai','','',1,0.01045,1);
INSERT INTO "rollup_costs" VALUES('day','2026-03-14','gpt-4o','billing','openai','','',2,2.34125000000000027533e-02,2);
INSERT INTO "rollup_costs" VALUES('day','2026-03-15','gpt-4o','billing','openai','','',12,0.141525,12);
INSERT INTO "rollup_costs" VALUES('month','2026-01','','','','','',1,0.0,0);
INSERT INTO "rollup_costs" VALUES('month','2026-01','claude-sonnet-4-20250514','search','anthropic','','',1,0.0004452,1);
INSERT INTO "rollup_costs" VALUES('month','2026-01','gpt-4o','billing','openai','','',4,1.59125000000000030309e-02,3);
INSERT INTO "rollup_costs" VALUES('month','2026-01','gpt-4o-mini','billing','openai','','',1,0.000177,1);
INSERT INTO "rollup_costs" VALUES('month','2026-01','modèle-é-模型-🙂','','ollama','','',1,0.0,0);
INSERT INTO "rollup_costs" VALUES('month','2026-03','gpt-4o','billing','openai','','',14,1.64937500000000014654e-01,14);
INSERT INTO "rollup_costs" VALUES('month','2026-03','gpt-4o','search','openai','','',1,0.01045,1);
CREATE TABLE rollup_errors (
        span TEXT NOT NULL,
        period TEXT NOT NULL,
        model TEXT NOT NULL,
        origin TEXT NOT NULL,
        provider TEXT NOT NULL,
        error_class TEXT NOT NULL,
        error_type TEXT NOT NULL,
        calls INTEGER NOT NULL,
        PRIMARY KEY (span, period, model, origin, provider, error_class, error_type)
    ) WITHOUT ROWID
    ;
INSERT INTO "rollup_errors" VALUES('day','2026-01-01','','','','','upstream_unreachable',1);
INSERT INTO "rollup_errors" VALUES('day','2026-01-01','gpt-4o','billing','openai','','rate_limit_exceeded',1);
INSERT INTO "rollup_errors" VALUES('month','2026-01','','','','','upstream_unreachable',1);
INSERT INTO "rollup_errors" VALUES('month','2026-01','gpt-4o','billing','openai','','rate_limit_exceeded',1);
CREATE TABLE rollup_times (
        span TEXT NOT NULL,
        period TEXT NOT NULL,
        measure TEXT NOT NULL,
        dimension TEXT NOT NULL,
        value TEXT NOT NULL,
        calls INTEGER NOT NULL,
        p50 REAL NOT NULL,
        p95 REAL NOT NULL,
        p99 REAL NOT NULL,
        counts TEXT NOT NULL,
        PRIMARY KEY (span, period, measure, dimension, value)
    ) WITHOUT ROWID
    ;
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','model','',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','model','claude-sonnet-4-20250514',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','model','gpt-4o',3,912.0,912.0,912.0,'{"220":3}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','model','modèle-é-模型-🙂',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','origin','',2,912.0,912.0,912.0,'{"220":2}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','origin','billing',3,912.0,912.0,912.0,'{"220":3}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','origin','search',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','provider','',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','provider','anthropic',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','provider','ollama',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','response_time_ms','provider','openai',3,912.0,912.0,912.0,'{"220":3}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','time_to_first_token_ms','model','claude-sonnet-4-20250514',1,312.0,312.0,312.0,'{"195":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','time_to_first_token_ms','origin','search',1,312.0,312.0,312.0,'{"195":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','time_to_first_token_ms','provider','anthropic',1,312.0,312.0,312.0,'{"195":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','tokens_per_second','model','claude-sonnet-4-20250514',1,90.0,90.0,90.0,'{"166":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','tokens_per_second','origin','search',1,90.0,90.0,90.0,'{"166":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-01','tokens_per_second','provider','anthropic',1,90.0,90.0,90.0,'{"166":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','response_time_ms','model','gpt-4o',1,1120.0,1120.0,1120.0,'{"225":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','response_time_ms','model','gpt-4o-mini',1,1120.0,1120.0,1120.0,'{"225":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','response_time_ms','origin','billing',2,1120.0,1120.0,1120.0,'{"225":2}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','response_time_ms','provider','openai',2,1120.0,1120.0,1120.0,'{"225":2}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','time_to_first_token_ms','model','gpt-4o',1,204.0,204.0,204.0,'{"185":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','time_to_first_token_ms','origin','billing',1,204.0,204.0,204.0,'{"185":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','time_to_first_token_ms','provider','openai',1,204.0,204.0,204.0,'{"185":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','tokens_per_second','model','gpt-4o',1,31.5,31.5,31.5,'{"143":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','tokens_per_second','origin','billing',1,31.5,31.5,31.5,'{"143":1}');
INSERT INTO "rollup_times" VALUES('day','2026-01-17','tokens_per_second','provider','openai',1,31.5,31.5,31.5,'{"143":1}');
INSERT INTO "rollup_times" VALUES('day','2026-03-06','response_time_ms','model','gpt-4o',1,1696.0,1696.0,1696.0,'{"234":1}');
INSERT INTO "rollup_times" VALUES('day','2026-03-06','response_time_ms','origin','search',1,1696.0,1696.0,1696.0,'{"234":1}');
INSERT INTO "rollup_times" VALUES('day','2026-03-06','response_time_ms','provider','openai',1,1696.0,1696.0,1696.0,'{"234":1}');
INSERT INTO "rollup_times" VALUES('day','2026-03-14','response_time_ms','model','gpt-4o',2,1824.0,1824.0,1824.0,'{"236":2}');
INSERT INTO "rollup_times" VALUES('day','2026-03-14','response_time_ms','origin','billing',2,1824.0,1824.0,1824.0,'{"236":2}');
INSERT INTO "rollup_times" VALUES('day','2026-03-14','response_time_ms','provider','openai',2,1824.0,1824.0,1824.0,'{"236":2}');
INSERT INTO "rollup_times" VALUES('day','2026-03-15','response_time_ms','model','gpt-4o',12,1824.0,1824.0,1824.0,'{"236":12}');
INSERT INTO "rollup_times" VALUES('day','2026-03-15','response_time_ms','origin','billing',12,1824.0,1824.0,1824.0,'{"236":12}');
INSERT INTO "rollup_times" VALUES('day','2026-03-15','response_time_ms','provider','openai',12,1824.0,1824.0,1824.0,'{"236":12}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','model','',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','model','claude-sonnet-4-20250514',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','model','gpt-4o',4,912.0,1120.0,1120.0,'{"220":3,"225":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','model','gpt-4o-mini',1,1120.0,1120.0,1120.0,'{"225":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','model','modèle-é-模型-🙂',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','origin','',2,912.0,912.0,912.0,'{"220":2}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','origin','billing',5,912.0,1120.0,1120.0,'{"220":3,"225":2}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','origin','search',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','provider','',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','provider','anthropic',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','provider','ollama',1,912.0,912.0,912.0,'{"220":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','response_time_ms','provider','openai',5,912.0,1120.0,1120.0,'{"220":3,"225":2}');
INSERT INTO "rollup_times" VALUES('month','2026-01','time_to_first_token_ms','model','claude-sonnet-4-20250514',1,312.0,312.0,312.0,'{"195":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','time_to_first_token_ms','model','gpt-4o',1,204.0,204.0,204.0,'{"185":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','time_to_first_token_ms','origin','billing',1,204.0,204.0,204.0,'{"185":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','time_to_first_token_ms','origin','search',1,312.0,312.0,312.0,'{"195":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','time_to_first_token_ms','provider','anthropic',1,312.0,312.0,312.0,'{"195":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','time_to_first_token_ms','provider','openai',1,204.0,204.0,204.0,'{"185":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','tokens_per_second','model','claude-sonnet-4-20250514',1,90.0,90.0,90.0,'{"166":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','tokens_per_second','model','gpt-4o',1,31.5,31.5,31.5,'{"143":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','tokens_per_second','origin','billing',1,31.5,31.5,31.5,'{"143":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','tokens_per_second','origin','search',1,90.0,90.0,90.0,'{"166":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','tokens_per_second','provider','anthropic',1,90.0,90.0,90.0,'{"166":1}');
INSERT INTO "rollup_times" VALUES('month','2026-01','tokens_per_second','provider','openai',1,31.5,31.5,31.5,'{"143":1}');
INSERT INTO "rollup_times" VALUES('month','2026-03','response_time_ms','model','gpt-4o',15,1824.0,1824.0,1824.0,'{"234":1,"236":14}');
INSERT INTO "rollup_times" VALUES('month','2026-03','response_time_ms','origin','billing',14,1824.0,1824.0,1824.0,'{"236":14}');
INSERT INTO "rollup_times" VALUES('month','2026-03','response_time_ms','origin','search',1,1696.0,1696.0,1696.0,'{"234":1}');
INSERT INTO "rollup_times" VALUES('month','2026-03','response_time_ms','provider','openai',15,1824.0,1824.0,1824.0,'{"234":1,"236":14}');
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL
);
INSERT INTO "schema_version" VALUES(1,'2026-11-30T23:53:50.041Z');
INSERT INTO "schema_version" VALUES(2,'2026-11-30T23:53:50.041Z');
INSERT INTO "schema_version" VALUES(3,'2026-11-30T23:53:50.041Z');
INSERT INTO "schema_version" VALUES(4,'2026-11-30T23:53:50.041Z');
INSERT INTO "schema_version" VALUES(5,'2026-12-01T00:31:57.508Z');
INSERT INTO "schema_version" VALUES(6,'2026-12-01T02:59:07.880Z');
INSERT INTO "schema_version" VALUES(7,'2026-12-01T12:38:23.242Z');
INSERT INTO "schema_version" VALUES(8,'2026-12-01T15:46:44.579Z');
CREATE TABLE tunnelled_hosts (
        day TEXT NOT NULL,
        host TEXT NOT NULL,
        connections INTEGER NOT NULL,
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL,
        PRIMARY KEY (day, host)
    ) WITHOUT ROWID
    ;
INSERT INTO "tunnelled_hosts" VALUES('2026-03-22','api.example.com',3,'2026-03-22T10:00:00.000Z','2026-03-22T11:00:00.000Z');
CREATE TABLE unrecognised (
        host TEXT NOT NULL,
        path TEXT NOT NULL,
        count INTEGER NOT NULL,
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL,
        PRIMARY KEY (host, path)
    );
INSERT INTO "unrecognised" VALUES('api.example.com','/v1/new/{id}',1,'2026-01-31T00:00:00.000Z','2026-01-31T00:00:00.000Z');
CREATE TABLE watermarks (
        name TEXT PRIMARY KEY,
        row_id INTEGER NOT NULL
    ) WITHOUT ROWID
    ;
INSERT INTO "watermarks" VALUES('rollup',23);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX completion_requests_event_id ON completion_requests(event_id);
CREATE INDEX completion_requests_response_id ON completion_requests(response_id);
CREATE INDEX completion_requests_session_id ON completion_requests(session_id, timestamp);
CREATE INDEX completion_requests_timestamp ON completion_requests(timestamp);
CREATE TRIGGER completion_requests_export_changes AFTER UPDATE ON completion_requests
    WHEN EXISTS (SELECT 1 FROM exporters WHERE change_id IS NOT NULL AND claimed_id >= new.id)
    BEGIN
        INSERT INTO export_changes (row_id) VALUES (new.id);
    END;
CREATE VIEW cache_hits_last_24h AS
-- cache_hits_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model: how much of the input was read from the provider's cache, of the calls whose provider says so.
SELECT model, count(cached_tokens) AS requests, sum(cached_tokens > 0) AS hits,
    sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
    sum(cache_write_tokens) AS cache_write_tokens,
    round(100.0 * sum(cached_tokens) / sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 1) AS cached_percent
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')
GROUP BY model
HAVING count(cached_tokens) > 0
ORDER BY prompt_tokens DESC;
CREATE VIEW cache_hits_last_7d AS
-- cache_hits_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model: how much of the input was read from the provider's cache, of the calls whose provider says so.
SELECT model, count(cached_tokens) AS requests, sum(cached_tokens > 0) AS hits,
    sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
    sum(cache_write_tokens) AS cache_write_tokens,
    round(100.0 * sum(cached_tokens) / sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 1) AS cached_percent
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days')
GROUP BY model
HAVING count(cached_tokens) > 0
ORDER BY prompt_tokens DESC;
CREATE VIEW call_errors AS
-- call_errors is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- Each failed call with the class of its cause, in one word for all providers; a call from before version 7 of the schema
-- has the class that its type alone says.
SELECT event_id, timestamp, model, origin, provider, status_code,
    coalesce(error_class, CASE
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('ratelimit', 'ratelimited', 'ratelimits', 'ratelimiterror', 'ratelimitexceeded', 'ratelimitexceedederror', 'ratelimitreached', 'ratelimitreachederror', 'toomanyrequests', 'toomanyrequestserror', 'toomanyrequestsexception', 'throttling', 'throttlingexception', 'throttledexception', 'requestlimitexceeded', 'requests', 'tokens', 'throttlingratequota', 'throttlingburstrate', 'throttlingallocationquota', 'limitrequests', 'limitburstrate', 'requestbursttoofast', 'concurrencylimitexceeded', 'resourceexhausted', 'http429') THEN 'rate_limit'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('quota', 'quotaexceeded', 'insufficientquota', 'exceededcurrentquota', 'exceededcurrentquotaerror', 'insufficientuserquota', 'insufficientbalance', 'insufficientcredits', 'insufficientfunds', 'nocredits', 'billingerror', 'billingnotactive', 'billingdisabled', 'billinghardlimitreached', 'paymentrequired', 'paymentrequirederror', 'arrearage', 'prepaidbilloverdue', 'postpaidbilloverdue', 'accountoverdueerror', 'servicequotaexceededexception', 'allocationquotafreetieronly', 'throttlingallocationquotafreetieronly', 'usagelimitreached', 'usagelimitexceeded', 'usagenotincluded', 'budgetexceeded', 'budgetexceedederror', 'dailylimitexceeded', 'monthlylimitexceeded', 'spendinglimitreached', 'setlimitexceeded', 'http402') THEN 'quota'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('overloaded', 'overloadederror', 'engineoverloaded', 'engineoverloadederror', 'serveroverloaded', 'slowdown', 'capacityexceeded', 'servicetiercapacityexceeded', 'modeloverloaded', 'provideroverloaded', 'serverbusy', 'resourceunavailable', 'insufficientsystemresource', 'modelnotreadyexception', 'noavailableprovider', 'serviceunavailableexception', 'serviceunavailable', 'serviceunavailableerror', 'temporarilyunavailable', 'unavailable', 'nocapacity', 'modelservingerror', 'http503', 'http529') THEN 'overloaded'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('contextlength', 'contextlengthexceeded', 'contextlengtherror', 'contextwindowexceeded', 'contextwindowexceedederror', 'exceedcontextsizeerror', 'modelcontextwindowexceeded', 'modelmaxprompttokensexceeded', 'prompttoolong', 'inputtoolong', 'inputlengthexceeded') THEN 'context_length'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('contentfilter', 'contentfiltered', 'contentfiltererror', 'contentpolicy', 'contentpolicyviolation', 'contentpolicyviolationerror', 'responsibleaipolicyviolation', 'datainspectionfailed', 'moderationblocked', 'moderationerror', 'contentmoderation', 'invalidprompt', 'sensitivewordsdetected', 'sensitivecontentdetected', 'inputtextsensitivecontentdetected', 'outputtextsensitivecontentdetected', 'inputimagesensitivecontentdetected', 'imagecontentpolicyviolation', 'safety', 'imagesafety', 'prohibitedcontent', 'guardrailintervened', 'guardrailblocked', 'cyberpolicy', 'cyberpolicyviolation', 'biopolicy', 'refusal') THEN 'content_filter'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('auth', 'autherror', 'authentication', 'authenticationerror', 'invalidauthentication', 'invalidauthenticationerror', 'unauthenticated', 'unauthorized', 'unauthorizederror', 'unauthorizedexception', 'permissionerror', 'permissiondenied', 'permissiondeniederror', 'forbidden', 'forbiddenerror', 'accessdenied', 'accessdeniederror', 'accessdeniedexception', 'accessdeniedunpurchased', 'modelaccessdenied', 'workspaceaccessdenied', 'accessterminatederror', 'invalidapikey', 'invalidkey', 'apikeyinvalid', 'apikeyserviceblocked', 'apikeyexpired', 'incorrectapikey', 'incorrectapikeyerror', 'missingapikey', 'noapikey', 'wrongapikey', 'servicedisabled', 'consumerinvalid', 'accesstokenexpired', 'accesstokentypeunsupported', 'credentialsmissing', 'unrecognizedclientexception', 'expiredtokenexception', 'expiredtoken', 'invalidsignatureexception', 'incompletesignature', 'incompletesignatureexception', 'invalidclienttokenid', 'missingauthenticationtoken', 'missingauthenticationtokenexception', 'signaturedoesnotmatch', 'optinrequired', 'notauthorized', 'accountdeactivated', 'accountsuspended', 'accountdisabled', 'deactivatedworkspace', 'invalidorganization', 'ipnotauthorized', 'invalidtoken', 'tokenexpired', 'unsupportedcountryregionterritory', 'modeltermsrequired', 'modelpermissionblockedorg', 'modelpermissionblockedproject', 'http401', 'http403') THEN 'auth'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('notfound', 'notfounderror', 'notfoundexception', 'resourcenotfound', 'resourcenotfoundexception', 'resourcenotfounderror', 'modelnotfound', 'modelnotfounderror', 'modelnotexist', 'unknownmodel', 'modelnotavailable', 'modelnotsupported', 'modeldecommissioned', 'invalidmodel', 'deploymentnotfound', 'unknownurl', 'previousresponsenotfound', 'responsenotfound', 'conversationnotfound', 'nosuchmodel', 'http404', 'http410') THEN 'not_found'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('timeout', 'timeouterror', 'requesttimeout', 'requesttimeouterror', 'gatewaytimeout', 'deadlineexceeded', 'modeltimeoutexception', 'apitimeouterror', 'timeoutexception', 'upstreamtimeout', 'streamtimeout', 'responsetimeout', 'vectorstoretimeout', 'http408', 'http504', 'http522', 'http524') THEN 'timeout'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('upstreamunreachable', 'upstreamtls', 'upstreamdisconnect') THEN 'network'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('clientdisconnect', 'clientcancelled', 'clientclosedrequest', 'cancelled', 'canceled', 'requestcancelled', 'turndetected', 'http499') THEN 'client_left'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('streamtruncated') THEN 'truncated'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('proxyshutdown') THEN 'shutdown'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('servererror', 'servererrorexception', 'apierror', 'internal', 'internalerror', 'internalservererror', 'internalserverexception', 'internalservererrorexception', 'internalfailure', 'internalerroralgo', 'internalerrortimeout', 'internalerrorupload', 'systemerror', 'unknown', 'unknownerror', 'modelerrorexception', 'modelstreamerrorexception', 'modelerror', 'upstreamerror', 'providererror', 'badgateway', 'backenderror', 'error', 'failed', 'engineerror', 'processingerror', 'toolusefailed', 'jsonvalidatefailed', 'aborted', 'dataloss', 'http500', 'http502', 'http520', 'http521', 'http523', 'http525', 'http526', 'http530') THEN 'server_error'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('invalidrequest', 'invalidrequesterror', 'invalidrequestexception', 'badrequest', 'badrequesterror', 'badrequestexception', 'invalidargument', 'invalidparameter', 'invalidparametererror', 'invalidparametervalue', 'failedprecondition', 'outofrange', 'unimplemented', 'alreadyexists', 'conflict', 'conflicterror', 'validationexception', 'validationerror', 'requestvalidationerror', 'serializationexception', 'unprocessableentity', 'unprocessableentityerror', 'unsupportedparameter', 'unsupportedvalue', 'unsupportedoperation', 'unsupportedmodel', 'invalidvalue', 'invalidtype', 'invalidjson', 'missingrequiredparameter', 'missingparameter', 'stringabovemaxlength', 'requesttoolarge', 'requestentitytoolarge', 'payloadtoolarge', 'badrequesttoolarge', 'invalidurl', 'methodnotallowed', 'imagegenerationusererror', 'http400', 'http405', 'http406', 'http409', 'http411', 'http413', 'http414', 'http415', 'http422', 'http424') THEN 'invalid_request'
        ELSE 'other' END) AS error_class,
    error_type, error_code, error_message, retry_count, prompt_tokens, cost_usd, billing, cost_note
FROM completion_requests
WHERE NOT success;
CREATE VIEW calls_by_span AS
-- calls_by_span is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- The roll-up with the calls that it does not have yet: for each day or month (span) and key, numbers and sums of calls.
-- '' stands for NULL in keys; a sum of which no value is known (_known) is unknown. Costs are those that are billed, and
-- not what a plan's calls would have cost: costs_by_span has both.
SELECT span, period, model, origin, provider, is_streaming, success, error_type, calls,
    prompt_tokens, prompt_tokens_known, completion_tokens, completion_tokens_known, total_tokens,
    total_tokens_known, cached_tokens, cached_tokens_known, cache_write_tokens, cache_write_tokens_known,
    reasoning_tokens, reasoning_tokens_known, cost_usd, cost_usd_known, response_time_ms, response_time_ms_known,
    time_to_first_token_ms, time_to_first_token_ms_known, time_to_last_token_ms, time_to_last_token_ms_known,
    tokens_per_second, tokens_per_second_known
FROM rollup_calls
UNION ALL
SELECT span, substr(timestamp, 1, length), ifnull(model, ''), ifnull(origin, ''), ifnull(provider, ''), is_streaming,
    success, ifnull(error_type, ''), count(*),
    total(prompt_tokens), count(prompt_tokens), total(completion_tokens), count(completion_tokens),
    total(total_tokens), count(total_tokens), total(cached_tokens), count(cached_tokens), total(cache_write_tokens),
    count(cache_write_tokens), total(reasoning_tokens), count(reasoning_tokens),
    total(iif(billing IS 'subscription', NULL, cost_usd)), count(iif(billing IS 'subscription', NULL, cost_usd)),
    total(response_time_ms), count(response_time_ms), total(time_to_first_token_ms), count(time_to_first_token_ms),
    total(time_to_last_token_ms), count(time_to_last_token_ms), total(tokens_per_second), count(tokens_per_second)
FROM (SELECT 'day' AS span, 10 AS length UNION ALL SELECT 'month', 7) CROSS JOIN completion_requests
WHERE id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
CREATE VIEW cost_by_day AS
-- cost_by_day is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each day, model and origin, over all time, from the roll-up: calls, tokens and cost, and how many calls have one.
-- Costs are of keys; plan_cost_usd is what a plan's calls would have cost. Of cost_incomplete calls the cost is a lower
-- bound or unknown: cost_notes_by_day says why.
SELECT calls.period AS day, nullif(calls.model, '') AS model, nullif(calls.origin, '') AS origin, requests,
    costs.priced, prompt_tokens, completion_tokens, calls.cost_usd, plan_cost_usd, cost_incomplete
FROM (
    SELECT period, model, origin, sum(calls) AS requests,
        CASE WHEN sum(prompt_tokens_known) THEN CAST(total(prompt_tokens) AS INTEGER) END AS prompt_tokens,
        CASE WHEN sum(completion_tokens_known) THEN CAST(total(completion_tokens) AS INTEGER) END AS completion_tokens,
        CASE WHEN sum(cost_usd_known) THEN round(total(cost_usd), 6) END AS cost_usd
    FROM calls_by_span WHERE span = 'day' GROUP BY period, model, origin
) AS calls LEFT JOIN (
    SELECT period, model, origin, sum(cost_usd_known) AS priced,
        sum(CASE WHEN cost_note <> '' THEN calls ELSE 0 END) AS cost_incomplete,
        CASE WHEN sum(CASE WHEN billing = 'subscription' THEN cost_usd_known END)
            THEN round(total(CASE WHEN billing = 'subscription' THEN cost_usd END), 6) END AS plan_cost_usd
    FROM costs_by_span WHERE span = 'day' GROUP BY period, model, origin
) AS costs ON costs.period = calls.period AND costs.model = calls.model AND costs.origin = calls.origin
ORDER BY day DESC, calls.cost_usd DESC;
CREATE VIEW cost_notes_by_day AS
-- cost_notes_by_day is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- As cost_notes_last_24h for each day of all time, from the roll-up.
SELECT period AS day, cost_note, nullif(provider, '') AS provider, nullif(model, '') AS model, sum(calls) AS calls,
    sum(cost_usd_known) AS lower_bounds, CASE WHEN sum(cost_usd_known) THEN round(total(cost_usd), 6) END AS cost_usd
FROM costs_by_span WHERE span = 'day' AND cost_note <> ''
GROUP BY period, cost_note, costs_by_span.provider, costs_by_span.model
ORDER BY day DESC, calls DESC;
CREATE VIEW cost_notes_last_24h AS
-- cost_notes_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each reason for which costs are lower bounds or unknown, and model: how many calls, and what is known of them.
SELECT cost_note, provider, model, count(*) AS calls, count(cost_usd) AS lower_bounds,
    round(sum(cost_usd), 6) AS cost_usd
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AND cost_note IS NOT NULL
GROUP BY cost_note, provider, model
ORDER BY calls DESC;
CREATE VIEW cost_notes_last_7d AS
-- cost_notes_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each reason for which costs are lower bounds or unknown, and model: how many calls, and what is known of them.
SELECT cost_note, provider, model, count(*) AS calls, count(cost_usd) AS lower_bounds,
    round(sum(cost_usd), 6) AS cost_usd
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days') AND cost_note IS NOT NULL
GROUP BY cost_note, provider, model
ORDER BY calls DESC;
CREATE VIEW costs_by_span AS
-- costs_by_span is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- The roll-up of costs with the calls that it does not have yet: for each day or month (span), who pays (billing) and what
-- is lacking (cost_note). Of a group with a note, costs are lower bounds, and calls without one are unknown.
SELECT span, period, model, origin, provider, billing, cost_note, calls, cost_usd, cost_usd_known
FROM rollup_costs WHERE calls <> 0
UNION ALL
SELECT span, substr(timestamp, 1, length), ifnull(model, ''), ifnull(origin, ''), ifnull(provider, ''),
    ifnull(billing, ''), ifnull(cost_note, ''), count(*), total(cost_usd), count(cost_usd)
FROM (SELECT 'day' AS span, 10 AS length UNION ALL SELECT 'month', 7) CROSS JOIN completion_requests
WHERE id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0)
GROUP BY 1, 2, 3, 4, 5, 6, 7;
CREATE VIEW error_classes_last_24h AS
-- error_classes_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each class of errors: how many calls, of how many models, in how many of the providers' own words, and the last of
-- them. SQLite takes the other columns of a row with max() from the row that has the maximum.
SELECT error_class, count(*) AS calls, count(DISTINCT model) AS model_count, count(DISTINCT error_type) AS type_count,
    max(timestamp) AS last_at, error_type AS last_type, model AS last_model, origin AS last_origin,
    error_message AS last_message
FROM call_errors
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')
GROUP BY error_class
ORDER BY calls DESC;
CREATE VIEW error_classes_last_7d AS
-- error_classes_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each class of errors: how many calls, of how many models, in how many of the providers' own words, and the last of
-- them. SQLite takes the other columns of a row with max() from the row that has the maximum.
SELECT error_class, count(*) AS calls, count(DISTINCT model) AS model_count, count(DISTINCT error_type) AS type_count,
    max(timestamp) AS last_at, error_type AS last_type, model AS last_model, origin AS last_origin,
    error_message AS last_message
FROM call_errors
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days')
GROUP BY error_class
ORDER BY calls DESC;
CREATE VIEW error_classes_last_hour AS
-- error_classes_last_hour is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each class of errors: how many calls, of how many models, in how many of the providers' own words, and the last of
-- them. SQLite takes the other columns of a row with max() from the row that has the maximum.
SELECT error_class, count(*) AS calls, count(DISTINCT model) AS model_count, count(DISTINCT error_type) AS type_count,
    max(timestamp) AS last_at, error_type AS last_type, model AS last_model, origin AS last_origin,
    error_message AS last_message
FROM call_errors
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')
GROUP BY error_class
ORDER BY calls DESC;
CREATE VIEW errors_by_day AS
-- errors_by_day is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each day, model and type of error with its class, over all time, from the roll-up: how many calls failed.
SELECT period AS day, nullif(model, '') AS model, nullif(error_type, '') AS error_type, sum(calls) AS calls, error_class
FROM errors_by_span WHERE span = 'day'
GROUP BY period, errors_by_span.model, errors_by_span.error_type, error_class
ORDER BY day DESC, calls DESC;
CREATE VIEW errors_by_span AS
-- errors_by_span is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- The roll-up of failed calls with those that it does not have yet: for each day or month (span), their class and the
-- provider's own word. '' stands for NULL in keys; calls from before version 7 of the schema have the class of their type.
SELECT span, period, model, origin, provider, coalesce(error_class, CASE
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('ratelimit', 'ratelimited', 'ratelimits', 'ratelimiterror', 'ratelimitexceeded', 'ratelimitexceedederror', 'ratelimitreached', 'ratelimitreachederror', 'toomanyrequests', 'toomanyrequestserror', 'toomanyrequestsexception', 'throttling', 'throttlingexception', 'throttledexception', 'requestlimitexceeded', 'requests', 'tokens', 'throttlingratequota', 'throttlingburstrate', 'throttlingallocationquota', 'limitrequests', 'limitburstrate', 'requestbursttoofast', 'concurrencylimitexceeded', 'resourceexhausted', 'http429') THEN 'rate_limit'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('quota', 'quotaexceeded', 'insufficientquota', 'exceededcurrentquota', 'exceededcurrentquotaerror', 'insufficientuserquota', 'insufficientbalance', 'insufficientcredits', 'insufficientfunds', 'nocredits', 'billingerror', 'billingnotactive', 'billingdisabled', 'billinghardlimitreached', 'paymentrequired', 'paymentrequirederror', 'arrearage', 'prepaidbilloverdue', 'postpaidbilloverdue', 'accountoverdueerror', 'servicequotaexceededexception', 'allocationquotafreetieronly', 'throttlingallocationquotafreetieronly', 'usagelimitreached', 'usagelimitexceeded', 'usagenotincluded', 'budgetexceeded', 'budgetexceedederror', 'dailylimitexceeded', 'monthlylimitexceeded', 'spendinglimitreached', 'setlimitexceeded', 'http402') THEN 'quota'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('overloaded', 'overloadederror', 'engineoverloaded', 'engineoverloadederror', 'serveroverloaded', 'slowdown', 'capacityexceeded', 'servicetiercapacityexceeded', 'modeloverloaded', 'provideroverloaded', 'serverbusy', 'resourceunavailable', 'insufficientsystemresource', 'modelnotreadyexception', 'noavailableprovider', 'serviceunavailableexception', 'serviceunavailable', 'serviceunavailableerror', 'temporarilyunavailable', 'unavailable', 'nocapacity', 'modelservingerror', 'http503', 'http529') THEN 'overloaded'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('contextlength', 'contextlengthexceeded', 'contextlengtherror', 'contextwindowexceeded', 'contextwindowexceedederror', 'exceedcontextsizeerror', 'modelcontextwindowexceeded', 'modelmaxprompttokensexceeded', 'prompttoolong', 'inputtoolong', 'inputlengthexceeded') THEN 'context_length'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('contentfilter', 'contentfiltered', 'contentfiltererror', 'contentpolicy', 'contentpolicyviolation', 'contentpolicyviolationerror', 'responsibleaipolicyviolation', 'datainspectionfailed', 'moderationblocked', 'moderationerror', 'contentmoderation', 'invalidprompt', 'sensitivewordsdetected', 'sensitivecontentdetected', 'inputtextsensitivecontentdetected', 'outputtextsensitivecontentdetected', 'inputimagesensitivecontentdetected', 'imagecontentpolicyviolation', 'safety', 'imagesafety', 'prohibitedcontent', 'guardrailintervened', 'guardrailblocked', 'cyberpolicy', 'cyberpolicyviolation', 'biopolicy', 'refusal') THEN 'content_filter'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('auth', 'autherror', 'authentication', 'authenticationerror', 'invalidauthentication', 'invalidauthenticationerror', 'unauthenticated', 'unauthorized', 'unauthorizederror', 'unauthorizedexception', 'permissionerror', 'permissiondenied', 'permissiondeniederror', 'forbidden', 'forbiddenerror', 'accessdenied', 'accessdeniederror', 'accessdeniedexception', 'accessdeniedunpurchased', 'modelaccessdenied', 'workspaceaccessdenied', 'accessterminatederror', 'invalidapikey', 'invalidkey', 'apikeyinvalid', 'apikeyserviceblocked', 'apikeyexpired', 'incorrectapikey', 'incorrectapikeyerror', 'missingapikey', 'noapikey', 'wrongapikey', 'servicedisabled', 'consumerinvalid', 'accesstokenexpired', 'accesstokentypeunsupported', 'credentialsmissing', 'unrecognizedclientexception', 'expiredtokenexception', 'expiredtoken', 'invalidsignatureexception', 'incompletesignature', 'incompletesignatureexception', 'invalidclienttokenid', 'missingauthenticationtoken', 'missingauthenticationtokenexception', 'signaturedoesnotmatch', 'optinrequired', 'notauthorized', 'accountdeactivated', 'accountsuspended', 'accountdisabled', 'deactivatedworkspace', 'invalidorganization', 'ipnotauthorized', 'invalidtoken', 'tokenexpired', 'unsupportedcountryregionterritory', 'modeltermsrequired', 'modelpermissionblockedorg', 'modelpermissionblockedproject', 'http401', 'http403') THEN 'auth'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('notfound', 'notfounderror', 'notfoundexception', 'resourcenotfound', 'resourcenotfoundexception', 'resourcenotfounderror', 'modelnotfound', 'modelnotfounderror', 'modelnotexist', 'unknownmodel', 'modelnotavailable', 'modelnotsupported', 'modeldecommissioned', 'invalidmodel', 'deploymentnotfound', 'unknownurl', 'previousresponsenotfound', 'responsenotfound', 'conversationnotfound', 'nosuchmodel', 'http404', 'http410') THEN 'not_found'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('timeout', 'timeouterror', 'requesttimeout', 'requesttimeouterror', 'gatewaytimeout', 'deadlineexceeded', 'modeltimeoutexception', 'apitimeouterror', 'timeoutexception', 'upstreamtimeout', 'streamtimeout', 'responsetimeout', 'vectorstoretimeout', 'http408', 'http504', 'http522', 'http524') THEN 'timeout'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('upstreamunreachable', 'upstreamtls', 'upstreamdisconnect') THEN 'network'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('clientdisconnect', 'clientcancelled', 'clientclosedrequest', 'cancelled', 'canceled', 'requestcancelled', 'turndetected', 'http499') THEN 'client_left'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('streamtruncated') THEN 'truncated'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('proxyshutdown') THEN 'shutdown'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('servererror', 'servererrorexception', 'apierror', 'internal', 'internalerror', 'internalservererror', 'internalserverexception', 'internalservererrorexception', 'internalfailure', 'internalerroralgo', 'internalerrortimeout', 'internalerrorupload', 'systemerror', 'unknown', 'unknownerror', 'modelerrorexception', 'modelstreamerrorexception', 'modelerror', 'upstreamerror', 'providererror', 'badgateway', 'backenderror', 'error', 'failed', 'engineerror', 'processingerror', 'toolusefailed', 'jsonvalidatefailed', 'aborted', 'dataloss', 'http500', 'http502', 'http520', 'http521', 'http523', 'http525', 'http526', 'http530') THEN 'server_error'
        WHEN replace(replace(replace(replace(lower(error_type), '_', ''), '-', ''), '.', ''), ' ', '') IN ('invalidrequest', 'invalidrequesterror', 'invalidrequestexception', 'badrequest', 'badrequesterror', 'badrequestexception', 'invalidargument', 'invalidparameter', 'invalidparametererror', 'invalidparametervalue', 'failedprecondition', 'outofrange', 'unimplemented', 'alreadyexists', 'conflict', 'conflicterror', 'validationexception', 'validationerror', 'requestvalidationerror', 'serializationexception', 'unprocessableentity', 'unprocessableentityerror', 'unsupportedparameter', 'unsupportedvalue', 'unsupportedoperation', 'unsupportedmodel', 'invalidvalue', 'invalidtype', 'invalidjson', 'missingrequiredparameter', 'missingparameter', 'stringabovemaxlength', 'requesttoolarge', 'requestentitytoolarge', 'payloadtoolarge', 'badrequesttoolarge', 'invalidurl', 'methodnotallowed', 'imagegenerationusererror', 'http400', 'http405', 'http406', 'http409', 'http411', 'http413', 'http414', 'http415', 'http422', 'http424') THEN 'invalid_request'
        ELSE 'other' END) AS error_class, error_type,
    calls
FROM (
    SELECT span, period, model, origin, provider, nullif(error_class, '') AS error_class, error_type, calls
    FROM rollup_errors
    UNION ALL
    SELECT span, substr(timestamp, 1, length), ifnull(model, ''), ifnull(origin, ''), ifnull(provider, ''), error_class,
        ifnull(error_type, ''), count(*)
    FROM (SELECT 'day' AS span, 10 AS length UNION ALL SELECT 'month', 7) CROSS JOIN completion_requests
    WHERE id > ifnull((SELECT row_id FROM watermarks WHERE name = 'rollup'), 0) AND NOT success
    GROUP BY 1, 2, 3, 4, 5, 6, 7);
CREATE VIEW errors_last_24h AS
-- errors_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each type of error and its class: how many calls, since when, and the last of them. SQLite takes the other columns of
-- a row with max() from the row that has the maximum.
SELECT error_type, calls, first_at, last_at, status_code AS last_status_code, model AS last_model,
    origin AS last_origin, error_message AS last_message, error_class
FROM (
    SELECT error_type, error_class, count(*) AS calls, min(timestamp) AS first_at, max(timestamp) AS last_at, status_code,
        model, origin, error_message
    FROM call_errors
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')
    GROUP BY error_type, error_class)
ORDER BY calls DESC;
CREATE VIEW errors_last_7d AS
-- errors_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each type of error and its class: how many calls, since when, and the last of them. SQLite takes the other columns of
-- a row with max() from the row that has the maximum.
SELECT error_type, calls, first_at, last_at, status_code AS last_status_code, model AS last_model,
    origin AS last_origin, error_message AS last_message, error_class
FROM (
    SELECT error_type, error_class, count(*) AS calls, min(timestamp) AS first_at, max(timestamp) AS last_at, status_code,
        model, origin, error_message
    FROM call_errors
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days')
    GROUP BY error_type, error_class)
ORDER BY calls DESC;
CREATE VIEW errors_last_hour AS
-- errors_last_hour is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each type of error and its class: how many calls, since when, and the last of them. SQLite takes the other columns of
-- a row with max() from the row that has the maximum.
SELECT error_type, calls, first_at, last_at, status_code AS last_status_code, model AS last_model,
    origin AS last_origin, error_message AS last_message, error_class
FROM (
    SELECT error_type, error_class, count(*) AS calls, min(timestamp) AS first_at, max(timestamp) AS last_at, status_code,
        model, origin, error_message
    FROM call_errors
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')
    GROUP BY error_type, error_class)
ORDER BY calls DESC;
CREATE VIEW failed_cost_last_24h AS
-- failed_cost_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model and type of error: what calls cost that failed, were cut or left, at least; and how many of them were
-- attempts after a first one.
SELECT model, error_type, count(*) AS calls, sum(retry_count > 0) AS retries, sum(prompt_tokens) AS prompt_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd,
    round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete, error_class
FROM call_errors
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AND (cost_usd IS NOT NULL OR cost_note IS NOT NULL)
GROUP BY model, error_type, error_class
ORDER BY cost_usd DESC, calls DESC;
CREATE VIEW failed_cost_last_7d AS
-- failed_cost_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model and type of error: what calls cost that failed, were cut or left, at least; and how many of them were
-- attempts after a first one.
SELECT model, error_type, count(*) AS calls, sum(retry_count > 0) AS retries, sum(prompt_tokens) AS prompt_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd,
    round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete, error_class
FROM call_errors
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days') AND (cost_usd IS NOT NULL OR cost_note IS NOT NULL)
GROUP BY model, error_type, error_class
ORDER BY cost_usd DESC, calls DESC;
CREATE VIEW finish_classes_last_24h AS
-- finish_classes_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model and class of ends, in one word for all providers: how many calls ended so, and in how much of the model's
-- calls of which the end is known.
SELECT model, finish_class, calls, round(100.0 * calls / sum(calls) OVER (PARTITION BY model), 2) AS percent
FROM (
    SELECT model, coalesce(finish_class, CASE WHEN finish_reason IS NULL THEN NULL ELSE CASE
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('stop', 'stopsequence', 'endturn', 'end', 'eos', 'eostoken', 'endoftext', 'complete', 'completed', 'finish', 'finished', 'turncomplete', 'generationcomplete', 'generated') THEN 'stop'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('length', 'maxtokens', 'maxoutputtokens', 'maxlength', 'maxnewtokens', 'modellength', 'maxmodellength', 'tokenlimit', 'contextlength', 'modelcontextwindowexceeded', 'budgetexceeded', 'incomplete', 'errorlimit') THEN 'length'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('toolcall', 'toolcalls', 'tooluse', 'functioncall', 'functioncalls', 'requiresaction') THEN 'tool'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('contentfilter', 'contentfiltered', 'contentfiltererror', 'refusal', 'sensitive', 'guardrailintervened', 'safety', 'recitation', 'blocklist', 'prohibitedcontent', 'prohibitedinputcontent', 'spii', 'jailbreak', 'modelarmor', 'imagesafety', 'imageprohibitedcontent', 'imageprohibitedinputcontent', 'imagerecitation', 'errortoxic', 'responserejected', 'cyberpolicy', 'moderation') THEN 'filter'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('error', 'failed', 'failure', 'modelerror', 'servererror', 'networkerror', 'timeout', 'malformedfunctioncall', 'malformedresponse', 'malformedmodeloutput', 'malformedtooluse', 'unexpectedtoolcall', 'toomanytoolcalls', 'missingthoughtsignature', 'noimage', 'imageother', 'insufficientsystemresource') THEN 'error'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('pauseturn', 'requirescontinuation', 'needmoreinput', 'inprogress', 'queued', 'compaction') THEN 'pause'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('cancelled', 'canceled', 'usercancelled', 'clientcancelled', 'turndetected', 'interrupted', 'abort', 'aborted') THEN 'cancelled'
        ELSE 'other' END END) AS finish_class, count(*) AS calls
    FROM completion_requests
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AND finish_reason IS NOT NULL
    GROUP BY 1, 2) AS ends
ORDER BY model, calls DESC;
CREATE VIEW finish_classes_last_7d AS
-- finish_classes_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model and class of ends, in one word for all providers: how many calls ended so, and in how much of the model's
-- calls of which the end is known.
SELECT model, finish_class, calls, round(100.0 * calls / sum(calls) OVER (PARTITION BY model), 2) AS percent
FROM (
    SELECT model, coalesce(finish_class, CASE WHEN finish_reason IS NULL THEN NULL ELSE CASE
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('stop', 'stopsequence', 'endturn', 'end', 'eos', 'eostoken', 'endoftext', 'complete', 'completed', 'finish', 'finished', 'turncomplete', 'generationcomplete', 'generated') THEN 'stop'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('length', 'maxtokens', 'maxoutputtokens', 'maxlength', 'maxnewtokens', 'modellength', 'maxmodellength', 'tokenlimit', 'contextlength', 'modelcontextwindowexceeded', 'budgetexceeded', 'incomplete', 'errorlimit') THEN 'length'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('toolcall', 'toolcalls', 'tooluse', 'functioncall', 'functioncalls', 'requiresaction') THEN 'tool'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('contentfilter', 'contentfiltered', 'contentfiltererror', 'refusal', 'sensitive', 'guardrailintervened', 'safety', 'recitation', 'blocklist', 'prohibitedcontent', 'prohibitedinputcontent', 'spii', 'jailbreak', 'modelarmor', 'imagesafety', 'imageprohibitedcontent', 'imageprohibitedinputcontent', 'imagerecitation', 'errortoxic', 'responserejected', 'cyberpolicy', 'moderation') THEN 'filter'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('error', 'failed', 'failure', 'modelerror', 'servererror', 'networkerror', 'timeout', 'malformedfunctioncall', 'malformedresponse', 'malformedmodeloutput', 'malformedtooluse', 'unexpectedtoolcall', 'toomanytoolcalls', 'missingthoughtsignature', 'noimage', 'imageother', 'insufficientsystemresource') THEN 'error'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('pauseturn', 'requirescontinuation', 'needmoreinput', 'inprogress', 'queued', 'compaction') THEN 'pause'
        WHEN replace(replace(replace(replace(lower(finish_reason), '_', ''), '-', ''), '.', ''), ' ', '') IN ('cancelled', 'canceled', 'usercancelled', 'clientcancelled', 'turndetected', 'interrupted', 'abort', 'aborted') THEN 'cancelled'
        ELSE 'other' END END) AS finish_class, count(*) AS calls
    FROM completion_requests
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days') AND finish_reason IS NOT NULL
    GROUP BY 1, 2) AS ends
ORDER BY model, calls DESC;
CREATE VIEW latency_by_day AS
-- latency_by_day is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each hour of the last eight days, or each day of all time, and model, from the roll-up: time to the first token,
-- whole time and tokens a second. Percentiles are within 3.2 %; the last minute is not in them yet.
SELECT whole.period AS day, nullif(whole.value, '') AS model, whole.calls AS requests,
    round(first_token.p50) AS first_token_p50_ms, round(first_token.p95) AS first_token_p95_ms,
    round(whole.p50) AS response_p50_ms, round(whole.p95) AS response_p95_ms,
    round(rate.p50, 1) AS tokens_per_second_p50
FROM rollup_times AS whole
    LEFT JOIN rollup_times AS first_token
        ON first_token.span = 'day' AND first_token.period = whole.period
        AND first_token.measure = 'time_to_first_token_ms' AND first_token.dimension = 'model'
        AND first_token.value = whole.value
    LEFT JOIN rollup_times AS rate
        ON rate.span = 'day' AND rate.period = whole.period
        AND rate.measure = 'tokens_per_second' AND rate.dimension = 'model' AND rate.value = whole.value
WHERE whole.span = 'day' AND whole.measure = 'response_time_ms' AND whole.dimension = 'model'
ORDER BY whole.period DESC, requests DESC;
CREATE VIEW latency_by_hour AS
-- latency_by_hour is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each hour of the last eight days, or each day of all time, and model, from the roll-up: time to the first token,
-- whole time and tokens a second. Percentiles are within 3.2 %; the last minute is not in them yet.
SELECT whole.period AS hour, nullif(whole.value, '') AS model, whole.calls AS requests,
    round(first_token.p50) AS first_token_p50_ms, round(first_token.p95) AS first_token_p95_ms,
    round(whole.p50) AS response_p50_ms, round(whole.p95) AS response_p95_ms,
    round(rate.p50, 1) AS tokens_per_second_p50
FROM rollup_times AS whole
    LEFT JOIN rollup_times AS first_token
        ON first_token.span = 'hour' AND first_token.period = whole.period
        AND first_token.measure = 'time_to_first_token_ms' AND first_token.dimension = 'model'
        AND first_token.value = whole.value
    LEFT JOIN rollup_times AS rate
        ON rate.span = 'hour' AND rate.period = whole.period
        AND rate.measure = 'tokens_per_second' AND rate.dimension = 'model' AND rate.value = whole.value
WHERE whole.span = 'hour' AND whole.measure = 'response_time_ms' AND whole.dimension = 'model'
ORDER BY whole.period DESC, requests DESC;
CREATE VIEW lost_events AS
-- lost_events is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- Calls that could not be recorded: how many, from when to when, and why. Empty is good.
SELECT at, process, detail AS cause, count AS calls, from_at, to_at FROM recorder_events
WHERE kind = 'gap'
ORDER BY id DESC;
CREATE VIEW model_summary_all AS
-- model_summary_all is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- As model_summary_last_24h over all time, from the roll-up, so also of rows that were pruned; percentiles within 3.2 %.
WITH sums AS (
    SELECT model, sum(calls) AS requests, sum(calls * NOT success) AS errors,
        CASE WHEN sum(prompt_tokens_known) THEN CAST(total(prompt_tokens) AS INTEGER) END AS prompt_tokens,
        CASE WHEN sum(cached_tokens_known) THEN CAST(total(cached_tokens) AS INTEGER) END AS cached_tokens,
        CASE WHEN sum(completion_tokens_known) THEN CAST(total(completion_tokens) AS INTEGER) END AS completion_tokens,
        CASE WHEN sum(cost_usd_known) THEN round(total(cost_usd), 6) END AS cost_usd
    FROM calls_by_span WHERE span = 'month' GROUP BY model
), costs AS (
    SELECT model, sum(CASE WHEN cost_note <> '' THEN calls ELSE 0 END) AS cost_incomplete,
        CASE WHEN sum(CASE WHEN billing = 'subscription' THEN cost_usd_known END)
            THEN round(total(CASE WHEN billing = 'subscription' THEN cost_usd END), 6) END AS plan_cost_usd
    FROM costs_by_span WHERE span = 'month' GROUP BY model
), times AS (
    SELECT model, measure, value, sum(calls) AS calls FROM times_by_span
    WHERE span = 'month' AND measure IN ('time_to_first_token_ms', 'tokens_per_second')
    GROUP BY model, measure, value
), ranked AS (
    SELECT model, measure, value,
        1.0 * sum(calls) OVER (PARTITION BY model, measure ORDER BY value)
            / sum(calls) OVER (PARTITION BY model, measure) AS share
    FROM times
), percentiles AS (
    SELECT model,
        min(value) FILTER (WHERE measure = 'time_to_first_token_ms' AND share >= 0.5) AS first_token_p50_ms,
        min(value) FILTER (WHERE measure = 'time_to_first_token_ms' AND share >= 0.95) AS first_token_p95_ms,
        min(value) FILTER (WHERE measure = 'time_to_first_token_ms' AND share >= 0.99) AS first_token_p99_ms,
        min(value) FILTER (WHERE measure = 'tokens_per_second' AND share >= 0.5) AS tokens_per_second_p50
    FROM ranked GROUP BY model
)
SELECT nullif(sums.model, '') AS model, requests, errors, round(100.0 * errors / requests, 2) AS error_percent,
    prompt_tokens, cached_tokens, completion_tokens, cost_usd, round(first_token_p50_ms) AS first_token_p50_ms,
    round(first_token_p95_ms) AS first_token_p95_ms, round(first_token_p99_ms) AS first_token_p99_ms,
    round(tokens_per_second_p50, 1) AS tokens_per_second_p50, plan_cost_usd, cost_incomplete
FROM sums LEFT JOIN percentiles ON percentiles.model = sums.model LEFT JOIN costs ON costs.model = sums.model
ORDER BY requests DESC;
CREATE VIEW model_summary_last_24h AS
-- model_summary_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model: calls, failures, tokens, cost, time to the first token and decode rate. Percentiles by nearest rank.
WITH calls AS (
    SELECT model, success, prompt_tokens, cached_tokens, completion_tokens, cost_usd, billing, cost_note,
        time_to_first_token_ms, tokens_per_second
    FROM completion_requests
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')
), first_token AS (
    SELECT model, time_to_first_token_ms AS ms,
        cume_dist() OVER (PARTITION BY model ORDER BY time_to_first_token_ms) AS share
    FROM calls WHERE time_to_first_token_ms IS NOT NULL
), first_token_of AS (
    SELECT model, min(ms) FILTER (WHERE share >= 0.5) AS p50, min(ms) FILTER (WHERE share >= 0.95) AS p95,
        min(ms) FILTER (WHERE share >= 0.99) AS p99
    FROM first_token GROUP BY model
), rate AS (
    SELECT model, tokens_per_second AS per_second,
        cume_dist() OVER (PARTITION BY model ORDER BY tokens_per_second) AS share
    FROM calls WHERE tokens_per_second IS NOT NULL
), rate_of AS (
    SELECT model, min(per_second) FILTER (WHERE share >= 0.5) AS p50 FROM rate GROUP BY model
), sums AS (
    SELECT model, count(*) AS requests, sum(NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
        sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
        sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription') AS cost_usd,
        sum(cost_usd) FILTER (WHERE billing = 'subscription') AS plan_cost_usd, count(cost_note) AS cost_incomplete
    FROM calls GROUP BY model
)
SELECT sums.model, requests, errors, round(100.0 * errors / requests, 2) AS error_percent, prompt_tokens, cached_tokens,
    completion_tokens, round(cost_usd, 6) AS cost_usd, first_token_of.p50 AS first_token_p50_ms,
    first_token_of.p95 AS first_token_p95_ms, first_token_of.p99 AS first_token_p99_ms,
    round(rate_of.p50, 1) AS tokens_per_second_p50, round(plan_cost_usd, 6) AS plan_cost_usd, cost_incomplete
FROM sums
    LEFT JOIN first_token_of ON first_token_of.model IS sums.model
    LEFT JOIN rate_of ON rate_of.model IS sums.model
ORDER BY requests DESC;
CREATE VIEW model_summary_last_7d AS
-- model_summary_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model: calls, failures, tokens, cost, time to the first token and decode rate. Percentiles by nearest rank.
WITH calls AS (
    SELECT model, success, prompt_tokens, cached_tokens, completion_tokens, cost_usd, billing, cost_note,
        time_to_first_token_ms, tokens_per_second
    FROM completion_requests
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days')
), first_token AS (
    SELECT model, time_to_first_token_ms AS ms,
        cume_dist() OVER (PARTITION BY model ORDER BY time_to_first_token_ms) AS share
    FROM calls WHERE time_to_first_token_ms IS NOT NULL
), first_token_of AS (
    SELECT model, min(ms) FILTER (WHERE share >= 0.5) AS p50, min(ms) FILTER (WHERE share >= 0.95) AS p95,
        min(ms) FILTER (WHERE share >= 0.99) AS p99
    FROM first_token GROUP BY model
), rate AS (
    SELECT model, tokens_per_second AS per_second,
        cume_dist() OVER (PARTITION BY model ORDER BY tokens_per_second) AS share
    FROM calls WHERE tokens_per_second IS NOT NULL
), rate_of AS (
    SELECT model, min(per_second) FILTER (WHERE share >= 0.5) AS p50 FROM rate GROUP BY model
), sums AS (
    SELECT model, count(*) AS requests, sum(NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
        sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
        sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription') AS cost_usd,
        sum(cost_usd) FILTER (WHERE billing = 'subscription') AS plan_cost_usd, count(cost_note) AS cost_incomplete
    FROM calls GROUP BY model
)
SELECT sums.model, requests, errors, round(100.0 * errors / requests, 2) AS error_percent, prompt_tokens, cached_tokens,
    completion_tokens, round(cost_usd, 6) AS cost_usd, first_token_of.p50 AS first_token_p50_ms,
    first_token_of.p95 AS first_token_p95_ms, first_token_of.p99 AS first_token_p99_ms,
    round(rate_of.p50, 1) AS tokens_per_second_p50, round(plan_cost_usd, 6) AS plan_cost_usd, cost_incomplete
FROM sums
    LEFT JOIN first_token_of ON first_token_of.model IS sums.model
    LEFT JOIN rate_of ON rate_of.model IS sums.model
ORDER BY requests DESC;
CREATE VIEW model_summary_last_hour AS
-- model_summary_last_hour is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model: calls, failures, tokens, cost, time to the first token and decode rate. Percentiles by nearest rank.
WITH calls AS (
    SELECT model, success, prompt_tokens, cached_tokens, completion_tokens, cost_usd, billing, cost_note,
        time_to_first_token_ms, tokens_per_second
    FROM completion_requests
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')
), first_token AS (
    SELECT model, time_to_first_token_ms AS ms,
        cume_dist() OVER (PARTITION BY model ORDER BY time_to_first_token_ms) AS share
    FROM calls WHERE time_to_first_token_ms IS NOT NULL
), first_token_of AS (
    SELECT model, min(ms) FILTER (WHERE share >= 0.5) AS p50, min(ms) FILTER (WHERE share >= 0.95) AS p95,
        min(ms) FILTER (WHERE share >= 0.99) AS p99
    FROM first_token GROUP BY model
), rate AS (
    SELECT model, tokens_per_second AS per_second,
        cume_dist() OVER (PARTITION BY model ORDER BY tokens_per_second) AS share
    FROM calls WHERE tokens_per_second IS NOT NULL
), rate_of AS (
    SELECT model, min(per_second) FILTER (WHERE share >= 0.5) AS p50 FROM rate GROUP BY model
), sums AS (
    SELECT model, count(*) AS requests, sum(NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
        sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
        sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription') AS cost_usd,
        sum(cost_usd) FILTER (WHERE billing = 'subscription') AS plan_cost_usd, count(cost_note) AS cost_incomplete
    FROM calls GROUP BY model
)
SELECT sums.model, requests, errors, round(100.0 * errors / requests, 2) AS error_percent, prompt_tokens, cached_tokens,
    completion_tokens, round(cost_usd, 6) AS cost_usd, first_token_of.p50 AS first_token_p50_ms,
    first_token_of.p95 AS first_token_p95_ms, first_token_of.p99 AS first_token_p99_ms,
    round(rate_of.p50, 1) AS tokens_per_second_p50, round(plan_cost_usd, 6) AS plan_cost_usd, cost_incomplete
FROM sums
    LEFT JOIN first_token_of ON first_token_of.model IS sums.model
    LEFT JOIN rate_of ON rate_of.model IS sums.model
ORDER BY requests DESC;
CREATE VIEW most_expensive_requests_last_24h AS
-- most_expensive_requests_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- The twenty calls that cost most.
SELECT timestamp, model, origin, status_code, error_type, response_time_ms, time_to_first_token_ms, prompt_tokens,
    cached_tokens, completion_tokens, cost_usd, retry_count, session_id, provider_request_id, id,
    cost_complete, cost_note
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AND cost_usd IS NOT NULL
ORDER BY cost_usd DESC LIMIT 20;
CREATE VIEW most_expensive_requests_last_7d AS
-- most_expensive_requests_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- The twenty calls that cost most.
SELECT timestamp, model, origin, status_code, error_type, response_time_ms, time_to_first_token_ms, prompt_tokens,
    cached_tokens, completion_tokens, cost_usd, retry_count, session_id, provider_request_id, id,
    cost_complete, cost_note
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days') AND cost_usd IS NOT NULL
ORDER BY cost_usd DESC LIMIT 20;
CREATE VIEW origin_summary_last_24h AS
-- origin_summary_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each origin: calls, failures, tokens and cost. Costs are of keys; plan_cost_usd is what a plan's calls
-- would have cost. Of cost_incomplete calls the cost is a lower bound or unknown: cost_notes says why.
SELECT origin, count(*) AS requests, sum(NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd, count(cost_usd) AS priced,
    max(timestamp) AS last_at, round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')
GROUP BY origin
ORDER BY cost_usd DESC, requests DESC;
CREATE VIEW origin_summary_last_7d AS
-- origin_summary_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each origin: calls, failures, tokens and cost. Costs are of keys; plan_cost_usd is what a plan's calls
-- would have cost. Of cost_incomplete calls the cost is a lower bound or unknown: cost_notes says why.
SELECT origin, count(*) AS requests, sum(NOT success) AS errors, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd, count(cost_usd) AS priced,
    max(timestamp) AS last_at, round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd,
    count(cost_note) AS cost_incomplete
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days')
GROUP BY origin
ORDER BY cost_usd DESC, requests DESC;
CREATE VIEW provider_time_last_24h AS
-- provider_time_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each provider and model: of the calls whose provider says how long it worked, how long that was, and what came
-- on top for network and queues. What a header says is set against the first byte, what a body says against the last.
-- Cut out with instr() and not json_extract(), which older SQLite does not trust in a view.
WITH stated AS (
    SELECT provider, model, upload_ms, connect_ms, time_to_first_byte_ms, response_time_ms, server_timing, CASE
            WHEN instr(server_timing, '"openai-processing-ms":') THEN '"openai-processing-ms":'
            WHEN instr(server_timing, '"x-amzn-bedrock-invocation-latency":') THEN '"x-amzn-bedrock-invocation-latency":'
            WHEN instr(server_timing, '"x-envoy-upstream-service-time":') THEN '"x-envoy-upstream-service-time":'
            WHEN instr(server_timing, '"latencyMs":') THEN '"latencyMs":'
            WHEN instr(server_timing, '"total_duration":') THEN '"total_duration":'
            WHEN instr(server_timing, '"total_time":') THEN '"total_time":'
        END AS name
    FROM completion_requests
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AND server_timing IS NOT NULL
), calls AS (
    SELECT provider, model, upload_ms, connect_ms,
        CASE WHEN name IN ('"latencyMs":', '"total_duration":', '"total_time":') THEN response_time_ms
            ELSE time_to_first_byte_ms END AS seen_ms,
        CASE name WHEN '"total_duration":' THEN 0.000001 WHEN '"total_time":' THEN 1000.0 ELSE 1.0 END
            * CAST(substr(server_timing, instr(server_timing, name) + length(name)) AS REAL) AS provider_ms
    FROM stated WHERE name IS NOT NULL
)
SELECT provider, model, count(*) AS requests, round(avg(seen_ms), 1) AS seen_ms,
    round(avg(provider_ms), 1) AS provider_ms, round(avg(seen_ms - provider_ms), 1) AS network_and_queue_ms,
    round(avg(upload_ms), 1) AS upload_ms, count(connect_ms) AS connections, round(avg(connect_ms), 1) AS connect_ms
FROM calls WHERE seen_ms IS NOT NULL
GROUP BY provider, model
ORDER BY requests DESC;
CREATE VIEW provider_time_last_7d AS
-- provider_time_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each provider and model: of the calls whose provider says how long it worked, how long that was, and what came
-- on top for network and queues. What a header says is set against the first byte, what a body says against the last.
-- Cut out with instr() and not json_extract(), which older SQLite does not trust in a view.
WITH stated AS (
    SELECT provider, model, upload_ms, connect_ms, time_to_first_byte_ms, response_time_ms, server_timing, CASE
            WHEN instr(server_timing, '"openai-processing-ms":') THEN '"openai-processing-ms":'
            WHEN instr(server_timing, '"x-amzn-bedrock-invocation-latency":') THEN '"x-amzn-bedrock-invocation-latency":'
            WHEN instr(server_timing, '"x-envoy-upstream-service-time":') THEN '"x-envoy-upstream-service-time":'
            WHEN instr(server_timing, '"latencyMs":') THEN '"latencyMs":'
            WHEN instr(server_timing, '"total_duration":') THEN '"total_duration":'
            WHEN instr(server_timing, '"total_time":') THEN '"total_time":'
        END AS name
    FROM completion_requests
    WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days') AND server_timing IS NOT NULL
), calls AS (
    SELECT provider, model, upload_ms, connect_ms,
        CASE WHEN name IN ('"latencyMs":', '"total_duration":', '"total_time":') THEN response_time_ms
            ELSE time_to_first_byte_ms END AS seen_ms,
        CASE name WHEN '"total_duration":' THEN 0.000001 WHEN '"total_time":' THEN 1000.0 ELSE 1.0 END
            * CAST(substr(server_timing, instr(server_timing, name) + length(name)) AS REAL) AS provider_ms
    FROM stated WHERE name IS NOT NULL
)
SELECT provider, model, count(*) AS requests, round(avg(seen_ms), 1) AS seen_ms,
    round(avg(provider_ms), 1) AS provider_ms, round(avg(seen_ms - provider_ms), 1) AS network_and_queue_ms,
    round(avg(upload_ms), 1) AS upload_ms, count(connect_ms) AS connections, round(avg(connect_ms), 1) AS connect_ms
FROM calls WHERE seen_ms IS NOT NULL
GROUP BY provider, model
ORDER BY requests DESC;
CREATE VIEW retries_last_24h AS
-- retries_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each provider and origin: calls that were attempts after a first one, refusals for too many, and how near the
-- limits came.
SELECT provider, origin, count(*) AS requests, sum(retry_count > 0) AS retries, max(retry_count) AS most_retries,
    sum(status_code = 429) AS rate_limited, max(retry_after_ms) AS longest_retry_after_ms,
    min(rate_limit_remaining_requests) AS least_remaining_requests,
    min(rate_limit_remaining_tokens) AS least_remaining_tokens
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')
GROUP BY provider, origin
HAVING retries > 0 OR rate_limited > 0
ORDER BY rate_limited DESC, retries DESC;
CREATE VIEW retries_last_7d AS
-- retries_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each provider and origin: calls that were attempts after a first one, refusals for too many, and how near the
-- limits came.
SELECT provider, origin, count(*) AS requests, sum(retry_count > 0) AS retries, max(retry_count) AS most_retries,
    sum(status_code = 429) AS rate_limited, max(retry_after_ms) AS longest_retry_after_ms,
    min(rate_limit_remaining_requests) AS least_remaining_requests,
    min(rate_limit_remaining_tokens) AS least_remaining_tokens
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days')
GROUP BY provider, origin
HAVING retries > 0 OR rate_limited > 0
ORDER BY rate_limited DESC, retries DESC;
CREATE VIEW sessions_last_24h AS
-- sessions_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each session: its calls in the window, from when to when, tokens and cost.
SELECT session_id, origin, count(*) AS requests, sum(NOT success) AS errors, min(timestamp) AS first_at,
    max(timestamp) AS last_at, group_concat(DISTINCT model) AS models, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd,
    round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd, count(cost_note) AS cost_incomplete
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AND session_id IS NOT NULL
GROUP BY session_id
ORDER BY last_at DESC;
CREATE VIEW sessions_last_7d AS
-- sessions_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each session: its calls in the window, from when to when, tokens and cost.
SELECT session_id, origin, count(*) AS requests, sum(NOT success) AS errors, min(timestamp) AS first_at,
    max(timestamp) AS last_at, group_concat(DISTINCT model) AS models, sum(prompt_tokens) AS prompt_tokens,
    sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
    round(sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription'), 6) AS cost_usd,
    round(sum(cost_usd) FILTER (WHERE billing = 'subscription'), 6) AS plan_cost_usd, count(cost_note) AS cost_incomplete
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days') AND session_id IS NOT NULL
GROUP BY session_id
ORDER BY last_at DESC;
CREATE VIEW slower_this_week AS
-- slower_this_week is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- For each model: time to the first token in the last 7 days, today included, beside the 7 days before, from the
-- roll-up, within 3.2 %. Most slowed down first.
WITH times AS (
    SELECT model, period > date('now', '-7 days') AS is_this_week, value, sum(calls) AS calls
    FROM times_by_span
    WHERE span = 'day' AND measure = 'time_to_first_token_ms' AND period > date('now', '-14 days')
    GROUP BY 1, 2, 3
), ranked AS (
    SELECT model, is_this_week, value, calls,
        1.0 * sum(calls) OVER (PARTITION BY model, is_this_week ORDER BY value)
            / sum(calls) OVER (PARTITION BY model, is_this_week) AS share
    FROM times
), weeks AS (
    SELECT model, is_this_week, sum(calls) AS calls, min(value) FILTER (WHERE share >= 0.5) AS p50,
        min(value) FILTER (WHERE share >= 0.95) AS p95
    FROM ranked GROUP BY model, is_this_week
)
SELECT nullif(now.model, '') AS model, now.calls AS streams, round(now.p50) AS first_token_p50_ms,
    round(before.p50) AS p50_week_before_ms, round(100.0 * now.p50 / before.p50 - 100, 1) AS change_percent,
    round(now.p95) AS first_token_p95_ms, round(before.p95) AS p95_week_before_ms
FROM weeks AS now LEFT JOIN weeks AS before ON before.model = now.model AND NOT before.is_this_week
WHERE now.is_this_week
ORDER BY change_percent DESC;
CREATE VIEW slowest_requests_last_24h AS
-- slowest_requests_last_24h is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- The twenty calls that took longest.
SELECT timestamp, model, origin, status_code, error_type, response_time_ms, time_to_first_token_ms, prompt_tokens,
    cached_tokens, completion_tokens, cost_usd, retry_count, session_id, provider_request_id, id,
    cost_complete, cost_note
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AND response_time_ms IS NOT NULL
ORDER BY response_time_ms DESC LIMIT 20;
CREATE VIEW slowest_requests_last_7d AS
-- slowest_requests_last_7d is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- The twenty calls that took longest.
SELECT timestamp, model, origin, status_code, error_type, response_time_ms, time_to_first_token_ms, prompt_tokens,
    cached_tokens, completion_tokens, cost_usd, retry_count, session_id, provider_request_id, id,
    cost_complete, cost_note
FROM completion_requests
WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days') AND response_time_ms IS NOT NULL
ORDER BY response_time_ms DESC LIMIT 20;
CREATE VIEW times_by_span AS
-- times_by_span is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- The roll-up's times, counted: for each hour, day or month (span), measure and model, how many calls (calls) took about
-- how long (value), within 3.2 %.
SELECT span, period, measure, rollup_times.value AS model,
    (1 << (CAST(counted.key AS INTEGER) / 16)) * (16.5 + CAST(counted.key AS INTEGER) % 16) / 256 AS value,
    counted.value AS calls
FROM rollup_times, json_each(rollup_times.counts) AS counted
WHERE dimension = 'model';
CREATE VIEW unpriced_models AS
-- unpriced_models is made by llm-metrics: a start undoes changes. Copy it under another name to change it.
-- Models of the last 30 days whose calls have tokens, and none has a price: name one in prices.toml.
SELECT nullif(provider, '') AS provider, nullif(model, '') AS model, sum(calls) AS requests,
    CAST(total(prompt_tokens) AS INTEGER) AS prompt_tokens, CAST(total(completion_tokens) AS INTEGER) AS completion_tokens,
    max(period) AS last_day
FROM calls_by_span
WHERE span = 'day' AND period > date('now', '-30 days')
GROUP BY calls_by_span.provider, calls_by_span.model
HAVING sum(prompt_tokens_known + completion_tokens_known) > 0 AND NOT EXISTS (
    SELECT 1 FROM costs_by_span AS costs
    WHERE costs.span = 'day' AND costs.period > date('now', '-30 days') AND costs.cost_usd_known > 0
        AND costs.provider = calls_by_span.provider AND costs.model = calls_by_span.model)
ORDER BY requests DESC;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('completion_requests',33);
INSERT INTO "sqlite_sequence" VALUES('export_changes',1);
COMMIT;
PRAGMA user_version=8;
PRAGMA application_id=1280068944;
