-- Each failed call with the class of its cause, in one word for all providers; a call from before version 7 of the schema
-- has the class that its type alone says.
SELECT event_id, timestamp, model, origin, provider, status_code,
    coalesce(error_class, {class_of_error_type}) AS error_class,
    error_type, error_code, error_message, retry_count, prompt_tokens, cost_usd, billing, cost_note
FROM completion_requests
WHERE NOT success
