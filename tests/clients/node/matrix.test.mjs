// Every Node SDK against every provider dialect: the scenarios of python/test_matrix.py that SDKs differ in.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SESSIONS } from "./sessions.mjs";
import { DIRECT, upstreamRequests } from "./support.mjs";

const { targets, keys, greeting, thought, second_thought: secondThought, person } = JSON.parse(readFileSync(process.env.CIRQUE_TARGETS, "utf8"));
const WEATHER = {
  name: "get_weather",
  description: "The weather of a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" }, unit: { type: "string", enum: ["°C", "°F"] } },
    required: ["city"],
    additionalProperties: false,
  },
};
const SCHEMA = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" }, languages: { type: "array", items: { type: "string" } } },
  required: ["name", "age", "languages"],
  additionalProperties: false,
};
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==", "base64");

/** Runs `body(begin, upstreamModel)` for each pair of SDK and target, as a test of its own. */
function scenario(name, { streams = [false, true], unless = () => null, thinking = false }, body) {
  for (const Sdk of SESSIONS) {
    for (const target of targets) {
      if (DIRECT && Sdk.own[0] !== target.name) continue;
      for (const stream of streams) {
        // Nothing to test where client or vendor lacks the feature.
        if (unless(Sdk, target)) continue;
        test(`${name}: ${Sdk.client} > ${target.name}, ${stream ? "stream" : "answer"}`, async () => {
          const model = `${thinking ? target.thinking : target.plain}--${name}--n${randomUUID().slice(0, 8)}`;
          const [url, key, shown] = DIRECT
            ? [`${process.env.REPLAY_URL}/vendors/${Sdk.own[1]}`, keys[Sdk.own[1]], model]
            : [process.env.CIRQUE_URL, "sk-client-secret", `${target.name}/${model}`];
          const how = thinking && target.name === "anthropic-new" ? "adaptive" : thinking;
          const begin = (asked) => new Sdk({ url, key, model: shown, stream, thinking: how, ...asked });
          await body(begin, async () => (await upstreamRequests(model)).map((entry) => entry.seen), Sdk, target);
        });
      }
    }
  }
}
const parts = (turn, kind) => turn.parts.filter((part) => part.kind === kind);
const lacking = (feature) => (Sdk, target) => (target.lacks.includes(feature) || Sdk.lacks.has(feature) ? `no ${feature}` : null);

scenario("text", {}, async (begin, seen) => {
  const session = begin({ system: "Be brief.", maxTokens: 300 });
  const reply = await session.say("Say hello: 你好");
  assert.equal(reply.text, greeting);
  assert.deepEqual(reply.usage, [31, 17]);
  const [first] = await seen();
  assert.deepEqual([first.system, first.max_tokens], ["Be brief.", 300]);
  assert.deepEqual(parts(first.turns[0], "text").map((part) => part.text), ["Say hello: 你好"]);
});

scenario("tools", {}, async (begin, seen) => {
  const session = begin({ tools: [WEATHER], system: "Use tools." });
  const reply = await session.say("Weather in Köln?");
  assert.deepEqual(reply.calls.map(({ name, args }) => [name, args]), [["get_weather", { city: "Köln" }]]);
  const final = await session.answer([[reply.calls[0], "21 °C"]]);
  assert.equal(final.text, "Köln: 21 °C.");
  const second = (await seen()).at(-1);
  assert.deepEqual(second.turns.map((turn) => turn.role), ["user", "assistant", "user"]);
  assert.equal(parts(second.turns[1], "call")[0].id, parts(second.turns[2], "result")[0].id);
});

scenario("parallel", {}, async (begin, seen) => {
  const session = begin({ tools: [WEATHER] });
  const reply = await session.say("Weather in Köln and Oslo?");
  assert.deepEqual(reply.calls.map((call) => call.args), [{ city: "Köln" }, { city: "Oslo", unit: "°C" }]);
  const final = await session.answer([[reply.calls[0], "mild"], [reply.calls[1], "cold"]]);
  assert.match(final.text, /mild.*cold/);
  const second = (await seen()).at(-1);
  assert.deepEqual(parts(second.turns[1], "call").map((part) => part.id), parts(second.turns[2], "result").map((part) => part.id));
});

const thinks = { thinking: true, unless: (Sdk, target) => lacking("thinking")(Sdk, target) };
scenario("thinktools", thinks, async (begin, seen, Sdk, target) => {
  const session = begin({ tools: [WEATHER] });
  const reply = await session.say("Weather in Köln?");
  assert.equal(reply.calls.length, 1);
  const final = await session.answer([[reply.calls[0], "21 °C"]]);
  assert.equal(final.text, "Köln: 21 °C.");
  if (!lacking("shown-thinking")(Sdk, target) && !(Sdk.cannotAskForThoughts && !reply.thinking)) {
    assert.deepEqual([reply.thinking, final.thinking], [thought, secondThought]);
  }
  const second = (await seen()).at(-1);
  if (Sdk.carriesThinking && target.keeps === "signed") assert.ok(second.turns[1].parts.some((part) => part.signed));
});

scenario("vision", { streams: [false], unless: lacking("image") }, async (begin) => {
  const sha = createHash("sha256").update(PNG).digest("hex").slice(0, 16);
  assert.equal((await begin({}).say("What is it?", { mime: "image/png", bytes: PNG })).text, `image/png:${sha}`);
});

scenario("schema", {}, async (begin) => {
  const reply = await begin({ schema: SCHEMA }).say("Ada, 36, English and French. JSON.");
  assert.deepEqual(JSON.parse(reply.text), person);
  assert.deepEqual(reply.calls, []);
});

scenario("bad", {}, async (begin, seen, Sdk) => {
  await assert.rejects(begin({}).say("Hello"), (error) => {
    assert.equal(error.status ?? error.statusCode, 400, String(error));
    if (Sdk.error) assert.ok(error instanceof Sdk.error);
    assert.match(String(error.message), /scripted/);
    return true;
  });
});

scenario("limited", { streams: [false] }, async (begin) => {
  await assert.rejects(begin({}).say("Hello"), (error) => (error.status ?? error.statusCode) === 429);
});

scenario("midstream", { streams: [true], unless: (Sdk, target) => ((SESSIONS.indexOf(Sdk) + targets.indexOf(target)) % 3 ? "another pair's" : null) },
  async (begin) => {
    await assert.rejects(begin({}).say("Hello"));
  });
