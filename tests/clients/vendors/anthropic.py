"""Anthropic Messages and count_tokens; also what Vertex's rawPredict takes (`vertex=True`)."""

import json
import re

from . import canon
from .canon import Response, sse
from .openai_chat import add_turn, valid_schema
from .shapes import Any, Either, Null, Range, Refused, Tagged, Text, check, join, media

VERSIONS = ("2023-06-01", "2026-10-21")
NAME = Text(r"[a-zA-Z0-9_-]{1,128}")
IDENTITY = Text(r"[a-zA-Z0-9_-]+")
MARK = {"cache_control?": Null({"type": ("ephemeral",), "ttl?": ("5m", "1h"), "scope?": str})}
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def image_source(value, path):
    check(value, Tagged("type", {"base64": {"media_type": IMAGES, "data": str}, "url": {"url": Text(r"https?://.+")},
                                 "file": {"file_id": str}}), path)
    if value["type"] == "base64":
        media(value["media_type"], value["data"], path + ".data")


def document_source(value, path):
    check(value, Tagged("type", {
        "base64": {"media_type": ("application/pdf",), "data": str},
        "text": {"media_type": ("text/plain",), "data": str},
        "url": {"url": Text(r"https?://.+")}, "file": {"file_id": str}, "content": {"content": Either(str, list)}}),
        path)
    if value["type"] == "base64":
        media(value["media_type"], value["data"], path + ".data")


TEXT = {"text": Text(least=1), "citations?": Null(list), **MARK}
IMAGE = {"source": image_source, **MARK}
DOCUMENT = {"source": document_source, "title?": Null(str), "context?": Null(str),
            "citations?": Null({"enabled?": bool}), **MARK}
SEARCH = {"source": str, "title": str, "content": list, "citations?": Any, **MARK}
RESULT = Tagged("type", {"text": TEXT, "image": IMAGE, "document": DOCUMENT, "search_result": SEARCH,
                         "tool_reference": {"tool_name": str}})
