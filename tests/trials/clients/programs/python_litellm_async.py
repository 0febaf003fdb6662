"""LiteLLM as a library, asynchronous: it brings a transport of its own over aiohttp."""

import asyncio

import litellm

litellm.suppress_debug_info = True  # or it prints a list of providers between the answers
question = {"role": "user", "content": "Name three rivers."}


async def main() -> None:
    """Ask each model twice."""
    for model in ("openai/gpt-5-mini", "anthropic/claude-sonnet-4-5"):
        answer = await litellm.acompletion(model=model, messages=[question])
        print(answer.choices[0].message.content)

        chunks = await litellm.acompletion(
            model=model, messages=[question], stream=True, stream_options={"include_usage": True}
        )
        print("".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]))


asyncio.run(main())
