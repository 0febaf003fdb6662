// OpenAI's SDK on a Node that reads no proxy variables: undici's agent does.
import OpenAI from "openai";
import { EnvHttpProxyAgent, fetch } from "undici";

const client = new OpenAI({ fetch, fetchOptions: { dispatcher: new EnvHttpProxyAgent() } });
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
