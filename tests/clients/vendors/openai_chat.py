"""OpenAI Chat Completions, and what is laxer in the compatible vendors that speak it (`relaxed`).

Stricter than OpenAI in one thing: unknown fields inside messages are refused, because no gateway should send them.
"""

import json

from jsonschema import Draft202012Validator, SchemaError

from . import canon
from .canon import Response, sse
from .shapes import Any, Either, Null, Range, Refused, Tagged, Text, check, data_url, decode, join

NAME = Text(r"[a-zA-Z0-9_-]+", 1, 64)
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")

TEXT_PART = {"text": {"text": str}}
USER_PART = Tagged("type", {
    **TEXT_PART,
    "image_url": {"image_url": {"url": str, "detail?": ("auto", "low", "high", "original")}},
    "input_audio": {"input_audio": {"data": str, "format": ("wav", "mp3")}},
    "file": {"file": {"file_id?": str, "file_data?": str, "filename?": str}},
})
ASSISTANT_PART = Tagged("type", {**TEXT_PART, "refusal": {"refusal": str}})
CALL = Tagged("type", {
    "function": {"id": str, "function": {"name": NAME, "arguments": str}},
    "custom": {"id": str, "custom": {"name": NAME, "input": str}},
})
PLAIN = Either(str, [Tagged("type", TEXT_PART)])
MESSAGE = Tagged("role", {
    "system": {"content": PLAIN, "name?": NAME},
    "developer": {"content": PLAIN, "name?": NAME},
    "user": {"content": Either(str, [USER_PART]), "name?": NAME},
    "assistant": {"content?": Null(Either(str, [ASSISTANT_PART])), "name?": NAME, "refusal?": Null(str),
                  "tool_calls?": [CALL], "audio?": Null({"id": str}), "annotations?": Any, "function_call?": Null(Any)},
    "tool": {"content": PLAIN, "tool_call_id": str},
})
FUNCTION = {"name": NAME, "description?": str, "parameters?": dict, "strict?": Null(bool)}
TOOL = Tagged("type", {"function": {"function": FUNCTION}, "custom": {"custom": Any}})
CHOICE = Either(("none", "auto", "required"), Tagged("type", {
    "function": {"function": {"name": str}}, "custom": {"custom": {"name": str}},
    "allowed_tools": {"allowed_tools": Any},
}))
FORMAT = Tagged("type", {
    "text": {}, "json_object": {},
    "json_schema": {"json_schema": {"name": NAME, "description?": str, "schema?": dict, "strict?": Null(bool)}},
})
BODY = {
    "model": str, "messages": [MESSAGE], "audio?": Any, "frequency_penalty?": Null(Range(float, -2, 2)),
    "logit_bias?": Null(dict), "logprobs?": Null(bool), "max_completion_tokens?": Null(Range(int, 1, 10**7)),
    "max_tokens?": Null(Range(int, 1, 10**7)), "metadata?": Null(dict), "modalities?": Null([str]),
    "n?": Null(Range(int, 1, 128)), "parallel_tool_calls?": bool, "prediction?": Null(Any),
    "presence_penalty?": Null(Range(float, -2, 2)), "prompt_cache_key?": str, "prompt_cache_retention?": Null(str),
    "reasoning_effort?": Null(("none", "minimal", "low", "medium", "high", "xhigh", "max")), "response_format?": FORMAT,
    "safety_identifier?": str, "seed?": Null(int), "service_tier?": Null(("auto", "default", "flex", "scale",
                                                                          "priority")),
    "stop?": Null(Either(str, [str])), "store?": Null(bool), "stream?": Null(bool),
    "stream_options?": Null({"include_usage?": bool, "include_obfuscation?": bool}),
    "temperature?": Null(Range(float, 0, 2)), "tool_choice?": Null(CHOICE), "tools?": [TOOL],
    "top_logprobs?": Null(Range(int, 0, 20)), "top_p?": Null(Range(float, 0, 1)), "user?": str,
    "verbosity?": Null(("low", "medium", "high")), "web_search_options?": Any, "moderation?": Any,
    "prompt_cache_options?": Any,
}
# What DeepSeek, xAI, Groq and the like take besides.
RELAXED_MESSAGE = Tagged("role", {
    **{role: MESSAGE.cases[role] for role in ("system", "user", "tool")},
    "assistant": {**MESSAGE.cases["assistant"], "reasoning_content?": Null(str), "reasoning?": Null(str),
                  "reasoning_details?": Null([dict]), "tool_calls?": [Tagged("type", {
                      "function": {**CALL.cases["function"], "index?": int}})]},
})
RELAXED = {**BODY, "messages": [RELAXED_MESSAGE], "thinking?": Any, "reasoning?": Any, "reasoning_format?": Any,
           "include_reasoning?": Any, "usage?": Any}


