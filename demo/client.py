"""An ordinary program that uses the SDKs of OpenAI and Anthropic; only its environment knows of a proxy."""

import anthropic
import openai

QUESTION = "How long does this take?"
LEAVES_AFTER = 3


def main() -> None:
    """Make the six calls, one after the other."""
    with openai.OpenAI(max_retries=0) as chat, anthropic.Anthropic(max_retries=0) as claude:
        stream(chat, "gpt-5.5")
        think(claude, "claude-sonnet-5")
        call_tool(claude, "claude-haiku-4-5")
        plain(chat, "gpt-5.4-mini")
        leave(chat, "gpt-5.4")
        refused(chat, "gpt-5.4-nano")


def stream(chat: openai.OpenAI, model: str) -> None:
    """Read a stream to its end, with the usage that OpenAI sends on demand."""
    chunks = chat.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
        temperature=0.2,
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    print(f"  {model} said: {text}")


def think(claude: anthropic.Anthropic, model: str) -> None:
    """Read a stream in which the model thinks before it answers."""
    with claude.messages.stream(
        model=model,
        max_tokens=2048,
        thinking={"type": "adaptive"},
        messages=[{"role": "user", "content": QUESTION}],
    ) as events:
        kinds = [block.type for block in events.get_final_message().content]
    print(f"  {model} sent blocks of: {', '.join(kinds)}")


def call_tool(claude: anthropic.Anthropic, model: str) -> None:
    """Read a stream that ends in a tool call."""
    with claude.messages.stream(
        model=model,
        max_tokens=512,
        tools=[{"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
    ) as events:
        calls = [block for block in events.get_final_message().content if block.type == "tool_use"]
    print(f"  {model} called {calls[0].name}({calls[0].input})")


def plain(chat: openai.OpenAI, model: str) -> None:
    """Ask without a stream."""
    answer = chat.chat.completions.create(model=model, messages=[{"role": "user", "content": QUESTION}], max_tokens=50)
    print(f"  {model} said: {answer.choices[0].message.content}")


def leave(chat: openai.OpenAI, model: str) -> None:
    """Leave a stream in the middle, as a user does who presses stop."""
    with chat.chat.completions.create(
        model=model, messages=[{"role": "user", "content": QUESTION}], stream=True
    ) as chunks:
        pieces = 0
        for chunk in chunks:
            pieces += bool(chunk.choices and chunk.choices[0].delta.content)
            if pieces == LEAVES_AFTER:
                break
    print(f"  {model} was left after {pieces} pieces")


def refused(chat: openai.OpenAI, model: str) -> None:
    """Ask too often."""
    try:
        chat.chat.completions.create(model=model, messages=[{"role": "user", "content": QUESTION}])
    except openai.RateLimitError as error:
        print(f"  {model} refused with {error.status_code}")


if __name__ == "__main__":
    main()
