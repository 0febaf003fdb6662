// The Vercel AI SDK, as its users write it.
import { openai } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

const asked = { model: openai("gpt-5"), prompt: "Name three rivers." };

const answer = await generateText(asked);
console.log(answer.text);

let text = "";
for await (const piece of streamText(asked).textStream) text += piece;
console.log(text);
