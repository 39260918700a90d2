// What the Node tests share: a client, recordings, the upstream's log. Mirrors python/conftest.py.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomUUID } from "node:crypto";
import OpenAI from "openai";

export const DIRECT = Boolean(process.env.CIRQUE_DIRECT);
export const gatewayOnly = DIRECT ? { skip: "about the gateway; this run goes straight to the replay upstream" } : {};
export const ASK = [{ role: "user", content: "Say hello." }];

const fixtures = join(dirname(fileURLToPath(import.meta.url)), "..", "fixtures");
const transcripts = join(process.env.CIRQUE_SHARED ?? "", "transcripts");

export const client = (options = {}) =>
  new OpenAI({ baseURL: process.env.CIRQUE_URL + "/v1", maxRetries: 0, timeout: 15_000, ...options });

/** A fault's model name of this test's own. */
export const unique = (fault) => `fault/${fault}/${randomUUID()}`;

/** Options for a test that needs recordings: skipped where they are not. */
export const recorded = (name) =>
  name.startsWith("fixture/") || existsSync(transcripts) ? {} : { skip: `no recordings at ${transcripts}` };

export function exchange(name) {
  const path = name.startsWith("fixture/")
    ? join(fixtures, name.slice("fixture/".length) + ".json")
    : join(transcripts, name.slice("replay/".length) + ".json");
  return JSON.parse(readFileSync(path, "utf8"));
}

/** The JSON of every event of a recorded stream, without [DONE], and without the usage chunk unless asked for. */
export function recordedChunks(name, includeUsage) {
  return exchange(name)
    .response.sse.split(/\r?\n/)
    .filter((line) => line.startsWith("data:") && !line.includes("[DONE]"))
    .map((line) => JSON.parse(line.slice("data:".length)))
    .filter((chunk) => includeUsage || !(chunk.usage && chunk.choices.length === 0));
}

export async function upstreamRequests(model) {
  const answer = await fetch(`${process.env.REPLAY_URL}/control/log?model=${encodeURIComponent(model)}`);
  return (await answer.json()).requests;
}

/** Seconds until the upstream saw its client leave; throws after five. */
export async function leftAfter(model) {
  const begun = performance.now();
  while (performance.now() - begun < 5000) {
    const seen = await upstreamRequests(model);
    if (seen.at(-1)?.left != null) return (performance.now() - begun) / 1000;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the upstream request was still open 5 s after the client left");
}

export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
