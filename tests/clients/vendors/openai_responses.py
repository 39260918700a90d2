"""OpenAI Responses: items in, items out, named events. Shares schema rules with openai_chat.py."""

import json

from . import canon
from .canon import Response
from .openai_chat import IMAGES, NAME, add_turn, named_choice, reasons, strict_schema, valid_schema
from .shapes import Any, Either, Null, Range, Refused, Tagged, Text, check, data_url, join

INPUT_PART = Tagged("type", {
    "input_text": {"text": str},
    "input_image": {"image_url?": Null(str), "file_id?": Null(str), "detail?": ("auto", "low", "high", "original")},
    "input_file": {"file_data?": str, "filename?": str, "file_url?": str, "file_id?": Null(str), "detail?": Any},
})
OUTPUT_PART = Tagged("type", {
    "output_text": {"text": str, "annotations?": list, "logprobs?": Null(list)},
    "refusal": {"refusal": str},
})
STATUS = Null(("in_progress", "completed", "incomplete"))


def message(value, path):
    role = value.get("role") if isinstance(value, dict) else None
    part = OUTPUT_PART if role == "assistant" else INPUT_PART
    check(value, {"type?": ("message",), "role": ("user", "assistant", "system", "developer"), "status?": STATUS,
                  "id?": Text(r"msg_.*"), "content": Either(str, [part]), "phase?": Any}, path)


ITEM = {
    "message": message,
    "function_call": {"call_id": Text(least=1, most=64), "name": NAME, "arguments": str, "id?": Null(Text(r"fc_.*")),
                      "status?": STATUS, "namespace?": Any, "caller?": Any, "parsed_arguments?": Any},
    "function_call_output": {"call_id": Text(least=1, most=64), "output": Either(str, [INPUT_PART]), "id?": Null(str),
                             "status?": STATUS},
    "reasoning": {"id?": Text(r"rs_.*"), "summary": [Tagged("type", {"summary_text": {"text": str}})],
                  "encrypted_content?": Null(str), "content?": Null(Any), "status?": STATUS},
    "custom_tool_call": {"call_id": str, "name": NAME, "input": str, "id?": Null(str), "status?": STATUS},
    "custom_tool_call_output": {"call_id": str, "output": Either(str, [INPUT_PART]), "id?": Null(str)},
    "local_shell_call": {"id?": Null(str), "call_id": str, "action": dict, "status": STATUS},
    "local_shell_call_output": {"id?": Null(str), "call_id?": str, "output": str, "status?": STATUS},
    "item_reference": {"id": str},
    "compaction": {"id?": str, "encrypted_content": str},
}
TOOLS = {
    "function": {"name": NAME, "description?": Null(str), "parameters": Null(dict), "strict?": Null(bool),
                 "defer_loading?": bool},
    "custom": {"name": NAME, "description?": str, "format?": dict, "defer_loading?": bool},
    "local_shell": {}, "shell": {"environment?": Any}, "apply_patch": {},
    "web_search": {"filters?": Any, "search_context_size?": str, "user_location?": Any, "external_web_access?": Any},
    "web_search_preview": {"search_context_size?": str, "user_location?": Any},
    "file_search": {"vector_store_ids": list, "filters?": Any, "max_num_results?": int, "ranking_options?": Any},
    "code_interpreter": {"container": Any}, "mcp": {"server_label": str, "server_url?": str, "require_approval?": Any},
    "image_generation": {"size?": Any, "quality?": Any, "output_format?": Any},
}
CHOICE = Either(("none", "auto", "required"), Tagged("type", {
    "function": {"name": str}, "custom": {"name": str}, "allowed_tools": {"mode": str, "tools": list},
    "web_search": {}, "web_search_preview": {}, "local_shell": {}, "shell": {}, "apply_patch": {}}))
FORMAT = Tagged("type", {"text": {}, "json_object": {}, "json_schema": {
    "name": NAME, "schema": dict, "description?": Null(str), "strict?": Null(bool)}})
INCLUDE = ("reasoning.encrypted_content", "message.output_text.logprobs", "message.input_image.image_url",
           "file_search_call.results", "web_search_call.action.sources", "web_search_call.results",
           "code_interpreter_call.outputs", "computer_call_output.output.image_url")