def reasons(model):
    """Does a name of OpenAI's mean a reasoning model?"""
    return model.startswith(("gpt-5", "o1", "o3", "o4"))


def strict_schema(schema, path):
    """Structured Outputs' rules: every object closed, every property required."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            raise Refused("'additionalProperties' is required to be supplied and to be false", path)
        missing = set(schema.get("properties", {})) - set(schema.get("required", []))
        if missing:
            raise Refused("'required' must include every key in properties; missing %s" % sorted(missing), path)
    for key in ("properties", "$defs", "definitions"):
        for name, inner in schema.get(key, {}).items():
            strict_schema(inner, join(path, name))
    strict_schema(schema.get("items"), join(path, "items"))
    for inner in schema.get("anyOf", []):
        strict_schema(inner, path)
    for key in ("allOf", "oneOf", "not", "if", "patternProperties", "minProperties"):
        if key in schema:
            raise Refused("'%s' is not permitted" % key, path)


def valid_schema(schema, path):
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise Refused("Invalid schema: %s" % error.message, path) from None


def read(body, dialect="openai-chat", relaxed=False):
    """The request validated and seen."""
    check(body, RELAXED if relaxed else BODY)
    model = body["model"]
    if not body["messages"]:
        raise Refused("[] is too short", "messages")
    if not relaxed and reasons(model):
        for key in ("max_tokens", "presence_penalty", "frequency_penalty", "logprobs", "logit_bias"):
            if body.get(key) is not None:
                raise Refused("Unsupported parameter: '%s' is not supported with this model" % key, key)
        if body.get("temperature") not in (None, 1):
            raise Refused("Unsupported value: 'temperature' does not support %s" % body["temperature"], "temperature")
    elif not relaxed and body.get("reasoning_effort") is not None:
        raise Refused("Unrecognized request argument supplied: reasoning_effort", "reasoning_effort", unknown=True)
    return canon.seen(
        dialect, model=model, stream=bool(body.get("stream")), **messages(body["messages"]), **toolbox(body, relaxed),
        schema=wanted_schema(body, relaxed), max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        temperature=body.get("temperature"), top_p=body.get("top_p"), stop=stops(body),
        thinking=thinking(body, relaxed), usage_asked=bool((body.get("stream_options") or {}).get("include_usage")))


def stops(body):
    found = body.get("stop") or []
    found = [found] if isinstance(found, str) else found
    if len(found) > 4:
        raise Refused("at most 4 stop sequences", "stop")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Refused("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise Refused("'top_logprobs' needs 'logprobs'", "top_logprobs")
    return found


def thinking(body, relaxed):
    if body.get("reasoning_effort"):
        return {"effort": body["reasoning_effort"]}
    if relaxed and (body.get("thinking") or body.get("reasoning")):
        return body.get("thinking") or body.get("reasoning")
    return {"effort": "default"} if relaxed or reasons(body["model"]) else None


def toolbox(body, relaxed):
    tools = []
    for index, tool in enumerate(body.get("tools") or []):
        path = "tools[%d].function" % index
        if tool["type"] == "custom":
            tools.append({"name": tool["custom"]["name"], "description": tool["custom"].get("description"),
                          "schema": {},
                          "custom": True})
            continue
        function = tool["function"]
        schema = function.get("parameters")
        if schema is not None:
            valid_schema(schema, path + ".parameters")
            if schema.get("type") != "object" and not (relaxed and not schema):
                raise Refused("Invalid schema for function '%s': schema must be a JSON Schema of 'type: "
                              "\"object\"', got "
                              "'type: \"%s\"'." % (function["name"], schema.get("type")), path + ".parameters")
            if function.get("strict") and not relaxed:
                strict_schema(schema, path + ".parameters")
        tools.append({"name": function["name"], "description": function.get("description"), "schema": schema or {}})
    if "tools" in body and not body["tools"]:
        raise Refused("[] is too short - 'tools'", "tools")
    if len(tools) > 128:
        raise Refused("Expected an array with maximum length 128", "tools")
    for key in ("tool_choice", "parallel_tool_calls"):
        if key in body and not body.get("tools"):
            raise Refused("'%s' is only allowed when 'tools' are specified." % key, key)
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, dict):
        choice = named_choice(choice, [tool["name"] for tool in tools])
    return {"tools": tools, "choice": {"required": "any"}.get(choice, choice) if isinstance(choice, str) else choice,
            "parallel": body.get("parallel_tool_calls", True)}


def named_choice(choice, names):
    """One tool, or OpenAI's `allowed_tools`, which is any of some."""
    if choice["type"] == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        wanted = [tool.get("name") or tool["function"]["name"] for tool in allowed["tools"]]
        made = {"required": "any"}.get(allowed["mode"], allowed["mode"])
        if len(wanted) == 1 and made == "any":
            made = {"name": wanted[0]}
    else:
        wanted = [(choice.get("function") or choice.get("custom") or choice).get("name", choice["type"])]
        made = {"name": wanted[0]}
    for name in wanted:
        if name not in names:
            raise Refused("Tool choice '%s' not found in 'tools' parameter." % name, "tool_choice")
    return made


