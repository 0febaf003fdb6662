"""Mistral's SDK, as its users write it."""

import os

from mistralai.client import Mistral

question = {"role": "user", "content": "Name three rivers."}

with Mistral(api_key=os.environ["MISTRAL_API_KEY"]) as client:
    answer = client.chat.complete(model="mistral-small-latest", messages=[question])
    print(answer.choices[0].message.content)

    events = client.chat.stream(model="mistral-small-latest", messages=[question])
    print("".join(event.data.choices[0].delta.content or "" for event in events))
