"""Requests that no vendor forbids and none expects, from three client dialects to every provider: either the provider
gets
something it takes, or the client gets our own 400. A refusal by the fake vendor is a translation gone wrong."""

import json
import os
import urllib.error
import urllib.request

import pytest

from conftest import gateway_only, nothing_there
from matrix import Route
from vendors.scenarios import GREETING
from vendors.targets import TARGETS

pytestmark = gateway_only

CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Köln\"}"}}
TWO = [CALL, {**CALL, "id": "call_2"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}
TOOLS = {"tools": [TOOL]}


def user(text="Hello"):
    return {"role": "user", "content": text}


def said(text="Yes"):
    return {"role": "assistant", "content": text}


def result(text="21 °C", identity="call_1"):
    return {"role": "tool", "tool_call_id": identity, "content": text}


def calls(*made, content=None):
    return {"role": "assistant", "content": content, "tool_calls": list(made)}


WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
CHATS = {
    "audio": {"messages": [user([{"type": "text", "text": "x"}, {"type": "input_audio", "input_audio": {
        "data": WAV, "format": "wav"}}])]},
    "image by URL": {"messages": [user([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {
        "url": "https://example.com/a.png", "detail": "low"}}])]},
    "file by id": {"messages": [user([{"type": "text", "text": "x"}, {"type": "file", "file": {"file_id": "f-1"}}])]},
    "only an image": {"messages": [user([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])]},
    "two users": {"messages": [user("a"), user("b")]},
    "two assistants": {"messages": [user(), said("a"), said("b"), user()]},
    "assistant first": {"messages": [said(), user()]},
    "empty assistant": {"messages": [user(), said(""), user()]},
    "ends with assistant": {"messages": [user(), said("It is ")]},
    "system in the middle": {"messages": [{"role": "system", "content": "s"}, user(), said(),
                                          {"role": "system", "content": "t"}, user()]},
    "developer": {"messages": [{"role": "developer", "content": "s"}, user()]},
    "system only": {"messages": [{"role": "system", "content": "s"}]},
    "system parts": {"messages": [{"role": "system", "content": [{"type": "text", "text": "a"},
                                                                 {"type": "text", "text": "b"}]}, user()]},
    "user after result": {"messages": [user(), calls(CALL), result(), user("Thanks. And Oslo?")], **TOOLS},
    "assistant after result": {"messages": [user(), calls(CALL), result(), said(), user()], **TOOLS},
    "results reversed": {"messages": [user(), calls(*TWO), result(identity="call_2"), result()], **TOOLS},
    "text beside calls": {"messages": [user(), calls(CALL, content="Let me look."), result()], **TOOLS},
    "empty text beside calls": {"messages": [user(), calls(CALL, content=""), result()], **TOOLS},
    "empty result": {"messages": [user(), calls(CALL), result("")], **TOOLS},
    "blank result": {"messages": [user(), calls(CALL), result(" \n")], **TOOLS},
    "result in parts": {"messages": [user(), calls(CALL), result([{"type": "text", "text": "a"},
                                                                  {"type": "text", "text": "b"}])], **TOOLS},
    "result is a list": {"messages": [user(), calls(CALL), result("[1, 2]")], **TOOLS},
    "result is a number": {"messages": [user(), calls(CALL), result("21")], **TOOLS},
    "result is big JSON": {"messages": [user(), calls(CALL), result(json.dumps({"error": {"a": [None, 1e300]}}))],
                           **TOOLS},
    "empty arguments": {"messages": [user(), calls({**CALL, "function": {"name": "get_weather", "arguments": ""}}),
                                     result()], **TOOLS},
    "arguments are no object": {"messages": [user(), calls({**CALL,
                                                            "function": {"name": "get_weather", "arguments": "[1]"}}),
                                                            result()], **TOOLS},
    "arguments are no JSON": {"messages": [user(), calls({**CALL,
                                                          "function": {"name": "get_weather",
                                                                       "arguments": "{\"city\": "}}), result()],
                                                                       **TOOLS},
    "call of an undeclared tool": {"messages": [user(), calls({**CALL,
                                                               "function": {"name": "gone", "arguments": "{}"}}),
                                                               result()], **TOOLS},
    "calls without tools": {"messages": [user(), calls(CALL), result()]},
    "long call id": {"messages": [user(), calls({**CALL, "id": "call_" + "x" * 59}),
                                  result(identity="call_" + "x" * 59)], **TOOLS},
    "odd call id": {"messages": [user(), calls({**CALL, "id": "functions.get_weather:0"}),
                                 result(identity="functions.get_weather:0")], **TOOLS},
    "blank user": {"messages": [user(" ")]},
    "blank part": {"messages": [user([{"type": "text", "text": ""}, {"type": "text", "text": "x"}])]},
    "blank system": {"messages": [{"role": "system", "content": ""}, user()]},
    "names": {"messages": [{**user(), "name": "ada"}]},
    "hot": {"messages": [user()], "temperature": 1.9, "top_p": 1, "frequency_penalty": 1.5, "presence_penalty": -1},
    "zero": {"messages": [user()], "temperature": 0, "top_p": 0.0, "seed": -5},
    "many stops": {"messages": [user()], "stop": ["a", "b", "c", "d"]},
    "blank stop": {"messages": [user()], "stop": ["\n"]},
    "tiny": {"messages": [user()], "max_tokens": 1},
    "huge": {"messages": [user()], "max_completion_tokens": 128000},
    "all figures": {"messages": [user()], "logprobs": True, "top_logprobs": 5, "logit_bias": {"5": 1}, "n": 1,
                    "user": "u", "store": False,
                    "metadata": {"a": "b"}, "service_tier": "auto", "parallel_tool_calls": True, "verbosity": "low",
                    **TOOLS},
    "several answers": {"messages": [user()], "n": 2},
    "json object": {"messages": [user("json please")], "response_format": {"type": "json_object"}},
    "text format": {"messages": [user()], "response_format": {"type": "text"}},
    "one call at a time": {"messages": [user()], "parallel_tool_calls": False, **TOOLS},
    "any tool, thinking": {"messages": [user()], "tool_choice": "required", "reasoning_effort": "high", **TOOLS,
                           "_": "thinking"},
    "no thinking": {"messages": [user()], "reasoning_effort": "none", "_": "thinking"},
    "thinking with little room": {"messages": [user()], "reasoning_effort": "high", "max_completion_tokens": 500,
                                  "_": "thinking"},
    "thinking and temperature": {"messages": [user()], "reasoning_effort": "low", "temperature": 0.2, "_": "thinking"},
    "forced tool and schema": {"messages": [user("json")], "tool_choice": "required", **TOOLS, "_": "schema",
                               "response_format": {
        "type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
            "additionalProperties": False}}}},
}