BODY = {
    "model": str, "input": Either(str, [Any]), "background?": Null(bool), "conversation?": Any,
    "context_management?": Any, "include?": Null([INCLUDE]), "instructions?": Null(str),
    "max_output_tokens?": Null(Range(int, 16, 10**7)), "max_tool_calls?": Null(int), "metadata?": Null(dict),
    "parallel_tool_calls?": Null(bool), "previous_response_id?": Null(str), "prompt?": Any,
    "prompt_cache_key?": Null(str), "prompt_cache_retention?": Null(str),
    "reasoning?": Null({"effort?": Null(("none", "minimal", "low", "medium", "high", "xhigh", "max")),
                        "summary?": Null(("auto", "concise", "detailed")), "mode?": str, "context?": Null(str),
                        "generate_summary?": Null(str)}),
    "safety_identifier?": Null(str), "service_tier?": Null(str), "store?": Null(bool), "stream?": Null(bool),
    "stream_options?": Null({"include_obfuscation?": bool}), "temperature?": Null(Range(float, 0, 2)),
    "text?": {"format?": FORMAT, "verbosity?": Null(("low", "medium", "high"))}, "tool_choice?": Null(CHOICE),
    "tools?": [Tagged("type", TOOLS)], "top_logprobs?": Null(Range(int, 0, 20)), "top_p?": Null(Range(float, 0, 1)),
    "truncation?": Null(("auto", "disabled")), "user?": Null(str), "client_metadata?": dict, "moderation?": Any,
    **{key + "?": Any for key in ("access_programs", "background_options", "image", "prompt_cache_options")},
}


def read(body, dialect="openai-responses"):
    check(body, BODY)
    if reasons(body["model"]):
        if body.get("temperature") not in (None, 1):
            raise Refused("Unsupported parameter: 'temperature' is not supported with this model.", "temperature")
    elif (body.get("reasoning") or {}).get("effort"):
        raise Refused("Unsupported parameter: 'reasoning.effort' is not supported with this model.", "reasoning.effort")
    if body.get("previous_response_id") and not body["previous_response_id"].startswith("resp_"):
        raise Refused("Previous response with id '%s' not found." % body["previous_response_id"],
                      "previous_response_id")
    made = canon.seen(
        dialect, model=body["model"], stream=bool(body.get("stream")), tools=toolbox(body), schema=wanted_schema(body),
        max_tokens=body.get("max_output_tokens"), temperature=body.get("temperature"), top_p=body.get("top_p"),
        thinking=body.get("reasoning") or ({"effort": "default"} if reasons(body["model"]) else None),
        store=body.get("store", True), include=body.get("include") or [],
        parallel=body.get("parallel_tool_calls", True))
    made["choice"] = choice(body, made["tools"])
    system, made["turns"] = items(body["input"], continued=bool(body.get("previous_response_id")),
                                  kept=made["store"])
    made["system"] = "\n".join(filter(None, [body.get("instructions"), *system]))
    return made


def toolbox(body):
    found = []
    for index, tool in enumerate(body.get("tools") or []):
        path = "tools[%d]" % index
        if tool["type"] == "function":
            schema = tool["parameters"] or {}
            valid_schema(schema, path + ".parameters")
            if schema and schema.get("type") != "object":
                raise Refused("Invalid schema for function '%s': type must be \"object\"" % tool["name"],
                              path + ".parameters")
            if tool.get("strict"):
                strict_schema(schema, path + ".parameters")
            found.append({"name": tool["name"], "description": tool.get("description"), "schema": schema})
        elif tool["type"] == "custom":
            found.append({"name": tool["name"], "description": tool.get("description"), "schema": {}, "custom": True})
        else:
            found.append({"name": tool["type"], "description": None, "schema": {}, "builtin": True})
    return found


def choice(body, tools):
    wanted = body.get("tool_choice") or "auto"
    if isinstance(wanted, str):
        if wanted == "required" and not tools:
            raise Refused("Tool choice 'required' must be specified with 'tools' parameter.", "tool_choice")
        return {"required": "any"}.get(wanted, wanted)
    return named_choice(wanted, [tool["name"] for tool in tools])


def wanted_schema(body):
    wanted = (body.get("text") or {}).get("format") or {"type": "text"}
    if wanted["type"] == "json_object":
        if "json" not in json.dumps(body["input"]).lower():
            raise Refused("Response input messages must contain the word 'json' in some form to use 'text.format' of "
                          "type 'json_object'.", "input")
        return True
    if wanted["type"] != "json_schema":
        return None
    valid_schema(wanted["schema"], "text.format.schema")
    if wanted.get("strict"):
        strict_schema(wanted["schema"], "text.format.schema")
    return wanted["schema"]


