// Kept answers through two vendors' SDKs, whole and streamed: nothing but a header tells them from what a model sends.
import assert from "node:assert/strict";
import { test } from "node:test";
import { randomUUID } from "node:crypto";
import Anthropic from "@anthropic-ai/sdk";
import { client, collect, gatewayOnly } from "./support.mjs";

// What the upstream sends whole, and what it streams.
const models = { false: "cached/fixture/text", true: "cached/fixture/stream" };

async function ofOpenAI(model, text, stream) {
  const asked = { model, messages: [{ role: "user", content: text }] };
  const options = stream ? { stream: true, stream_options: { include_usage: true } } : {};
  const { data, response } = await client().chat.completions.create({ ...asked, ...options }).withResponse();
  if (!stream) {
    const [{ message, finish_reason }] = data.choices;
    return { headers: response.headers, id: data.id, said: { text: message.content, role: message.role, finish: finish_reason, tokens: data.usage.total_tokens } };
  }
  const chunks = await collect(data);
  const choices = chunks.flatMap((chunk) => chunk.choices);
  const said = {
    text: choices.map((choice) => choice.delta.content ?? "").join(""),
    role: choices[0].delta.role,
    finish: choices.map((choice) => choice.finish_reason).filter(Boolean).join(),
    tokens: chunks.at(-1).usage.total_tokens,
  };
  return { headers: response.headers, id: chunks[0].id, said };
}

async function ofAnthropic(model, text, stream) {
  const anthropic = new Anthropic({ baseURL: process.env.CIRQUE_URL, apiKey: "sk-client-secret", maxRetries: 0, timeout: 15_000 });
  const asked = { model, max_tokens: 100, messages: [{ role: "user", content: text }] };
  const said = (message) => ({ text: message.content[0].text, role: message.role, finish: message.stop_reason, tokens: message.usage.output_tokens });
  if (!stream) {
    const { data, response } = await anthropic.messages.create(asked).withResponse();
    return { headers: response.headers, id: data.id, said: said(data) };
  }
  const events = anthropic.messages.stream(asked);
  const { response } = await events.withResponse();
  const message = await events.finalMessage();
  return { headers: response.headers, id: message.id, said: said(message) };
}

async function kept(ask, model, text, stream) {
  for (let n = 0; n < 500; n++) {
    const answer = await ask(model, text, stream);
    if (answer.headers.get("x-cirque-cache") === "hit") return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("never kept");
}

for (const ask of [ofOpenAI, ofAnthropic]) {
  for (const stream of [false, true]) {
    test(`a kept answer is like a live one: ${ask.name}, stream ${stream}`, gatewayOnly, async () => {
      const model = models[stream];
      const text = `Say hello, ${randomUUID()}.`;
      const live = await ask(model, text, stream);
      assert.equal(live.headers.get("x-cirque-cache"), "miss");
      const same = await kept(ask, model, text, stream);
      assert.deepEqual(same.said, live.said);
      assert.notEqual(same.id, live.id);
      assert.equal(same.headers.get("content-type"), live.headers.get("content-type"));
      assert.ok(same.headers.has("age") && !live.headers.has("age"));
      assert.deepEqual((await kept(ask, model, text, !stream)).said, live.said);
    });
  }
}
