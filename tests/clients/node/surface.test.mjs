// The rest of the surface and the failures, with the Node SDK.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { ASK, DIRECT, client, collect, exchange, gatewayOnly, leftAfter, unique, upstreamRequests } from "./support.mjs";

const openai = client();
const create = (model, more = {}) => openai.chat.completions.create({ model, messages: ASK, ...more });
const VECTORS = [[0.5, -0.25, 0.125, 0], [0.5, -0.25, 0.125, 1]];

test("embeddings, as floats and as the SDK's own base64", async () => {
  for (const options of [{ encoding_format: "float" }, {}]) {
    const answer = await openai.embeddings.create({ model: "fixture/embeddings", input: ["a", "b"], ...options });
    assert.deepEqual(answer.data.map((item) => Array.from(item.embedding)), VECTORS);
  }
});

test("moderations", async () => {
  const answer = await openai.moderations.create({ model: "fixture/moderation", input: "x" });
  assert.equal(answer.results[0].flagged, true);
});

test("legacy completions, streamed and not", async () => {
  const answer = await openai.completions.create({ model: "fixture/completion", prompt: "Once" });
  assert.equal(answer.choices[0].text, " upon a time");
  const chunks = await collect(await openai.completions.create({ model: "fixture/completion-stream", prompt: "Once", stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), " upon a time");
});

test("models are listed and retrieved", async () => {
  const ids = (await collect(await openai.models.list())).map((model) => model.id);
  assert.ok(ids.includes("demo") && ids.includes("fixture-text"));
  assert.equal((await openai.models.retrieve("demo")).id, "demo");
  await assert.rejects(openai.models.retrieve("no-such-model"), OpenAI.NotFoundError);
});

test("response headers", gatewayOnly, async () => {
  const { data, response } = await create("fixture-text").withResponse();
  assert.equal(data.object, "chat.completion");
  assert.equal(response.headers.get("x-cirque-model"), "fixture-text");
  assert.equal(response.headers.get("x-cirque-attempts"), "1");
  assert.equal(data._request_id, response.headers.get("x-request-id"));
});

test("unknown model", async () => {
  await assert.rejects(create("no-such-model"), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.deepEqual(Object.keys(error.error).sort(), ["code", "message", "param", "type"]);
    return true;
  });
});

test("bad request is passed on", async () => {
  await assert.rejects(create("fixture/error-400"), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.deepEqual(error.error, exchange("fixture/error-400").response.body.error);
    return true;
  });
});

test("rate limit, with retry-after", async () => {
  await assert.rejects(create(unique("429")), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.ok(Number(error.headers.get("retry-after")) >= 1);
    return true;
  });
});

test("rate limit and server error are retried by the SDK", async () => {
  for (const fault of ["429-then-ok", "500-then-ok"]) {
    const model = unique(fault);
    const answer = await client({ maxRetries: 2 }).chat.completions.create({ model, messages: ASK });
    assert.ok(answer.choices[0].message.content);
    assert.equal((await upstreamRequests(model)).length, 2);
  }
});

test("server error without retries", async () => {
  const model = unique("500");
  await assert.rejects(create(model), (error) => {
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.equal(error.status, DIRECT ? 500 : 502);
    return true;
  });
  assert.equal((await upstreamRequests(model)).length, 1);
});

test("client timeout", async () => {
  const model = unique("hang");
  const impatient = client({ timeout: 500 });
  await assert.rejects(impatient.chat.completions.create({ model, messages: ASK }), OpenAI.APIConnectionTimeoutError);
  assert.ok((await leftAfter(model)) < 1);
});

for (const fault of ["die-mid-stream", "eof-mid-stream", "no-done"]) {
  test(`a stream that dies raises: ${fault}`, gatewayOnly, async () => {
    const seen = [];
    const read = async () => {
      for await (const chunk of await create(unique(fault), { stream: true })) seen.push(chunk.choices[0].delta.content);
    };
    await assert.rejects(read(), (error) => {
      assert.ok(error instanceof OpenAI.APIError && !(error instanceof OpenAI.APIConnectionError));
      assert.equal(error.error.type, "upstream_error");
      return true;
    });
    assert.deepEqual(seen, ["w0 ", "w1 ", "w2 "]);
  });
}

test("fallback answers", gatewayOnly, async () => {
  const { data, response } = await create("over/dead").withResponse();
  assert.ok(data.choices[0].message.content);
  assert.equal(response.headers.get("x-cirque-attempts"), "2");
});
