"""Claude Code, Codex and Gemini CLI at work, in their own wire shape (../agents), against every provider dialect.

The scenario `agent` calls the agent's first tool, then two tools at once, then is done. Each driver below does what
its agent
does with a stream: puts it together, runs the tools, sends the whole history again.
"""

import http.client
import json
import os
import urllib.parse

import jsonschema
import pytest

from conftest import CLIENTS, DIRECT, gateway_only, nothing_there
from matrix import Route
from vendors.scenarios import PERSON
from vendors.serve import KEYS
from vendors.targets import TARGETS

URL = os.environ["REPLAY_URL" if DIRECT else "CIRQUE_URL"]


def filled(value, model):
    """A fixture with its model and its long texts."""
    if isinstance(value, dict):
        return {key: filled(item, model) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, model) for item in value]
    if not isinstance(value, str):
        return value
    before, mark, rest = value.partition("{{long:")
    if mark:
        size, _, after = rest.partition("}}")
        value = before + ("Be careful and exact; prefer small changes. " * (int(size) // 44
                                                                            + 1))[:int(size)].strip() + after
    return value.replace("@MODEL@", model)


class Agent:
    """`file`, `path`, `vendor` (for --direct) and what differs are the subclasses'."""

    def __init__(self, route):
        self.script = json.loads((CLIENTS / "agents" / self.file).read_text())
        self.public, self.model = route.name("agent", thinking=bool(route.provider.thinking))
        self.upstream = route.upstream
        self.body = filled(self.script["turn"], self.public)
        self.dropped = None
        if route.provider.name == "anthropic-new" and self.file == "claude-code.json":
            # The agent knows its models.
            self.body["thinking"] = {"type": "adaptive"}
            self.script["title"].pop("temperature")

    def part(self, name, scenario=None):
        """Another request of the script, its model renamed to another scenario."""
        public = self.public if scenario is None else self.public.replace("--agent--", "--%s--" % scenario)
        return filled(self.script[name], public), public

    def post(self, path, body, expect=200):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(URL).netloc, timeout=20)
        headers = dict(self.script["headers"])
        if DIRECT:
            for name in ("authorization", "x-goog-api-key"):
                if name in headers:
                    headers[name] = ("Bearer " if name == "authorization" else "") + KEYS[self.vendor]
            path = "/vendors/%s%s" % (self.vendor, path)
        connection.request("POST", path, json.dumps(body, ensure_ascii=False).encode(), headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        assert answer.status == expect, data[:2000]
        self.dropped = answer.headers.get("x-cirque-dropped")
        if "event-stream" in (answer.headers["content-type"] or ""):
            return self.events(data.decode())
        return json.loads(data)

    @staticmethod
    def events(text):
        found = []
        for block in text.replace("\r\n", "\n").split("\n\n"):
            data = [line[5:].strip() for line in block.split("\n") if line.startswith("data:")]
            if data and data[0] != "[DONE]":
                found.append(json.loads("\n".join(data)))
        return found

    def seen(self):
        return [entry["seen"] for entry in self.upstream.requests(self.model) if entry["seen"]]


class ClaudeCode(Agent):
    file, vendor, client = "claude-code.json", "anthropic", "anthropic"

    def schemas(self):
        return {tool["name"]: tool["input_schema"] for tool in self.body["tools"]}

    def step(self):
        """One request; the blocks of the answer, put together as Claude Code does, go into the history."""
        blocks, stop, usage = {}, None, {}
        for event in self.post("/v1/messages?beta=true", self.body):
            kind = event["type"]
            if kind == "message_start":
                usage.update(event["message"]["usage"])
            elif kind == "content_block_start":
                assert event["index"] == len(blocks)
                blocks[event["index"]] = {**event["content_block"], "json": ""}
            elif kind == "content_block_delta":
                block, delta = blocks[event["index"]], event["delta"]
                key = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature",
                       "input_json_delta": "json"}[delta["type"]]
                block[key] = block.get(key, "") + delta[{"json": "partial_json"}.get(key, key)]
            elif kind == "message_delta":
                stop = event["delta"]["stop_reason"]
                usage.update({key: value for key, value in event["usage"].items() if value is not None})
            else:
                assert kind in ("ping", "message_stop", "content_block_stop"), event
        content = []
        for block in blocks.values():
            text = block.pop("json")
            if block["type"] == "tool_use":
                block["input"] = json.loads(text or "{}")
            content.append(block)
        for message in self.body["messages"]:
            for part in message["content"]:
                part.pop("cache_control", None)
        self.body["messages"].append({"role": "assistant", "content": content})
        self.usage = usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
        calls = [block for block in content if block["type"] == "tool_use"]
        assert stop == ("tool_use" if calls else "end_turn")
        if calls:
            results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok", "is_error": index == 1}
                       for index, call in enumerate(calls)]
            results[-1]["cache_control"] = {"type": "ephemeral"}
            self.body["messages"].append({"role": "user", "content": results})
        return [(call["name"], call["input"]) for call in calls], "".join(
            block["text"] for block in content if block["type"] == "text")


