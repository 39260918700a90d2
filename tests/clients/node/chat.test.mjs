// Chat completions with the Node SDK: answers, streams, tools, structured output, leaving early.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ASK, client, collect, exchange, gatewayOnly, leftAfter, recorded, recordedChunks, unique, upstreamRequests } from "./support.mjs";

const openai = client();
const tools = exchange("fixture/tool-1").request.body.tools;

for (const model of ["fixture/text", "replay/openai-chat/text-basic", "replay/openai-chat/tool-call"]) {
  test(`answer is the recording: ${model}`, recorded(model), async () => {
    const answer = await openai.chat.completions.create({ model, messages: ASK });
    assert.deepEqual(JSON.parse(JSON.stringify(answer)), exchange(model).response.body);
  });
}

for (const model of ["fixture/stream", "fixture/stream-tool", "replay/openai-chat/stream-tool-1", "replay/openai-chat/stream-turns-1"]) {
  for (const includeUsage of [true, false]) {
    test(`stream events are the recording's: ${model}, usage ${includeUsage}`, recorded(model), async () => {
      const options = includeUsage ? { stream_options: { include_usage: true } } : {};
      const stream = await openai.chat.completions.create({ model, messages: ASK, stream: true, ...options });
      assert.deepEqual(await collect(stream), recordedChunks(model, includeUsage));
    });
  }
}

test("streamed tool calls assemble", async () => {
  const runner = openai.chat.completions.stream({ model: "fixture/stream-tool", messages: ASK, tools });
  const final = await runner.finalChatCompletion();
  const calls = final.choices[0].message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
  assert.deepEqual(calls, ["Köln", "Oslo"]);
});

test("tool loop", async () => {
  const messages = [{ role: "user", content: "Weather in Köln and Oslo?" }];
  const first = await openai.chat.completions.create({ model: "fixture/tool-1", messages, tools });
  messages.push(first.choices[0].message);
  for (const call of first.choices[0].message.tool_calls) {
    messages.push({ role: "tool", tool_call_id: call.id, content: "mild" });
  }
  const second = await openai.chat.completions.create({ model: "fixture/tool-2", messages, tools });
  assert.equal(second.choices[0].message.content, "Köln: 21 °C. Oslo: 14 °C.");
  const sent = JSON.parse((await upstreamRequests("fixture/tool-2")).at(-1).body);
  assert.deepEqual(sent.messages, messages);
});

test("structured output parses", async () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" }, languages: { type: "array", items: { type: "string" } } },
    required: ["name", "age", "languages"],
    additionalProperties: false,
  };
  const answer = await openai.chat.completions.parse({
    model: "fixture/schema",
    messages: ASK,
    response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
  });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { name: "Ada", age: 36, languages: ["en", "fr"] });
});

test("demo answers and streams", async () => {
  const answer = await openai.chat.completions.create({ model: "demo", messages: ASK });
  assert.ok(answer.choices[0].message.content);
  const chunks = await collect(await openai.chat.completions.create({ model: "demo", messages: ASK, stream: true }));
  assert.ok(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""));
});

test("aborting a stream closes the upstream", async () => {
  const model = unique("slow-stream");
  const stream = await openai.chat.completions.create({ model, messages: ASK, stream: true });
  for await (const chunk of stream) {
    assert.equal(chunk.choices[0].delta.content, "w0 ");
    break;
  }
  assert.ok((await leftAfter(model)) < 1);
});

test("an abort signal before the first byte closes the upstream", async () => {
  const model = unique("hang");
  const controller = new AbortController();
  const call = openai.chat.completions.create({ model, messages: ASK }, { signal: controller.signal });
  const refused = assert.rejects(call, { name: /AbortError|APIUserAbortError|Error/ });
  while ((await upstreamRequests(model)).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  controller.abort();
  await refused;
  assert.ok((await leftAfter(model)) < 1);
});

test("usage is asked for upstream even when the client did not", gatewayOnly, async () => {
  await collect(await openai.chat.completions.create({ model: "fixture/stream", messages: ASK, stream: true }));
  const sent = JSON.parse((await upstreamRequests("fixture/stream")).at(-1).body);
  assert.deepEqual(sent.stream_options, { include_usage: true });
});
