-- Version 7: classes of failures and ends, who of an agent asked what for which project, and the response's own id.
-- Published: never edited.
ALTER TABLE completion_requests ADD COLUMN error_class text;
ALTER TABLE completion_requests ADD COLUMN finish_class text;
ALTER TABLE completion_requests ADD COLUMN agent text;
ALTER TABLE completion_requests ADD COLUMN agent_version text;
ALTER TABLE completion_requests ADD COLUMN agent_id text;
ALTER TABLE completion_requests ADD COLUMN parent_agent_id text;
ALTER TABLE completion_requests ADD COLUMN request_kind text;
ALTER TABLE completion_requests ADD COLUMN project text;
ALTER TABLE completion_requests ADD COLUMN response_id text;
