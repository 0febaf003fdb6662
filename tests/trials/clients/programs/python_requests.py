"""OpenAI's API with requests."""

import json
import os
from typing import Any

import requests

URL = "https://api.openai.com/v1/chat/completions"
headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
asked: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Name three rivers."}]}

answer = requests.post(URL, headers=headers, json=asked, timeout=60)
answer.raise_for_status()
print(answer.json()["choices"][0]["message"]["content"])

streamed = asked | {"stream": True, "stream_options": {"include_usage": True}}
with requests.post(URL, headers=headers, json=streamed, stream=True, timeout=60) as lines:
    lines.raise_for_status()
    data = (line.removeprefix(b"data: ") for line in lines.iter_lines() if line)
    chunks = [json.loads(text) for text in data if text != b"[DONE]"]
print("".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]))
