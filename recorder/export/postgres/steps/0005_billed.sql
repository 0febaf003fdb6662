-- Version 5: what each call is billed for. Published: never edited.
ALTER TABLE completion_requests ADD COLUMN billed text;