USER = {
    "text": TEXT, "image": IMAGE, "document": DOCUMENT, "search_result": SEARCH,
    "tool_result": {"tool_use_id": IDENTITY, "content?": Either(str, [RESULT]), "is_error?": Null(bool),
                    "toolset_name?": Null(str), **MARK},
    "container_upload": {"file_id": str, **MARK},
}
ASSISTANT = {
    "text": TEXT,
    "tool_use": {"id": IDENTITY, "name": NAME, "input": dict, "caller?": Any, **MARK},
    "thinking": {"thinking": str, "signature": str}, "redacted_thinking": {"data": str},
    "server_tool_use": {"id": IDENTITY, "name": str, "input": dict, "caller?": Any, **MARK},
    **{name: {"tool_use_id": str, "content": Any, "caller?": Any, **MARK} for name in (
        "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
        "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "mcp_tool_result")},
    "compaction": {"content": Any, **MARK},
}
MESSAGE = Tagged("role", {"user": {"content": Either(str, [Tagged("type", USER)])},
                          "assistant": {"content": Either(str, [Tagged("type", ASSISTANT)])},
                          "system": {"content": Either(str, [Tagged("type", {"text": TEXT})])}})
CUSTOM = {"name": NAME, "description?": str, "input_schema": dict, "type?": Null(("custom",)), "strict?": Null(bool),
          "eager_input_streaming?": Null(bool), "defer_loading?": bool, "input_examples?": list,
          "allowed_callers?": list, **MARK}


def tool(value, path):
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in (None, "custom"):
        check(value, CUSTOM, path)
        schema = value["input_schema"]
        valid_schema(schema, path + ".input_schema")
        if schema.get("type") != "object":
            raise Refused("Input should be 'object'", path + ".input_schema.type")
        for key in ("oneOf", "anyOf", "allOf"):
            if key in schema:
                raise Refused("input_schema does not support oneOf, allOf, or anyOf at the top level", path)
    else:
        check(kind, Text(r"(bash|text_editor|web_search|web_fetch|code_execution|computer|memory|tool_search_tool_\w+)"
                         r"_\d{8}"),
              path + ".type")
        check(value.get("name"), str, path + ".name")


COUNTED = {
    "model": str, "messages": [MESSAGE], "system?": Either(str, [Tagged("type", {"text": TEXT})]), "tools?": [tool],
    "tool_choice?": Tagged("type", {"auto": {"disable_parallel_tool_use?": bool},
                                    "any": {"disable_parallel_tool_use?": bool},
                                    "tool": {"name": str, "disable_parallel_tool_use?": bool}, "none": {}}),
    "thinking?": Tagged("type", {"enabled": {"budget_tokens": Range(int, 1024, 10**6), "display?": Null(str)},
                                 "disabled": {}, "between_tools": {},
                                 "adaptive": {"display?": Null(("summarized", "omitted"))}}),
    "context_management?": Any, "mcp_servers?": list, "cache_control?": MARK["cache_control?"], "speed?": Null(str),
    "output_config?": Null({"effort?": Null(("low", "medium", "high", "xhigh", "max")), "task_budget?": Any,
                            "format?": Null({"type": ("json_schema",), "schema": dict})}),
    "output_format?": Null({"type": ("json_schema",), "schema": dict}),
}
BODY = {**COUNTED, "max_tokens": Range(int, 1, 200000), "metadata?": {"user_id?": Null(Text(most=256))},
        "stop_sequences?": [Text(r"\s*\S[\s\S]*")], "stream?": bool, "temperature?": Range(float, 0, 1),
        "top_k?": Range(int, 0, 10**6), "top_p?": Range(float, 0, 1), "service_tier?": ("auto", "standard_only"),
        "container?": Any, "inference_geo?": Any, "diagnostics?": Any}


# Models from Opus 4.7 on: adaptive thinking only, no sampling parameters, no prefill.
NEW = re.compile(r"claude-(opus-(4-[78]|5)|sonnet-5|haiku-5|fable|mythos)")
SAMPLING = ("temperature", "top_p", "top_k")


def read(body, op="chat", dialect="anthropic", version=VERSIONS[0]):
    check(body, BODY if op == "chat" else COUNTED)
    model_rules(body, version)
    if not body["messages"]:
        raise Refused("at least one message is required", "messages")
    marks = json.dumps([body.get("system"), body["messages"], body.get("tools")]).count('"cache_control": {')
    if marks > 4:
        raise Refused("A maximum of 4 blocks with cache_control may be provided. Found %d." % marks)
    thinking = body.get("thinking")
    thinking = None if not thinking or thinking["type"] == "disabled" else thinking
    if thinking:
        thinking_rules(body, thinking)
    names = [item["name"] for item in body.get("tools", [])]
    if len(set(names)) != len(names):
        raise Refused("Tool names must be unique.", "tools")
    system = body.get("system") or ""
    later = [message["content"] for message in body["messages"] if message["role"] == "system"]
    return canon.seen(
        dialect, op, model=body["model"], stream=bool(body.get("stream")), choice=choice(body, names),
        system="\n".join(part if isinstance(part, str) else "\n".join(block["text"] for block in part)
                         for part in [system, *later] if part),
        turns=turns(body["messages"], thinking and thinking["type"]), schema=wanted_schema(body),
        max_tokens=body.get("max_tokens"),
        temperature=body.get("temperature"), top_p=body.get("top_p"), stop=body.get("stop_sequences", []),
        thinking=thinking, cache_marks=marks,
        tools=[{"name": item["name"], "description": item.get("description"), "schema": item.get("input_schema", {}),
                "builtin": item.get("type") not in (None, "custom")} for item in body.get("tools", [])])


def model_rules(body, version):
    """What the API's version and the model's generation took away."""
    new = NEW.search(body["model"])
    for key in SAMPLING:
        if key in body and version != VERSIONS[0]:
            raise Refused("Extra inputs are not permitted", key, unknown=True)
        if key in body and new:
            raise Refused("`%s` is deprecated for this model." % key, key)
    if new and (body.get("thinking") or {}).get("type") == "enabled":
        raise Refused('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                      '"output_config.effort" to control thinking behavior.', "thinking.type")
    if new and body["messages"] and body["messages"][-1]["role"] == "assistant":
        raise Refused("This model does not support assistant message prefill. The conversation must end with a "
                      "user message.")
    if "temperature" in body and "top_p" in body:
        raise Refused("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def thinking_rules(body, thinking):
    if thinking["type"] == "enabled" and thinking["budget_tokens"] >= body.get("max_tokens", 10**9):
        raise Refused("`max_tokens` must be greater than `thinking.budget_tokens`", "max_tokens")
    if body.get("temperature") not in (None, 1):
        raise Refused("`temperature` may only be set to 1 when thinking is enabled", "temperature")
    if body.get("top_k") is not None:
        raise Refused("`top_k` must be unset when thinking is enabled", "top_k")
    if body.get("top_p") is not None and body["top_p"] < 0.95:
        raise Refused("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled", "top_p")
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.", "tool_choice")


def choice(body, names):
    wanted = body.get("tool_choice")
    if not wanted:
        return "auto"
    if not names:
        raise Refused("tool_choice may only be specified while providing tools", "tool_choice")
    if wanted["type"] == "tool":
        if wanted["name"] not in names:
            raise Refused("Tool '%s' not found in provided tools" % wanted["name"], "tool_choice")
        return {"name": wanted["name"]}
    return wanted["type"]


def wanted_schema(body):
    found = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if not found:
        return None
    valid_schema(found["schema"], "output_config.format.schema")
    closed(found["schema"], "output_config.format.schema")
    return found["schema"]


def closed(schema, path):
    """Structured outputs: every object closed; no numeric or length limits."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            raise Refused("For 'object' type, 'additionalProperties' must be explicitly set to false", path)
        for key in ("minimum", "maximum", "minLength", "maxLength", "multipleOf", "maxItems"):
            if key in schema and not isinstance(schema[key], dict):
                raise Refused("For '%s' type, property '%s' is not supported" % (schema.get("type"), key), path)
        for key, inner in schema.items():
            closed(inner, join(path, key))
    elif isinstance(schema, list):
        for inner in schema:
            closed(inner, path)


def turns(messages, thinking):
    if messages[0]["role"] != "user":
        raise Refused("first message must use the \"user\" role", "messages")
    made, paths = [], []
    for index, message in enumerate(messages):
        path = "messages.%d" % index
        if message["role"] == "system":
            continue
        last = index == len(messages) - 1
        if not message["content"] and not (last and message["role"] == "assistant"):
            raise Refused("all messages must have non-empty content except for the optional final assistant message",
                          path)
        if isinstance(message["content"], str):
            parts = [canon.text_part(message["content"])]
        else:
            parts = [seen_block(block, "%s.content.%d" % (path, at)) for at, block in enumerate(message["content"])]
        if not made or made[-1]["role"] != message["role"]:
            paths.append(path)
        add_turn(made, message["role"], parts)
    pairs(made, paths, thinking)
    final = made[-1]
    if final["role"] == "assistant" and final["parts"] and final["parts"][-1].get("text",
            "x").endswith((" ", "\n", "\t")):
        raise Refused("final assistant content cannot end with trailing whitespace", "messages")
    return made


def seen_block(block, path):
    kind = block["type"]
    if kind == "text":
        return canon.text_part(block["text"])
    if kind in ("image", "document"):
        source = block["source"]
        name = "image" if kind == "image" else "file"
        if source["type"] == "base64":
            return canon.media_part(name, source["media_type"], media(source["media_type"], source["data"], path))
        if source["type"] == "text":
            return canon.text_part(source["data"])
        return canon.media_part(name, url=source.get("url") or source.get("file_id"))
    if kind == "tool_use":
        return canon.call_part(block["id"], block["name"], block["input"])
    if kind == "tool_result":
        content = block.get("content") or ""
        if isinstance(content, str):
            return canon.result_part(block["tool_use_id"], content, error=block.get("is_error"))
        return canon.result_part(block["tool_use_id"], "".join(part.get("text", "") for part in content),
                                 error=block.get("is_error"), images=sum(part["type"] == "image" for part in content))
    if kind == "thinking":
        canon.verify(block["signature"], path, "anthropic", block["thinking"])
        return {"kind": "thinking", "text": block["thinking"], "signed": True}
    if kind == "redacted_thinking":
        canon.verify(block["data"], path, "anthropic-redacted")
        return {"kind": "thinking", "text": None, "signed": True}
    return {"kind": kind}


def pairs(made, paths, thinking):
    """Every call has its result in the next turn, first in it; every result its call; thinking before calls, unless it
    is
    adaptive."""
    for index, turn in enumerate(made):
        calls = [part["id"] for part in turn["parts"] if part["kind"] == "call"]
        after = made[index + 1]["parts"] if index + 1 < len(made) else []
        answered = [part["id"] for part in after if part["kind"] == "result"]
        if len(set(calls)) != len(calls):
            raise Refused("`tool_use` ids must be unique", paths[index])
        missing = [identity for identity in calls if identity not in answered]
        if missing:
            raise Refused("`tool_use` ids were found without `tool_result` blocks immediately after: %s. Each "
                          "`tool_use` "
                          "block must have a corresponding `tool_result` block in the next message."
                          % ", ".join(missing),
                          paths[index])
        before = [part["id"] for part in made[index - 1]["parts"] if part["kind"] == "call"] if index else []
        names = {part["id"]: part["name"] for part in made[index - 1]["parts"]
                 if part["kind"] == "call"} if index else {}
        others = False
        results = [part for part in turn["parts"] if part["kind"] == "result"]
        if len({part["id"] for part in results}) != len(results):
            raise Refused("each tool_use must have a single result", paths[index])
        for part in turn["parts"]:
            if part["kind"] != "result":
                others = True
                continue
            if part["id"] not in before:
                raise Refused("unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` "
                              "block must "
                              "have a corresponding `tool_use` block in the previous message." % part["id"],
                              paths[index])
            if others:
                raise Refused("`tool_result` blocks must come first in a message", paths[index])
            part["name"] = names[part["id"]]
        if turn["role"] == "assistant" and thinking == "enabled" and calls and turn["parts"][0]["kind"] != "thinking":
            open_turn = not any(part["kind"] == "text" for later in made[index + 1:] if later["role"] == "user"
                                for part in later["parts"])
            if open_turn:
                raise Refused("Expected `thinking` or `redacted_thinking`, but found `tool_use`. When "
                              "`thinking` is enabled, "
                              "a final `assistant` message must start with a thinking block",
                              paths[index] + ".content.0.type")


def blocks(answer, seen):
    made, calls = [], 0
    for part in answer.parts:
        if part[0] == "think" and seen["thinking"]:
            made.append({"type": "thinking", "thinking": part[1], "signature": canon.sign("anthropic", part[1])})
        elif part[0] == "redacted" and seen["thinking"]:
            made.append({"type": "redacted_thinking", "data": canon.sign("anthropic-redacted")})
        elif part[0] == "text" and part[1]:
            made.append({"type": "text", "text": part[1]})
        elif part[0] == "call":
            made.append({"type": "tool_use", "id": canon.call_id("toolu_01", answer, calls), "name": part[1],
                         "input": part[2]})
            calls += 1
    return made


FINISH = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "filter": "refusal",
          "sequence": "stop_sequence"}


def usage(answer, seen):
    return {"input_tokens": answer.input - answer.cached - answer.written, "cache_read_input_tokens": answer.cached,
            "cache_creation_input_tokens": answer.written,
            "cache_creation": {"ephemeral_5m_input_tokens": answer.written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": answer.output, "service_tier": "standard",
            **({"output_tokens_details": {"thinking_tokens": answer.reasoning}} if seen["thinking"] else {})}


def reply(answer, seen):
    return Response(body={
        "id": "msg_01" + canon.digest(seen["model"].encode()), "type": "message", "role": "assistant",
        "model": seen["model"], "content": blocks(answer, seen), "stop_reason": FINISH[answer.finish],
        "stop_sequence": answer.stop_sequence, "usage": usage(answer, seen)})


def stream(answer, seen):
    start = reply(answer, seen).body
    start.update(content=[], stop_reason=None, stop_sequence=None, usage={**usage(answer, seen), "output_tokens": 1})
    events = [sse({"type": "message_start", "message": start}, "message_start"), sse({"type": "ping"}, "ping")]
    for index, block in enumerate(blocks(answer, seen)):
        empty, deltas = block_deltas(block)
        events.append(sse({"type": "content_block_start", "index": index, "content_block": empty},
                          "content_block_start"))
        events += [sse({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")
                   for delta in deltas]
        events.append(sse({"type": "content_block_stop", "index": index}, "content_block_stop"))
    if answer.fail_after is not None:
        broken = error(Refused("Overloaded", kind="overloaded"))
        return Response(events=events[:answer.fail_after + 2] + [sse(broken, "error")],
                        kind="text/event-stream; charset=utf-8")
    delta = {"stop_reason": FINISH[answer.finish], "stop_sequence": answer.stop_sequence}
    events.append(sse({"type": "message_delta", "delta": delta, "usage": {
        key: value for key, value in usage(answer, seen).items() if key not in ("cache_creation", "service_tier")}},
        "message_delta"))
    events.append(sse({"type": "message_stop"}, "message_stop"))
    return Response(events=events, kind="text/event-stream; charset=utf-8")


def block_deltas(block):
    kind = block["type"]
    if kind == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece}
                                       for piece in canon.pieces(block["text"], 5)]
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in canon.pieces(block["thinking"])]
        return ({**block, "thinking": "", "signature": ""},
                deltas + [{"type": "signature_delta", "signature": block["signature"]}])
    if kind == "tool_use":
        text = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
        deltas = [""] + (canon.pieces(text, 4) if text else [])
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in deltas]
    return block, []


def error(refused):
    kind = {"rate": "rate_limit_error", "overloaded": "overloaded_error", "server": "api_error", "auth":
            "authentication_error", "model": "not_found_error"}.get(refused.kind, "invalid_request_error")
    message = "%s: %s" % (refused.path, "Extra inputs are not permitted" if refused.unknown else refused.message)
    return {"type": "error", "error": {"type": kind, "message": message.removeprefix(": ")}, "request_id": "req_fake"}
