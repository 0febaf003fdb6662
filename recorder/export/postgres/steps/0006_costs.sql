-- Version 6: the terms of each call's price, and what its cost lacks. Published: never edited.
ALTER TABLE completion_requests ADD COLUMN service_tier text;
ALTER TABLE completion_requests ADD COLUMN region text;
ALTER TABLE completion_requests ADD COLUMN billing text;
ALTER TABLE completion_requests ADD COLUMN cost_complete boolean;
ALTER TABLE completion_requests ADD COLUMN cost_note text;