def wanted_schema(body, relaxed):
    wanted = body.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_object":
        if "json" not in json.dumps(body["messages"]).lower():
            raise Refused("'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                          "'json_object'.", "messages")
        return True
    if wanted["type"] != "json_schema":
        return None
    schema = wanted["json_schema"].get("schema", {})
    valid_schema(schema, "response_format.json_schema.schema")
    if wanted["json_schema"].get("strict") and not relaxed:
        strict_schema(schema, "response_format.json_schema.schema")
    return schema


def messages(items):
    system, turns, open_calls = [], [], {}
    for index, item in enumerate(items):
        path = "messages[%d]" % index
        role = item["role"]
        if open_calls and role != "tool":
            raise Refused("An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                          "'tool_call_id'. The following tool_call_ids did not have response messages: %s"
                          % ", ".join(open_calls), path + ".role")
        if role in ("system", "developer"):
            system.append(plain(item["content"]))
            continue
        if role == "tool":
            identity = item["tool_call_id"]
            if identity not in open_calls:
                raise Refused("messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                              path + ".role")
            parts = [canon.result_part(identity, plain(item["content"]), open_calls.pop(identity))]
        elif role == "user":
            parts = user_parts(item["content"], path + ".content")
        else:
            parts, open_calls = assistant_parts(item, path)
        add_turn(turns, "assistant" if role == "assistant" else "user", parts)
    if open_calls:
        raise Refused("An assistant message with 'tool_calls' must be followed by tool messages: %s"
                      % ", ".join(open_calls), "messages")
    return {"system": "\n".join(system), "turns": turns}


def add_turn(turns, role, parts):
    """Joins neighbours of one role, as every vendor's model sees them."""
    if turns and turns[-1]["role"] == role:
        turns[-1]["parts"] += parts
    else:
        turns.append({"role": role, "parts": parts})


def plain(content):
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def user_parts(content, path):
    if isinstance(content, str):
        return [canon.text_part(content)]
    parts = []
    for index, part in enumerate(content):
        at = join(path, index)
        if part["type"] == "text":
            parts.append(canon.text_part(part["text"]))
        elif part["type"] == "image_url":
            url = part["image_url"]["url"]
            found = data_url(url, at + ".image_url.url", IMAGES)
            parts.append(canon.media_part("image", *(found or (None, None)), url=None if found else url))
        elif part["type"] == "input_audio":
            data = decode(part["input_audio"]["data"], at + ".input_audio.data")
            parts.append(canon.media_part("audio", "audio/" + part["input_audio"]["format"], data))
        else:
            parts.append(file_part(part["file"], at + ".file"))
    return parts


def file_part(file, path):
    if "file_id" in file:
        return canon.media_part("file", url=file["file_id"])
    if "file_data" not in file or "filename" not in file:
        raise Refused("file_id, or file_data with filename, is needed", path)
    found = data_url(file["file_data"], path + ".file_data", ("application/pdf",))
    if not found:
        raise Refused("file_data must be a data URL", path + ".file_data")
    return canon.media_part("file", *found)


def assistant_parts(item, path):
    content, parts, calls = item.get("content"), [], {}
    if item.get("reasoning_content") or item.get("reasoning"):
        parts.append({"kind": "thinking", "text": item.get("reasoning_content") or item.get("reasoning"),
                      "signed": False})
    if isinstance(content, str):
        parts.append(canon.text_part(content))
    for part in content if isinstance(content, list) else []:
        parts.append(canon.text_part(part.get("text") or part.get("refusal")))
    if "tool_calls" in item and not item["tool_calls"]:
        raise Refused("[] is too short", path + ".tool_calls")
    for index, call in enumerate(item.get("tool_calls", [])):
        at = "%s.tool_calls[%d]" % (path, index)
        if call["id"] in calls:
            raise Refused("duplicate tool call id", at + ".id")
        if call["type"] == "custom":
            calls[call["id"]] = call["custom"]["name"]
            parts.append(canon.call_part(call["id"], call["custom"]["name"], call["custom"]["input"]))
            continue
        # OpenAI does not parse them, but a model that reads broken JSON answers worse: a gateway must not send it.
        args = canon.parse_json(call["function"]["arguments"], at + ".function.arguments")
        calls[call["id"]] = call["function"]["name"]
        parts.append(canon.call_part(call["id"], call["function"]["name"], args))
    if content is None and not calls and not item.get("refusal") and not item.get("audio"):
        raise Refused("Invalid value for 'content': expected a string, got null.", path + ".content")
    return parts, calls


FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls", "filter": "content_filter", "sequence": "stop"}


def usage(answer, shown):
    return {"prompt_tokens": answer.input, "completion_tokens": answer.output,
            "total_tokens": answer.input + answer.output,
            "prompt_tokens_details": {"cached_tokens": answer.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": answer.reasoning if shown else 0, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}


def tool_calls(answer, prefix="call_", length=24, tools=()):
    """A tool of free text is called with text."""
    free = {tool["name"] for tool in tools if tool.get("custom")}
    made = []
    for index, call in enumerate(answer.calls()):
        text = json.dumps(call[2], ensure_ascii=False)
        kind, said = ("custom", {"input": text}) if call[1] in free else ("function", {"arguments": text})
        made.append({"id": canon.call_id(prefix, answer, index, length), "type": kind, kind: {"name": call[1], **said}})
    return made


def reply(answer, seen, thoughts=False, **ids):
    """`thoughts`: a vendor that shows its reasoning, as DeepSeek does in `reasoning_content`."""
    message = {"role": "assistant", "content": answer.text() or None, "refusal": None, "annotations": []}
    if answer.calls():
        message["tool_calls"] = tool_calls(answer, tools=seen["tools"], **ids)
    elif message["content"] is None:
        message["content"] = ""
    if thoughts and answer.thought():
        message["reasoning_content"] = answer.thought()
    return Response(body={
        "id": "chatcmpl-" + seen["scenario"], "object": "chat.completion", "created": 1760000000,
        "model": seen["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[answer.finish]}],
        "usage": usage(answer, bool(seen["thinking"])), "service_tier": "default", "system_fingerprint": "fp_fake"})


def stream(answer, seen, thoughts=False, **ids):
    def chunk(delta=None, finish=None, **more):
        choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return sse({"id": "chatcmpl-" + seen["scenario"], "object": "chat.completion.chunk", "created": 1760000000,
                    "model": seen["model"], "service_tier": "default", "system_fingerprint": "fp_fake",
                    "choices": choices, **({"usage": None} if seen["usage_asked"] else {}), **more})

    events = [chunk({"role": "assistant", "content": None if answer.calls() else "", "refusal": None})]
    if thoughts and answer.thought():
        events += [chunk({"reasoning_content": piece}) for piece in canon.pieces(answer.thought())]
    if answer.text():
        events += [chunk({"content": piece}) for piece in canon.pieces(answer.text(), 5)]
    for index, call in enumerate(tool_calls(answer, tools=seen["tools"], **ids)):
        kind = call["type"]
        member = "input" if kind == "custom" else "arguments"
        first = {**call, "index": index, kind: {"name": call[kind]["name"], member: ""}}
        events.append(chunk({"tool_calls": [first]}))
        events += [chunk({"tool_calls": [{"index": index, kind: {member: piece}}]})
                   for piece in canon.pieces(call[kind][member], 4)]
    if answer.fail_after is not None:
        return Response(events=events[:answer.fail_after] + [sse(error(Refused("overloaded", kind="server")))],
                        kind="text/event-stream; charset=utf-8")
    events.append(chunk({}, FINISH[answer.finish]))
    if seen["usage_asked"]:
        events.append(chunk(usage=usage(answer, bool(seen["thinking"]))))
    return Response(events=events + [sse("[DONE]")], kind="text/event-stream; charset=utf-8")


def error(refused):
    kind = {"rate": "rate_limit_error", "server": "server_error", "overloaded": "server_error",
            "auth": "invalid_request_error"}.get(refused.kind, "invalid_request_error")
    code = {"rate": "rate_limit_exceeded", "auth": "invalid_api_key", "model": "model_not_found",
            "overloaded": "overloaded"}.get(refused.kind)
    message = refused.message
    if refused.unknown:
        message, code = "Unknown parameter: '%s'." % refused.path, "unknown_parameter"
    elif refused.path:
        message = "Invalid '%s': %s" % (refused.path, refused.message)
    return {"error": {"message": message, "type": kind, "param": refused.path or None, "code": code}}


def embeddings(body, request):
    check(body, {"model": str, "input": Either(str, [Either(str, int, [int])]), "dimensions?": int, "user?": str,
                 "encoding_format?": ("float", "base64")})
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    if not inputs or "" in inputs:
        raise Refused("'$.input' is invalid", "input")
    if inputs and isinstance(inputs[0], int):
        inputs = [inputs]
    made = canon.seen("openai-embeddings", "embeddings", model=body["model"], inputs=inputs,
                      dimensions=body.get("dimensions"))
    values = [vector(text, body.get("dimensions") or 8) for text in inputs]
    if body.get("encoding_format") == "base64":
        import base64
        import struct
        values = [base64.b64encode(struct.pack("<%df" % len(value), *value)).decode() for value in values]
    return Response(seen=made, body={
        "object": "list", "model": body["model"], "usage": {"prompt_tokens": 6, "total_tokens": 6},
        "data": [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(values)]})


def vector(text, size):
    """Exact in float32, different for different texts."""
    found = canon.digest(json.dumps(text).encode())
    return [int(found[index % 16], 16) / 16 - 0.5 for index in range(size)]
