"""Google's SDK for Gemini, as its users write it."""

from google import genai

client = genai.Client()

answer = client.models.generate_content(model="gemini-3-flash", contents="Rivers?")
print(answer.text)

chunks = client.models.generate_content_stream(model="gemini-3-flash", contents="Rivers?")
print("".join(chunk.text or "" for chunk in chunks))
