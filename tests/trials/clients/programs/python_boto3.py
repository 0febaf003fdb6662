"""AWS's SDK and Bedrock, as its users write it."""

import boto3

MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
question = {"role": "user", "content": [{"text": "Rivers?"}]}
client = boto3.client("bedrock-runtime")

answer = client.converse(modelId=MODEL, messages=[question])
print(answer["output"]["message"]["content"][0]["text"])

events = client.converse_stream(modelId=MODEL, messages=[question])["stream"]
print("".join(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in events))
