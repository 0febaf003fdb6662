// Anthropic's SDK for Node, as its users write it.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();
const asked = { model: "claude-sonnet-4-5", max_tokens: 1024, messages: [{ role: "user", content: "Rivers?" }] };

const answer = await client.messages.create(asked);
console.log(answer.content.map((block) => (block.type === "text" ? block.text : "")).join(""));

let text = "";
const stream = client.messages.stream(asked).on("text", (piece) => (text += piece));
await stream.finalMessage();
console.log(text);
