"""OpenAI's SDK, as its users write it."""

import openai

question: openai.types.chat.ChatCompletionUserMessageParam = {"role": "user", "content": "Name three rivers."}
client = openai.OpenAI()

answer = client.chat.completions.create(model="gpt-5-mini", messages=[question])
print(answer.choices[0].message.content)

chunks = client.chat.completions.create(
    model="gpt-5-mini", messages=[question], stream=True, stream_options={"include_usage": True}
)
print("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