def items(given, continued, kept):
    """The turns of an item list; calls and outputs must pair, reasoning must be followed by what it led to."""
    if isinstance(given, str):
        return [], [{"role": "user", "parts": [canon.text_part(given)]}]
    if not given:
        raise Refused("One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided.", "input")
    system, turns, calls, answered = [], [], {}, set()
    for index, item in enumerate(given):
        path = "input[%d]" % index
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind not in ITEM:
            raise Refused("Invalid value: '%s'." % kind, path + ".type")
        check(item, message if kind == "message" else {"type": (kind,), **ITEM[kind]}, path)
        if kind == "message" and item["role"] in ("system", "developer"):
            system.append(item["content"] if isinstance(item["content"], str)
                          else "".join(part.get("text", "") for part in item["content"]))
        elif kind == "message":
            add_turn(turns, item["role"], message_parts(item, path + ".content"))
        elif kind in ("function_call", "custom_tool_call"):
            if item["call_id"] in calls:
                raise Refused("duplicate call_id", path + ".call_id")
            calls[item["call_id"]] = item["name"]
            args = canon.parse_json(item["arguments"],
                                    path + ".arguments") if kind == "function_call" else item["input"]
            add_turn(turns, "assistant", [canon.call_part(item["call_id"], item["name"], args)])
        elif kind in ("function_call_output", "custom_tool_call_output"):
            name = calls.get(item["call_id"])
            if name is None and not continued:
                raise Refused("No tool call found for function call output with call_id %s." % item["call_id"], "input")
            answered.add(item["call_id"])
            add_turn(turns, "user", [output_part(item, name, path)])
        elif kind == "reasoning":
            check_reasoning(item, given[index + 1:], path, kept)
            text = "".join(part["text"] for part in item["summary"])
            add_turn(turns, "assistant", [{"kind": "thinking", "text": text,
                                           "signed": bool(item.get("encrypted_content"))}])
    for identity in calls:
        if identity not in answered:
            raise Refused("No tool output found for function call %s." % identity, "input")
    return system, turns


def message_parts(item, path):
    if isinstance(item["content"], str):
        return [canon.text_part(item["content"])]
    parts = []
    for index, part in enumerate(item["content"]):
        at = join(path, index)
        if part["type"] in ("input_text", "output_text"):
            parts.append(canon.text_part(part["text"]))
        elif part["type"] == "refusal":
            parts.append(canon.text_part(part["refusal"]))
        else:
            parts.append(media(part, at))
    return parts


def media(part, path):
    if part["type"] == "input_image":
        if part.get("file_id"):
            return canon.media_part("image", url=part["file_id"])
        found = data_url(part.get("image_url"), path + ".image_url", IMAGES)
        return canon.media_part("image", *(found or (None, None)), url=None if found else part["image_url"])
    if "file_data" in part:
        if "filename" not in part:
            raise Refused("missing field", path + ".filename")
        return canon.media_part("file", *data_url(part["file_data"], path + ".file_data", ("application/pdf",)))
    url = part.get("file_url") or part.get("file_id")
    if not url:
        raise Refused("one of file_data, file_url, file_id is needed", path)
    return canon.media_part("file", url=url)


def output_part(item, name, path):
    output = item["output"]
    if isinstance(output, str):
        return canon.result_part(item["call_id"], output, name)
    for index, part in enumerate(output):
        if part["type"] != "input_text":
            media(part, "%s.output[%d]" % (path, index))
    return canon.result_part(item["call_id"], "".join(part.get("text", "") for part in output), name,
                             images=sum(part["type"] == "input_image" for part in output))


def check_reasoning(item, rest, path, kept):
    if not rest or rest[0].get("type", "message") not in ("message", "function_call", "custom_tool_call", "reasoning",
                                                          "local_shell_call") or rest[0].get("role") == "user":
        raise Refused("Item '%s' of type 'reasoning' was provided without its required following item."
                      % item.get("id"), path)
    if item.get("encrypted_content"):
        canon.verify(item["encrypted_content"], path + ".encrypted_content", "openai")
    elif not kept:
        raise Refused("Item with id '%s' not found. Items are not persisted when `store` is set to false."
                      % item.get("id"), path)


def output_items(answer, seen):
    made = []
    thinking = seen["thinking"]
    number = 0
    for part in answer.parts:
        number += 1
        tail = "%s%02d%02d" % (canon.digest(seen["model"].encode()), answer.ordinal, number)
        if part[0] == "think" and thinking:
            item = {"id": "rs_" + tail, "type": "reasoning", "summary": []}
            if thinking.get("summary"):
                item["summary"] = [{"type": "summary_text", "text": part[1]}]
            if "reasoning.encrypted_content" in seen["include"]:
                item["encrypted_content"] = canon.sign("openai")
            made.append(item)
        elif part[0] == "text" and (part[1] or answer.finish != "tools"):
            made.append({"id": "msg_" + tail, "type": "message", "status": "completed", "role": "assistant",
                         "content": [{"type": "output_text", "text": part[1], "annotations": [], "logprobs": []}]})
        elif part[0] == "call":
            index = sum(item["type"] in ("function_call", "custom_tool_call") for item in made)
            item = {"id": "fc_" + tail, "type": "function_call", "status": "completed", "name": part[1],
                    "call_id": canon.call_id("call_", answer, index),
                    "arguments": json.dumps(part[2], ensure_ascii=False)}
            if any(tool["name"] == part[1] and tool.get("custom") for tool in seen["tools"]):
                item.update(id="ctc_" + tail, type="custom_tool_call", input=json.dumps(part[2]))
                del item["arguments"]
            made.append(item)
    return made


