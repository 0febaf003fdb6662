// OpenAI's SDK for Node, as its users write it.
import OpenAI from "openai";

const client = new OpenAI();
const asked = { model: "gpt-5-mini", messages: [{ role: "user", content: "Name three rivers." }] };

const answer = await client.chat.completions.create(asked);
console.log(answer.choices[0].message.content);

let text = "";
const chunks = await client.chat.completions.create({
  ...asked,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? "";
console.log(text);