class Codex(Agent):
    file, vendor, client = "codex.json", "openai", "openai-responses"

    def schemas(self):
        return {tool["name"]: tool.get("parameters") for tool in self.body["tools"] if "name" in tool}

    def step(self):
        """Codex takes its items from response.output_item.done and needs response.completed."""
        items, last, number = [], None, -1
        for event in self.post("/v1/responses", self.body):
            assert event["sequence_number"] == number + 1, event
            number, last = event["sequence_number"], event
            if event["type"] == "response.output_item.done":
                items.append(event["item"])
        assert last["type"] == "response.completed", last
        assert [item["id"] for item in last["response"]["output"]] == [item["id"] for item in items]
        self.usage = last["response"]["usage"]["input_tokens"]
        calls, text = [], ""
        for item in items:
            sent = {key: value for key, value in item.items() if key != "status"}
            self.body["input"].append(sent)
            if item["type"] == "reasoning":
                # Codex leaves the id of reasoning out: it stands for nothing when nothing is stored.
                sent.pop("id")
            elif item["type"] in ("function_call", "custom_tool_call"):
                calls.append(item)
            else:
                text += "".join(part["text"] for part in item["content"])
        for call in calls:
            kind = "custom_tool_call_output" if call["type"] == "custom_tool_call" else "function_call_output"
            self.body["input"].append({"type": kind, "call_id": call["call_id"], "output": "ok"})
        for call in calls:
            custom = any(tool.get("name") == call["name"] and tool["type"] == "custom" for tool in self.body["tools"])
            assert call["type"] == ("custom_tool_call" if custom else "function_call")
        return [(call["name"], json.loads(call["arguments"]) if "arguments" in call else call["input"])
                for call in calls], text


class GeminiCli(Agent):
    file, vendor, client = "gemini-cli.json", "gemini", "google-genai"

    def path(self, public, method):
        return "/v1beta/models/%s:%s" % (urllib.parse.quote(public, safe="/"), method)

    def schemas(self):
        return {tool["name"]: tool["parametersJsonSchema"] for tool in self.body["tools"][0]["functionDeclarations"]}

    def step(self):
        parts, finish = [], None
        for chunk in self.post(self.path(self.public, "streamGenerateContent?alt=sse"), self.body):
            candidate = chunk["candidates"][0]
            parts += candidate.get("content", {}).get("parts", [])
            assert finish is None
            finish = candidate.get("finishReason")
            self.usage = (chunk.get("usageMetadata") or {}).get("promptTokenCount")
        assert finish == "STOP"
        # Thoughts are shown and not sent again; everything else goes back as it came.
        parts = [part for part in parts if not part.get("thought")]
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        self.body["contents"].append({"role": "model", "parts": parts})
        if calls:
            self.body["contents"].append({"role": "user", "parts": [{"functionResponse": {
                "id": call.get("id") or "%s-1764000000-%d" % (call["name"], index), "name": call["name"],
                "response": {"output": "ok"}}} for index, call in enumerate(calls)]})
        return [(call["name"], call.get("args", {})) for call in calls], "".join(part.get("text", "") for part in parts)


AGENTS = {"claude-code": ClaudeCode, "codex": Codex, "gemini-cli": GeminiCli}
OWN = {"claude-code": "anthropic", "codex": "openai-responses", "gemini-cli": "gemini"}
PAIRS = [pytest.param((agent, target), id="%s>%s" % (agent, target)) for agent in AGENTS for target in TARGETS
         if not DIRECT or OWN[agent] == target]


@pytest.fixture(params=PAIRS)
def agent(request, upstream):
    name, target = request.param
    made = AGENTS[name](Route(AGENTS[name].client, TARGETS[target], upstream))
    made.target = TARGETS[target]
    return made