def shell(answer, seen, status, output, usage=None):
    incomplete = {"length": "max_output_tokens", "filter": "content_filter"}.get(answer.finish)
    return {"id": "resp_" + canon.digest(seen["model"].encode()), "object": "response", "created_at": 1760000000,
            "status": status, "background": False, "error": None,
            "incomplete_details": {"reason": incomplete} if incomplete and usage else None, "instructions": None,
            "max_output_tokens": seen["max_tokens"], "max_tool_calls": None, "model": seen["model"], "output": output,
            "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None,
            "reasoning": {"effort": None, "summary": None}, "safety_identifier": None, "service_tier": "default",
            "store": seen["store"], "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled",
            "usage": usage, "user": None, "metadata": {}}


def final(answer, seen):
    status = "incomplete" if answer.finish in ("length", "filter") else "completed"
    return shell(answer, seen, status, output_items(answer, seen), {
        "input_tokens": answer.input, "input_tokens_details": {"cached_tokens": answer.cached},
        "output_tokens": answer.output, "total_tokens": answer.input + answer.output,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning if seen["thinking"] else 0}})


def reply(answer, seen):
    return Response(body=final(answer, seen))


def stream(answer, seen):
    events, number = [], [0]

    def emit(kind, **fields):
        events.append(sse_event(kind, number[0], fields))
        number[0] += 1

    emit("response.created", response=shell(answer, seen, "in_progress", []))
    emit("response.in_progress", response=shell(answer, seen, "in_progress", []))
    for index, item in enumerate(output_items(answer, seen)):
        item_events(emit, index, item)
    if answer.fail_after is not None:
        events = events[:answer.fail_after + 2]
        failed = shell(answer, seen, "failed", [])
        failed["error"] = {"code": "server_error", "message": "overloaded"}
        number[0] = len(events)
        emit("response.failed", response=failed)
        return Response(events=events + [sse_event("response.failed", len(events), {"response": failed})],
                        kind="text/event-stream; charset=utf-8")
    done = final(answer, seen)
    emit("response." + done["status"], response=done)
    return Response(events=events, kind="text/event-stream; charset=utf-8")


def sse_event(kind, number, fields):
    return canon.sse({"type": kind, **fields, "sequence_number": number}, kind)


def item_events(emit, index, item):
    where = {"output_index": index, "item_id": item["id"]}
    empty = {"message": {**item, "status": "in_progress", "content": []},
             "reasoning": {**item, "summary": []},
             "function_call": {**item, "status": "in_progress", "arguments": ""},
             "custom_tool_call": {**item, "status": "in_progress", "input": ""}}[item["type"]]
    emit("response.output_item.added", output_index=index, item=empty)
    if item["type"] == "message":
        part = item["content"][0]
        emit("response.content_part.added", **where, content_index=0, part={**part, "text": ""})
        for piece in canon.pieces(part["text"], 5):
            emit("response.output_text.delta", **where, content_index=0, delta=piece, logprobs=[])
        emit("response.output_text.done", **where, content_index=0, text=part["text"], logprobs=[])
        emit("response.content_part.done", **where, content_index=0, part=part)
    elif item["type"] == "reasoning":
        for at, part in enumerate(item["summary"]):
            emit("response.reasoning_summary_part.added", **where, summary_index=at, part={**part, "text": ""})
            for piece in canon.pieces(part["text"]):
                emit("response.reasoning_summary_text.delta", **where, summary_index=at, delta=piece)
            emit("response.reasoning_summary_text.done", **where, summary_index=at, text=part["text"])
            emit("response.reasoning_summary_part.done", **where, summary_index=at, part=part)
    elif item["type"] == "function_call":
        for piece in canon.pieces(item["arguments"], 4):
            emit("response.function_call_arguments.delta", **where, delta=piece)
        emit("response.function_call_arguments.done", **where, arguments=item["arguments"])
    else:
        for piece in canon.pieces(item["input"], 2):
            emit("response.custom_tool_call_input.delta", **where, delta=piece)
        emit("response.custom_tool_call_input.done", **where, input=item["input"])
    emit("response.output_item.done", output_index=index, item=item)
