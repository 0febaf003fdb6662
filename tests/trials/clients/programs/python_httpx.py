"""OpenAI's API with httpx."""

import json
import os

import httpx

URL = "https://api.openai.com/v1/chat/completions"
asked = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Name three rivers."}]}
streamed = asked | {"stream": True, "stream_options": {"include_usage": True}}

with httpx.Client(headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}) as client:
    answer = client.post(URL, json=asked).raise_for_status()
    print(answer.json()["choices"][0]["message"]["content"])

    with client.stream("POST", URL, json=streamed) as lines:
        lines.raise_for_status()
        data = (line.removeprefix("data: ") for line in lines.iter_lines() if line)
        chunks = [json.loads(text) for text in data if text != "[DONE]"]
    print("".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]))
