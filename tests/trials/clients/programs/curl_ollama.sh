# Ollama's API, which is plain HTTP, with curl.
set -eu
ask() {
    curl --fail --silent --show-error --no-buffer http://localhost:11434/api/chat -d "$1"
}
ask '{"model": "qwen3:8b", "messages": [{"role": "user", "content": "Rivers?"}], "stream": false}'
ask '{"model": "qwen3:8b", "messages": [{"role": "user", "content": "Rivers?"}]}'
