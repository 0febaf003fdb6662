"""Anthropic's SDK, as its users write it."""

import anthropic

question: anthropic.types.MessageParam = {"role": "user", "content": "Rivers?"}
client = anthropic.Anthropic()

answer = client.messages.create(model="claude-sonnet-4-5", max_tokens=1024, messages=[question])
print("".join(block.text for block in answer.content if block.type == "text"))

with client.messages.stream(model="claude-sonnet-4-5", max_tokens=1024, messages=[question]) as stream:
    print("".join(stream.text_stream))