def test_session(agent):
    """Call, two calls, done: every call fits a declared tool, every result finds its call, nothing is lost on the
    way."""
    declared = agent.schemas()
    rounds = []
    for _ in range(3):
        calls, text = agent.step()
        for name, arguments in calls:
            assert name in declared
            if isinstance(arguments, dict) and declared[name]:
                jsonschema.validate(arguments, declared[name])
        rounds.append(([name for name, _ in calls], text))
    assert [len(names) for names, _ in rounds] == [1, 2, 0]
    assert rounds[2][1] == "Done after 3 tool results."
    assert agent.usage == 9000
    seen = agent.seen()[-1]
    # Built-in tools of the vendor go nowhere else; the agent's own all arrive.
    arrived = {tool["name"].partition("__text")[0] for tool in seen["tools"]}
    lost = set(declared) - arrived
    assert not lost or (lost == {"apply_patch"} and "custom" in agent.dropped), (lost, agent.dropped)
    assert "Be careful and exact" in seen["system"] and len(seen["system"]) > 10_000
    results = [part for turn in seen["turns"] for part in turn["parts"] if part["kind"] == "result"]
    assert len(results) == 3 and all("ok" in part["text"] for part in results)
    calls = [part for turn in seen["turns"] for part in turn["parts"] if part["kind"] == "call"]
    # A tool of free text is a function with a name of its own where there is nothing like it.
    assert [part["name"].partition("__text")[0] for part in calls] == rounds[0][0] + rounds[1][0]


def test_thinking_survives_the_session(agent):
    if agent.target.keeps != "signed" or not agent.target.thinking:
        nothing_there("%s has no signatures" % agent.target.name)
    agent.step()
    agent.step()
    seen = agent.seen()[-1]
    assert any(part.get("signed") for part in seen["turns"][-2]["parts"]), seen["turns"][-2]


@pytest.mark.parametrize("target", [name for name in TARGETS if not DIRECT or name == "anthropic"])
def test_claude_code_between_turns(target, upstream):
    """The one-token probe, the count and the title, which are small requests of odd shape."""
    agent = ClaudeCode(Route("anthropic", TARGETS[target], upstream))
    probe = agent.post("/v1/messages?beta=true", agent.part("probe", "text")[0])
    assert probe["type"] == "message" and probe["role"] == "assistant"
    assert agent.post("/v1/messages/count_tokens?beta=true", agent.part("count")[0])["input_tokens"] > 0
    text = ""
    for event in agent.post("/v1/messages?beta=true", agent.part("title", "schema")[0]):
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            text += event["delta"]["text"]
    assert json.loads(text) == PERSON


@pytest.mark.parametrize("target", [name for name in TARGETS if not DIRECT or name == "gemini"])
def test_gemini_cli_between_turns(target, upstream):
    agent = GeminiCli(Route("google-genai", TARGETS[target], upstream))
    body, public = agent.part("check", "schema")
    answer = agent.post(agent.path(public, "generateContent"), body)
    text = "".join(part.get("text", "") for part in answer["candidates"][0]["content"]["parts"]
                   if not part.get("thought"))
    assert json.loads(text) == PERSON
    body, public = agent.part("count")
    assert agent.post(agent.path(public, "countTokens"), body)["totalTokens"] > 0


@gateway_only
@pytest.mark.parametrize("target", ["azure", "server", "openai-responses", "gemini", "bedrock", "cohere", "mistral"])
def test_claude_code_long_tool_name(target, upstream):
    """MCP tools have names of up to 128 characters there, of 64 at most elsewhere: the model's call carries the long
    one."""
    agent = ClaudeCode(Route("anthropic", TARGETS[target], upstream))
    name = "mcp__plugin_documentation_context__resolve_library_identifier_by_its_full_name"
    agent.body["tools"][0]["name"] = name
    calls, _ = agent.step()
    assert [called for called, _ in calls] == [name]
    agent.step()


@gateway_only
@pytest.mark.parametrize("target", ["bedrock", "vertex-claude", "anthropic-new"])
def test_claude_code_cache_marks(target, upstream):
    """Where the target has cache marks, they arrive."""
    agent = ClaudeCode(Route("anthropic", TARGETS[target], upstream))
    agent.step()
    assert agent.seen()[-1]["cache_marks"] >= 3


@gateway_only
def test_what_is_dropped_is_named(upstream):
    agent = Codex(Route("openai-responses", TARGETS["anthropic"], upstream))
    agent.step()
    assert agent.dropped, "web_search at least has no counterpart in that request"
    agent = ClaudeCode(Route("anthropic", TARGETS["azure"], upstream))
    agent.step()
    assert agent.dropped and "context_management" in agent.dropped
