"""LiteLLM as a library: OpenAI through OpenAI's SDK, Anthropic through its own client."""

import litellm

litellm.suppress_debug_info = True  # or it prints a list of providers between the answers
question = {"role": "user", "content": "Name three rivers."}

for model in ("openai/gpt-5-mini", "anthropic/claude-sonnet-4-5"):
    answer = litellm.completion(model=model, messages=[question])
    print(answer.choices[0].message.content)

    chunks = litellm.completion(model=model, messages=[question], stream=True, stream_options={"include_usage": True})
    print("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
