// One dialogue with one SDK, the way its users hold it. Mirrors python/sessions.py: the same verbs for every SDK, what an SDK
// cannot express is in its `lacks`, and nothing here knows about providers.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, Output, streamText, tool } from "ai";

const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const dataUrl = ({ mime, bytes }) => `data:${mime};base64,${base64(bytes)}`;
const defined = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

class Session {
  static lacks = new Set();
  static carriesThinking = true;
  constructor({ url, key, model, stream = false, ...asked }) {
    Object.assign(this, { url, key, model, stream, asked, history: [] });
    this.open();
  }
}

export class OpenAIChat extends Session {
  static client = "openai-chat";
  // An API with no word for it: the gateway may show thoughts to its users, or not.
  static cannotAskForThoughts = true;
  static own = ["azure", "openai"];
  static error = OpenAI.APIError;
  open() {
    this.sdk = new OpenAI({ baseURL: this.url + "/v1", apiKey: this.key, maxRetries: 0, timeout: 20_000 });
  }
  options() {
    const { tools, thinking, schema, maxTokens } = this.asked;
    return defined({
      max_completion_tokens: maxTokens,
      tools: tools?.map((fn) => ({ type: "function", function: fn })),
      reasoning_effort: thinking ? "medium" : undefined,
      response_format: schema && { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
    });
  }
  say(text, image) {
    const content = image ? [{ type: "text", text }, { type: "image_url", image_url: { url: dataUrl(image) } }] : text;
    this.history.push({ role: "user", content });
    return this.send();
  }
  answer(results) {
    for (const [call, content] of results) this.history.push({ role: "tool", tool_call_id: call.id, content });
    return this.send();
  }
  async send() {
    const system = this.asked.system ? [{ role: "system", content: this.asked.system }] : [];
    const body = { model: this.model, messages: [...system, ...this.history], ...this.options() };
    let completion;
    if (this.stream) {
      const options = { ...body, stream: true, stream_options: { include_usage: true } };
      completion = await this.gather(await this.sdk.chat.completions.create(options));
    } else completion = await this.sdk.chat.completions.create(body);
    const { message } = completion.choices[0];
    delete message.annotations;
    if (message.refusal == null) delete message.refusal;
    this.history.push(message);
    const { usage } = completion;
    return {
      text: message.content ?? "",
      calls: (message.tool_calls ?? []).map((call) => ({ id: call.id, name: call.function.name, args: JSON.parse(call.function.arguments) })),
      thinking: message.reasoning_content ?? "",
      usage: [usage.prompt_tokens, usage.completion_tokens],
    };
  }
  async gather(stream) {
    const message = { role: "assistant", content: "" };
    let usage;
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage;
      const delta = chunk.choices[0]?.delta ?? {};
      message.content += delta.content ?? "";
      if (delta.reasoning_content) message.reasoning_content = (message.reasoning_content ?? "") + delta.reasoning_content;
      for (const piece of delta.reasoning_details ?? []) {
        message.reasoning_details ??= [];
        const at = piece.index ?? message.reasoning_details.length;
        const known = (message.reasoning_details[at] ??= {});
        for (const [key, value] of Object.entries(piece)) {
          known[key] = ["text", "data", "summary"].includes(key) ? (known[key] ?? "") + value : value;
        }
      }
      for (const { index, id, function: fn = {}, type, ...more } of delta.tool_calls ?? []) {
        message.tool_calls ??= [];
        const known = (message.tool_calls[index] ??= { id: "", type: type ?? "function", function: { name: "", arguments: "" } });
        known.id += id ?? "";
        known.function.name += fn.name ?? "";
        known.function.arguments += fn.arguments ?? "";
        Object.assign(known, more);
      }
    }
    if (message.reasoning_details) message.reasoning_details = message.reasoning_details.filter(Boolean);
    return { choices: [{ message }], usage };
  }
}