SCHEMAS = {
    "none": None,
    "empty": {},
    "no properties": {"type": "object"},
    "references": {"type": "object", "$defs": {"p": {"type": "object", "properties": {"x": {"type": "number"}}}},
                   "properties": {"a": {"$ref": "#/$defs/p"}, "b": {"type": "array", "items": {"$ref": "#/$defs/p"}}}},
    "recursion": {"type": "object", "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}},
                  "properties": {"a": {"$ref": "#/$defs/n"}}},
    "unions": {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                                                "b": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
                                                "c": {"allOf": [{"type": "object",
                                                                 "properties": {"d": {"type": "string"}}}]}}},
    "union at the top": {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
                         "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
    "types": {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": {"type": ["integer", "string"]},
                                               "c": {}, "d": True}},
    "limits": {"type": "object", "properties": {
        "a": {"type": "integer", "minimum": 0, "exclusiveMaximum": 9, "multipleOf": 3},
        "b": {"type": "string", "minLength": 1,
              "maxLength": 5, "pattern": "^a", "format": "email"}, "c": {"type": "array", "minItems": 1, "maxItems": 2,
              "uniqueItems": True, "items": {"type": "string"}}}},
    "tuple": {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [{"type": "string"}],
                                                     "items": False}}},
    "array without items": {"type": "object", "properties": {"a": {"type": "array"}}},
    "enums": {"type": "object", "properties": {"a": {"enum": [1, 2]}, "b": {"type": "string", "enum": ["x", ""]},
                                               "c": {"const": "k"},
                                               "d": {"type": ["string", "null"], "enum": ["x", None]},
                                               "e": {"type": "boolean", "enum": [True]}}},
    "maps": {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "number"}},
                                              "b": {"type": "object",
                                                    "patternProperties": {"^x": {"type": "string"}}}}},
    "annotations": {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "title": "T", "type": "object",
                    "examples": [{}],
                    "properties": {"a": {"type": "string", "default": "x", "title": "A", "deprecated": True,
                                         "$comment": "c",
                                         "contentEncoding": "base64", "readOnly": True}}},
    "required but missing": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"]},
    "odd names": {"type": "object", "properties": {"-B": {"type": "string"}, "a.b": {"type": "string"},
                                                   "ü": {"type": "string"}}},
    "closed": {"type": "object", "properties": {}, "additionalProperties": False},
    "strict and deep": {"type": "object", "properties": {"a": {"type": "object",
                                                               "properties": {"b": {"type": "array", "items": {
        "type": "object", "properties": {"c": {"type": "null"}}}}}}}},
}


