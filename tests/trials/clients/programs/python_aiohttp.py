"""OpenAI's API with aiohttp, told to read the environment."""

import asyncio
import json
import os

import aiohttp

URL = "https://api.openai.com/v1/chat/completions"
headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
asked = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Name three rivers."}]}
streamed = asked | {"stream": True, "stream_options": {"include_usage": True}}


async def main() -> None:
    """Ask twice."""
    async with aiohttp.ClientSession(trust_env=True, headers=headers) as session:
        async with session.post(URL, json=asked) as answer:
            answer.raise_for_status()
            print((await answer.json())["choices"][0]["message"]["content"])

        async with session.post(URL, json=streamed) as lines:
            lines.raise_for_status()
            data = [line.strip().removeprefix(b"data: ") async for line in lines.content]
        chunks = [json.loads(text) for text in data if text not in (b"", b"[DONE]")]
        print("".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]))


asyncio.run(main())