export class OpenAIResponses extends Session {
  static client = "openai-responses";
  static own = ["openai-responses", "openai"];
  static error = OpenAI.APIError;
  open() {
    this.sdk = new OpenAI({ baseURL: this.url + "/v1", apiKey: this.key, maxRetries: 0, timeout: 20_000 });
  }
  options() {
    const { system, tools, thinking, schema, maxTokens } = this.asked;
    return defined({
      instructions: system,
      max_output_tokens: maxTokens,
      tools: tools?.map((fn) => ({ type: "function", strict: false, ...fn })),
      reasoning: thinking ? { effort: "medium", summary: "auto" } : undefined,
      include: thinking ? ["reasoning.encrypted_content"] : undefined,
      text: schema && { format: { type: "json_schema", name: "person", strict: true, schema } },
    });
  }
  say(text, image) {
    const content = [{ type: "input_text", text }];
    if (image) content.push({ type: "input_image", image_url: dataUrl(image), detail: "auto" });
    this.history.push({ role: "user", content });
    return this.send();
  }
  answer(results) {
    for (const [call, output] of results) this.history.push({ type: "function_call_output", call_id: call.id, output });
    return this.send();
  }
  async send() {
    const body = { model: this.model, input: this.history, store: false, ...this.options() };
    const response = this.stream
      ? await this.sdk.responses.stream(body).finalResponse()
      : await this.sdk.responses.create(body);
    // The helper resolves with a failed response too.
    if (response.status === "failed") throw new Error(response.error?.message);
    // What the helper added for its reader is not the API's to take back.
    const plain = JSON.stringify(response.output, (key, value) => (/^parsed/.test(key) ? undefined : value));
    this.history.push(...JSON.parse(plain));
    return {
      text: response.output_text,
      calls: response.output.filter((item) => item.type === "function_call")
        .map((item) => ({ id: item.call_id, name: item.name, args: JSON.parse(item.arguments) })),
      thinking: response.output.filter((item) => item.type === "reasoning").flatMap((item) => item.summary).map((part) => part.text).join(""),
      usage: [response.usage.input_tokens, response.usage.output_tokens],
    };
  }
}

export class AnthropicMessages extends Session {
  static client = "anthropic";
  static own = ["anthropic", "anthropic"];
  static error = Anthropic.APIError;
  open() {
    this.sdk = new Anthropic({ baseURL: this.url, apiKey: this.key, maxRetries: 0, timeout: 20_000 });
  }
  options() {
    const { system, tools, thinking, schema } = this.asked;
    return defined({
      system,
      tools: tools?.map(({ name, description, parameters }) => ({ name, description, input_schema: parameters })),
      thinking: thinking === "adaptive" ? { type: "adaptive" } : thinking ? { type: "enabled", budget_tokens: 2048 } : undefined,
      output_config: schema && { format: { type: "json_schema", schema } },
    });
  }
  say(text, image) {
    const content = [{ type: "text", text }];
    if (image) content.push({ type: "image", source: { type: "base64", media_type: image.mime, data: base64(image.bytes) } });
    this.history.push({ role: "user", content });
    return this.send();
  }
  answer(results) {
    this.history.push({ role: "user", content: results.map(([call, content]) => ({ type: "tool_result", tool_use_id: call.id, content })) });
    return this.send();
  }
  async send() {
    const body = { model: this.model, max_tokens: this.asked.maxTokens ?? 4096, messages: this.history, ...this.options() };
    const message = this.stream ? await this.sdk.messages.stream(body).finalMessage() : await this.sdk.messages.create(body);
    this.history.push({ role: "assistant", content: message.content });
    const of = (type) => message.content.filter((block) => block.type === type);
    const { usage } = message;
    return {
      text: of("text").map((block) => block.text).join(""),
      calls: of("tool_use").map(({ id, name, input }) => ({ id, name, args: input })),
      thinking: of("thinking").map((block) => block.thinking).join(""),
      usage: [usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0), usage.output_tokens],
    };
  }
}

export class Google extends Session {
  static client = "google-genai";
  static own = ["gemini", "gemini"];
  open() {
    const { system, tools, thinking, schema, maxTokens } = this.asked;
    this.sdk = new GoogleGenAI({ apiKey: this.key, httpOptions: { baseUrl: this.url, timeout: 20_000 } });
    const config = defined({
      systemInstruction: system,
      maxOutputTokens: maxTokens,
      tools: tools && [{ functionDeclarations: tools.map(({ name, description, parameters }) => ({ name, description, parametersJsonSchema: parameters })) }],
      thinkingConfig: thinking ? { includeThoughts: true, thinkingBudget: 2048 } : undefined,
      responseMimeType: schema && "application/json",
      responseJsonSchema: schema,
    });
    this.chat = this.sdk.chats.create({ model: this.model, config });
  }
  say(text, image) {
    const parts = [{ text }];
    if (image) parts.push({ inlineData: { mimeType: image.mime, data: base64(image.bytes) } });
    return this.send(parts);
  }
  answer(results) {
    return this.send(results.map(([call, output]) => ({ functionResponse: { id: call.id, name: call.name, response: { output } } })));
  }
  async send(message) {
    const answers = [];
    if (this.stream) for await (const chunk of await this.chat.sendMessageStream({ message })) answers.push(chunk);
    else answers.push(await this.chat.sendMessage({ message }));
    const parts = answers.flatMap((answer) => answer.candidates?.[0]?.content?.parts ?? []);
    const usage = answers.map((answer) => answer.usageMetadata).filter(Boolean).at(-1);
    return {
      text: parts.filter((part) => part.text && !part.thought).map((part) => part.text).join(""),
      calls: parts.filter((part) => part.functionCall).map(({ functionCall: { id, name, args } }) => ({ id, name, args: args ?? {} })),
      thinking: parts.filter((part) => part.text && part.thought).map((part) => part.text).join(""),
      usage: [usage.promptTokenCount, (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0)],
    };
  }
}

