-- Version 8: labels, and which key was used. Published: never edited.
ALTER TABLE completion_requests ADD COLUMN labels text;
ALTER TABLE completion_requests ADD COLUMN key_id text;
ALTER TABLE completion_requests ADD COLUMN cache_saved_usd double precision;
ALTER TABLE completion_requests ADD COLUMN cache_spent_usd double precision;
