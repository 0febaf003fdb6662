"""Google's SDK for Gemini, asynchronous."""

import asyncio

from google import genai


async def main() -> None:
    """Ask twice."""
    client = genai.Client()
    answer = await client.aio.models.generate_content(model="gemini-3-flash", contents="Rivers?")
    print(answer.text)

    chunks = await client.aio.models.generate_content_stream(model="gemini-3-flash", contents="Rivers?")
    print("".join([chunk.text or "" async for chunk in chunks]))


asyncio.run(main())