/** The AI SDK keeps the provider's own data (signatures, item ids) in `providerOptions` of its messages. */
class AiSdk extends Session {
  open() {
    this.languageModel = this.chosen();
  }
  say(text, image) {
    const content = [{ type: "text", text }];
    if (image) content.push({ type: "image", image: Buffer.from(image.bytes), mediaType: image.mime });
    this.history.push({ role: "user", content });
    return this.send();
  }
  answer(results) {
    this.history.push({
      role: "tool",
      content: results.map(([call, value]) => ({ type: "tool-result", toolCallId: call.id, toolName: call.name, output: { type: "text", value } })),
    });
    return this.send();
  }
  async send() {
    const { system, tools, thinking, schema, maxTokens } = this.asked;
    const options = defined({
      model: this.languageModel,
      system,
      messages: this.history,
      maxRetries: 0,
      maxOutputTokens: maxTokens,
      tools: tools && Object.fromEntries(tools.map(({ name, description, parameters }) => [name, tool({ description, inputSchema: jsonSchema(parameters) })])),
      providerOptions: this.providerOptions(thinking),
      output: schema && Output.object({ schema: jsonSchema(schema) }),
      onError: () => {},
    });
    let result;
    if (this.stream) {
      result = streamText(options);
      for await (const part of result.fullStream) if (part.type === "error") throw part.error;
    } else result = await generateText(options);
    this.history.push(...(await result.response).messages);
    const usage = await result.usage;
    return {
      text: await result.text,
      calls: (await result.toolCalls).map((call) => ({ id: call.toolCallId, name: call.toolName, args: call.input })),
      thinking: (await result.reasoningText) ?? "",
      usage: [usage.inputTokens, usage.outputTokens],
    };
  }
}

export class AiOpenAI extends AiSdk {
  static client = "ai-openai";
  static own = ["openai-responses", "openai"];
  chosen() {
    return createOpenAI({ baseURL: this.url + "/v1", apiKey: this.key }).responses(this.model);
  }
  providerOptions(thinking) {
    // With `store` it refers to earlier items by their ids, which only OpenAI and Azure keep.
    // It knows reasoning models by how their names begin, and ours begin otherwise.
    const reasoning = { forceReasoning: true, reasoningEffort: "medium", reasoningSummary: "auto", include: ["reasoning.encrypted_content"] };
    return { openai: { store: false, ...(thinking ? reasoning : {}) } };
  }
}

export class AiOpenAIChat extends AiSdk {
  static client = "ai-openai-chat";
  static own = ["azure", "openai"];
  static lacks = new Set(["shown-thinking"]);
  static carriesThinking = false;
  chosen() {
    return createOpenAI({ baseURL: this.url + "/v1", apiKey: this.key }).chat(this.model);
  }
  providerOptions(thinking) {
    return thinking ? { openai: { forceReasoning: true, reasoningEffort: "medium" } } : undefined;
  }
}

export class AiAnthropic extends AiSdk {
  static client = "ai-anthropic";
  static own = ["anthropic", "anthropic"];
  chosen() {
    return createAnthropic({ baseURL: this.url + "/v1", apiKey: this.key })(this.model);
  }
  providerOptions(thinking) {
    if (!thinking) return undefined;
    return { anthropic: { thinking: thinking === "adaptive" ? { type: "adaptive" } : { type: "enabled", budgetTokens: 2048 } } };
  }
}

export class AiGoogle extends AiSdk {
  static client = "ai-google";
  static own = ["gemini", "gemini"];
  chosen() {
    // An id with a slash is a whole path to this SDK, so it has to begin with `models/`.
    return createGoogleGenerativeAI({ baseURL: this.url + "/v1beta", apiKey: this.key })("models/" + this.model);
  }
  providerOptions(thinking) {
    return thinking ? { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } } } : undefined;
  }
}

export const SESSIONS = [OpenAIChat, OpenAIResponses, AnthropicMessages, Google, AiOpenAI, AiOpenAIChat, AiAnthropic, AiGoogle];