# Refusals that rightly reach the client.
TO_THE_CLIENT = {("anthropic-new", "ends with assistant"), ("mistral", "system only")}
TO_THE_CLIENT |= {(target, name) for target in ("compat", "server")
                  for name in ("developer", "arguments are no JSON", "empty arguments")}
TO_THE_CLIENT |= {(target, "arguments are no JSON") for target in ("openai-responses", "cohere", "mistral")}


def post(path, body):
    request = urllib.request.Request(os.environ["CIRQUE_URL"] + path, json.dumps(body).encode(), {
        "content-type": "application/json", "authorization": "Bearer sk-client-secret",
        "anthropic-version": "2023-06-01"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def taken_or_ours(target, upstream, path, body, scenario="text", thinking=False, client="openai-chat"):
    """Posts; fails when the fake vendor refused. Returns `(status, answer, what arrived)`."""
    route = Route(client, TARGETS[target], upstream)
    public, model = route.name(scenario, thinking and bool(TARGETS[target].thinking))
    if "{model}" in path:
        path = path.replace("{model}", public)
    else:
        body = {**body, "model": public}
    status, answer = post(path, body)
    entries = upstream.requests(model)
    refused = [entry["refused"] for entry in entries if entry.get("refused")]
    assert not refused, refused
    assert status == 200 or (status == 400 and not entries), (status, answer)
    return status, answer, entries


# What the client's dialect passes to its own vendor unread is between those two.
FOREIGN = [name for name in TARGETS if name not in ("azure", "azure-dated")]


@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize("name", list(CHATS))
def test_odd_chat(name, target, upstream):
    if (target, name) in TO_THE_CLIENT:
        nothing_there("the vendor's refusal is clear and the client's to mend, or ours to be strict about")
    body = dict(CHATS[name])
    about = body.pop("_", "text")
    scenario = "schema" if about == "schema" else "text"
    if about == "thinking" and not TARGETS[target].thinking:
        nothing_there("does not think")
    status, answer, _ = taken_or_ours(target, upstream, "/v1/chat/completions", body, scenario, about == "thinking")
    if status == 200 and scenario == "text":
        assert answer["choices"][0]["message"]["content"] == GREETING


@pytest.mark.parametrize("target", list(TARGETS))
@pytest.mark.parametrize("client", ["openai-chat", "openai-responses", "anthropic", "google-genai"])
@pytest.mark.parametrize("name", list(SCHEMAS))
def test_tool_schema(name, client, target, upstream):
    """Schemas that tools and MCP servers in the wild have."""
    schema = SCHEMAS[name]
    own = {"openai-chat": ("server", "azure", "azure-dated", "compat"),
           "openai-responses": ("openai-responses", "azure-dated"),
           "anthropic": ("anthropic", "anthropic-new", "vertex-claude"),
           "google-genai": ("gemini", "gemini-3", "vertex")}
    if target in own[client]:
        nothing_there("its own dialect passes unread")
    described = {"name": "f", "description": "d"}
    if client == "openai-chat":
        path, body = "/v1/chat/completions", {"messages": [user()], "tools": [{"type": "function", "function": {
            **described, **({"parameters": schema} if schema is not None else {})}}]}
    elif client == "openai-responses":
        path, body = "/v1/responses", {"input": "Hello", "store": False, "tools": [{
            "type": "function", **described, "parameters": schema, "strict": False}]}
    elif client == "anthropic":
        path, body = "/v1/messages", {"messages": [user()], "max_tokens": 99, "tools": [{
            **described, "input_schema": {"type": "object", **(schema or {})}}]}
    else:
        path, body = "/v1beta/models/{model}:generateContent", {"contents": [{"parts": [{"text": "Hello"}]}],
                                                                "tools": [{
            "functionDeclarations": [{**described, **({"parametersJsonSchema": schema} if schema else {})}]}]}
    status, _, entries = taken_or_ours(target, upstream, path, body, client=client)
    if status == 200:
        assert [tool["name"] for tool in entries[-1]["seen"]["tools"]] == ["f"]


BLOCKS = {
    "image in a result": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==")}},
        {"type": "text", "text": "A red dot."}],
    "no content": None, "empty list": [], "empty text": "", "two texts": [{"type": "text", "text": "a"},
                                                                          {"type": "text", "text": "b"}],
}


@pytest.mark.parametrize("target", [name for name in TARGETS
                                    if name not in ("anthropic", "anthropic-new", "vertex-claude")])
@pytest.mark.parametrize("error", [False, True], ids=["ok", "error"])
@pytest.mark.parametrize("name", list(BLOCKS))
def test_anthropic_tool_result(name, error, target, upstream):
    block = {"type": "tool_result", "tool_use_id": "toolu_1",
             **({"content": BLOCKS[name]} if BLOCKS[name] is not None else {}),
             **({"is_error": True} if error else {})}
    body = {"max_tokens": 99, "tools": [{"name": "f", "input_schema": {"type": "object"}}], "messages": [
        user(), {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [block, {"type": "text", "text": "Go on."}]}]}
    status, _, entries = taken_or_ours(target, upstream, "/v1/messages", body, client="anthropic")
    assert status == 200
    turns = entries[-1]["seen"]["turns"]
    found = [part for turn in turns for part in turn["parts"] if part["kind"] == "result"]
    assert len(found) == 1
    if name == "image in a result" and "image" not in TARGETS[target].lacks:
        images = found[0]["images"] + sum(part["kind"] == "image" for turn in turns for part in turn["parts"])
        assert images == 1 or target in ("mistral", "cohere"), turns


MESSAGES = {
    "system message": {"messages": [user(), said(), {"role": "system", "content": "Be brief."}, user()]},
    "between tools": {"messages": [user()], "thinking": {"type": "between_tools"}, "_": True},
    "adaptive": {"messages": [user()], "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}, "_": True},
    "disabled": {"messages": [user()], "thinking": {"type": "disabled"}, "_": True},
    "prefill": {"messages": [user(), said("{")]},
    "document text": {"messages": [user([{"type": "document",
                                          "source": {"type": "text", "media_type": "text/plain", "data": "abc"},
                                          "title": "T", "citations": {"enabled": True}},
                                          {"type": "text", "text": "x"}])]},
    "search result": {"messages": [user([{"type": "search_result", "source": "https://a", "title": "T", "content": [
        {"type": "text", "text": "abc"}]}, {"type": "text", "text": "x"}])]},
    "image by URL": {"messages": [user([{"type": "image", "source": {"type": "url",
                                                                     "url": "https://example.com/a.png"}},
                                                                     {"type": "text", "text": "x"}])]},
    "foreign thinking": {"messages": [user(), {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "text", "text": "y"}]}, user()]},
    "server tools": {"messages": [user()], "tools": [{"type": "web_search_20250305", "name": "web_search",
                                                      "max_uses": 3},
                                                     {"name": "f", "input_schema": {"type": "object"}}]},
    "server tool results": {"messages": [user(), {"role": "assistant", "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1",
         "content": [{"type": "web_search_result", "url": "https://a",
         "title": "T", "encrypted_content": "x", "page_age": None}]}, {"type": "text", "text": "y"}]}, user()]},
    "cache marks everywhere": {"system": [{"type": "text", "text": "s",
                                           "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
                               "tools": [{"name": "f", "input_schema": {"type": "object"},
                                          "cache_control": {"type": "ephemeral"}}],
                               "messages": [user([{"type": "text", "text": "x",
                                                   "cache_control": {"type": "ephemeral"}}])]},
    "top_k and metadata": {"messages": [user()], "top_k": 40, "metadata": {"user_id": "u"}, "service_tier": "auto"},
}


@pytest.mark.parametrize("target", [name for name in TARGETS
                                    if name not in ("anthropic", "anthropic-new", "vertex-claude")])
@pytest.mark.parametrize("name", list(MESSAGES))
def test_odd_messages(name, target, upstream):
    body = {"max_tokens": 4096, **MESSAGES[name]}
    thinking = body.pop("_", False)
    if thinking and not TARGETS[target].thinking:
        nothing_there("does not think")
    if name == "foreign thinking" and target == "bedrock":
        nothing_there("Claude's signatures hold there too, so they are passed on")
    status, _, entries = taken_or_ours(target, upstream, "/v1/messages", body, thinking=thinking, client="anthropic")
    if name == "system message" and status == 200:
        assert "Be brief." in json.dumps(entries[-1]["seen"], ensure_ascii=False)
