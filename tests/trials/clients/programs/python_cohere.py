"""Cohere's SDK, as its users write it."""

import cohere

question = {"role": "user", "content": "Rivers?"}
client = cohere.ClientV2()

answer = client.chat(model="command-a", messages=[question])
print(answer.message.content[0].text)

events = client.chat_stream(model="command-a", messages=[question])
print("".join(event.delta.message.content.text for event in events if event.type == "content-delta"))
