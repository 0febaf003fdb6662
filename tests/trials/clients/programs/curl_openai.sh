# OpenAI's API with curl.
set -eu
ask() {
    curl --fail --silent --show-error --no-buffer https://api.openai.com/v1/chat/completions \
        -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" -d "$1"
}
ask '{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Name three rivers."}]}'
ask '{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Name three rivers."}],
      "stream": true, "stream_options": {"include_usage": true}}'
