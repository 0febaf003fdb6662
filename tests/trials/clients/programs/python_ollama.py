"""Ollama's client, as its users write it."""

import ollama

question = {"role": "user", "content": "Rivers?"}

answer = ollama.chat(model="qwen3:8b", messages=[question])
print(answer.message.content)

chunks = ollama.chat(model="qwen3:8b", messages=[question], stream=True)
print("".join(chunk.message.content or "" for chunk in chunks))
