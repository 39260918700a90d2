"""Cohere v2: chat, embed, rerank."""

import base64
import json
import struct

from . import canon
from .canon import Response, sse
from .openai_chat import add_turn, valid_schema, vector
from .shapes import Either, Null, Range, Refused, Tagged, Text, check, data_url, join

DOCUMENT = {"document": {"data": Either(str, dict), "id?": str}}
TEXT = {"text": {"text": str}}
MESSAGE = Tagged("role", {
    "system": {"content": Either(str, [Tagged("type", TEXT)])},
    "user": {"content": Either(str, [Tagged("type", {**TEXT, "image_url": {
        "image_url": {"url": str, "detail?": ("auto", "low", "high")}}})])},
    "assistant": {"content?": Null(Either(str, [Tagged("type", {**TEXT, "thinking": {"thinking": str}})])),
                  "tool_plan?": Null(str), "citations?": Null(list), "tool_calls?": [{
                      "id": str, "type": ("function",), "function": {"name": str, "arguments": str}}]},
    "tool": {"tool_call_id": str, "content": Either(str, [Tagged("type", {**TEXT, "document": DOCUMENT})])},
})
FORMAT = Tagged("type", {"text": {}, "json_object": {"json_schema?": dict, "schema?": dict}})
BODY = {
    "model": str, "messages": [MESSAGE], "stream?": bool, "strict_tools?": bool, "documents?": list,
    "tools?": [{"type": ("function",), "function": {"name": Text(r"[a-zA-Z0-9_-]+"), "description?": str,
                                                    "parameters": dict}}],
    "citation_options?": {"mode?": ("FAST", "ACCURATE", "OFF", "ENABLED", "DISABLED")}, "response_format?": FORMAT,
    "safety_mode?": ("CONTEXTUAL", "STRICT", "OFF"), "max_tokens?": Range(int, 1, 10**6),
    "stop_sequences?": [Text(least=1)], "temperature?": Range(float, 0, 2), "seed?": Range(int, 0, 2**63),
    "frequency_penalty?": Range(float, 0, 1), "presence_penalty?": Range(float, 0, 1), "k?": Range(int, 0, 500),
    "p?": Range(float, 0.01, 0.99), "logprobs?": bool, "tool_choice?": ("REQUIRED", "NONE"), "priority?": int,
    "thinking?": Tagged("type", {"enabled": {"token_budget?": int}, "disabled": {}}), "raw_prompting?": bool,
}


def read(body):
    check(body, BODY)
    if not body["messages"]:
        raise Refused("invalid request: at least one message is required", "messages")
    if len(body.get("stop_sequences", [])) > 5:
        raise Refused("invalid request: stop_sequences must be at most 5", "stop_sequences")
    tools = []
    for index, tool in enumerate(body.get("tools", [])):
        schema = tool["function"]["parameters"]
        valid_schema(schema, "tools[%d].function.parameters" % index)
        if schema and schema.get("type") != "object":
            raise Refused("invalid request: parameters must be of type object", "tools[%d].function.parameters" % index)
        tools.append({"name": tool["function"]["name"], "description": tool["function"].get("description"),
                      "schema": schema})
    wanted = body.get("response_format", {"type": "text"})
    schema = None
    if wanted["type"] == "json_object":
        if tools:
            raise Refused("invalid request: cannot specify both response_format of type json_object and tools")
        schema = wanted.get("json_schema") or wanted.get("schema") or True
    if "tool_choice" in body and not tools:
        raise Refused("invalid request: tool_choice needs tools", "tool_choice")
    system, turns = messages(body["messages"])
    thinking = body.get("thinking")
    return canon.seen(
        "cohere", model=body["model"], stream=bool(body.get("stream")), system="\n".join(system), turns=turns,
        tools=tools,
        choice={"REQUIRED": "any", "NONE": "none"}.get(body.get("tool_choice"), "auto"), schema=schema,
        max_tokens=body.get("max_tokens"), temperature=body.get("temperature"), top_p=body.get("p"),
        stop=body.get("stop_sequences", []),
        thinking=None if (thinking or {}).get("type") == "disabled" or "reasoning" not in body["model"] else thinking
        or {"default": True})


def messages(items):
    system, turns, open_calls = [], [], {}
    for index, item in enumerate(items):
        path = "messages[%d]" % index
        role = item["role"]
        if open_calls and role != "tool":
            raise Refused("invalid request: all tool calls must have a tool message after: %s" % ", ".join(open_calls),
                          path)
        if role == "system":
            system.append(plain(item["content"]))
        elif role == "tool":
            if item["tool_call_id"] not in open_calls:
                raise Refused("invalid request: tool call id not found in previous tool calls: %s"
                              % item["tool_call_id"], path)
            text = plain(item["content"])
            add_turn(turns, "user", [canon.result_part(item["tool_call_id"], text,
                                                       open_calls.pop(item["tool_call_id"]))])
        elif role == "user":
            add_turn(turns, "user", user_parts(item["content"], path + ".content"))
        else:
            parts, open_calls = assistant_parts(item, path)
            add_turn(turns, "assistant", parts)
    if open_calls:
        raise Refused("invalid request: all tool calls must have a tool message after: %s" % ", ".join(open_calls))
    return system, turns


def plain(content):
    if isinstance(content, str):
        return content
    found = []
    for part in content:
        data = part["text"] if part["type"] == "text" else part["document"]["data"]
        found.append(data if isinstance(data, str) else json.dumps(data, ensure_ascii=False))
    return "".join(found)


def user_parts(content, path):
    if isinstance(content, str):
        if not content:
            raise Refused("invalid request: message must be at least 1 token long", path)
        return [canon.text_part(content)]
    parts = []
    for index, part in enumerate(content):
        if part["type"] == "text":
            parts.append(canon.text_part(part["text"]))
        else:
            url = part["image_url"]["url"]
            found = data_url(url, join(path, index), ("image/png", "image/jpeg", "image/webp", "image/gif"))
            parts.append(canon.media_part("image", *(found or (None, None)), url=None if found else url))
    return parts


def assistant_parts(item, path):
    parts, calls = [], {}
    content = item.get("content") or []
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        parts.append(canon.text_part(part["text"]) if part["type"] == "text" else
                     {"kind": "thinking", "text": part["thinking"], "signed": False})
    if item.get("tool_plan"):
        parts.append(canon.text_part(item["tool_plan"]))
    for index, call in enumerate(item.get("tool_calls", [])):
        args = canon.parse_json(call["function"]["arguments"], "%s.tool_calls[%d]" % (path, index))
        calls[call["id"]] = call["function"]["name"]
        parts.append(canon.call_part(call["id"], call["function"]["name"], args))
    if not parts:
        raise Refused("invalid request: an assistant message needs content or tool_calls", path)
    return parts, calls


FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tools": "TOOL_CALL", "filter": "ERROR_TOXIC",
          "sequence": "STOP_SEQUENCE"}


def usage(answer):
    return {"billed_units": {"input_tokens": answer.input - 5, "output_tokens": answer.output - 1},
            "tokens": {"input_tokens": answer.input, "output_tokens": answer.output}, "cached_tokens": answer.cached}


def calls(answer):
    return [{"id": canon.call_id(call[1] + "_", answer, index, 12), "type": "function",
             "function": {"name": call[1], "arguments": json.dumps(call[2], ensure_ascii=False)}}
            for index, call in enumerate(answer.calls())]


def content(answer, seen):
    """Text beside tool calls is the tool plan, not content."""
    made = []
    if answer.thought() and seen["thinking"]:
        made.append({"type": "thinking", "thinking": answer.thought()})
    if answer.text() and not answer.calls():
        made.append({"type": "text", "text": answer.text()})
    return made


def reply(answer, seen):
    message = {"role": "assistant"}
    if content(answer, seen):
        message["content"] = content(answer, seen)
    if answer.calls():
        message.update(tool_calls=calls(answer), **({"tool_plan": answer.text()} if answer.text() else {}))
    return Response(body={"id": "5c0f", "message": message, "finish_reason": FINISH[answer.finish],
                          "usage": usage(answer)})


def stream(answer, seen):
    events = []

    def emit(kind, **fields):
        events.append(sse({"type": kind, **fields}, kind))

    emit("message-start", id="5c0f", delta={"message": {"role": "assistant", "content": [], "tool_plan": "",
                                                        "tool_calls": [],
                                                        "citations": []}})
    for index, part in enumerate(content(answer, seen)):
        kind = part["type"]
        emit("content-start", index=index, delta={"message": {"content": {"type": kind, kind: ""}}})
        for piece in canon.pieces(part[kind], 5):
            emit("content-delta", index=index, delta={"message": {"content": {kind: piece}}})
        emit("content-end", index=index)
    if answer.calls() and answer.text():
        for piece in canon.pieces(answer.text()):
            emit("tool-plan-delta", delta={"message": {"tool_plan": piece}})
    for index, call in enumerate(calls(answer)):
        empty = {**call, "function": {**call["function"], "arguments": ""}}
        emit("tool-call-start", index=index, delta={"message": {"tool_calls": empty}})
        for piece in canon.pieces(call["function"]["arguments"], 4):
            emit("tool-call-delta", index=index, delta={"message": {"tool_calls": {"function": {"arguments": piece}}}})
        emit("tool-call-end", index=index)
    if answer.fail_after is not None:
        events = events[:answer.fail_after + 2]
        emit("message-end", delta={"finish_reason": "ERROR", "error": "overloaded"})
        return Response(events=events, kind="text/event-stream")
    emit("message-end", delta={"finish_reason": FINISH[answer.finish], "usage": usage(answer)})
    return Response(events=events + [sse("[DONE]")], kind="text/event-stream")


def embed(body):
    kinds = ("search_document", "search_query", "classification", "clustering", "image")
    check(body, {"model": str, "input_type": kinds, "texts?": [str], "images?": [str], "inputs?": list,
                 "max_tokens?": int,
                 "output_dimension?": (256, 512, 1024, 1536), "embedding_types?": [("float", "int8", "uint8", "binary",
                                                                                   "ubinary", "base64")],
                 "truncate?": ("NONE", "START", "END")})
    texts = body.get("texts", [])
    if not texts or len(texts) > 96:
        raise Refused("invalid request: between 1 and 96 texts are needed", "texts")
    made = canon.seen("cohere", "embeddings", model=body["model"], inputs=texts,
                      dimensions=body.get("output_dimension"),
                      tasks=[body["input_type"]])
    found = [vector(text, body.get("output_dimension") or 8) for text in texts]
    packed = [base64.b64encode(struct.pack("<%df" % len(value), *value)).decode() for value in found]
    return Response(seen=made, body={
        "id": "e1", "texts": texts, "embeddings": {kind: packed if kind == "base64" else found
                                                   for kind in body.get("embedding_types", ["float"])},
        "response_type": "embeddings_by_type", "meta": {"api_version": {"version": "2"},
                                                        "billed_units": {"input_tokens": 6}}})


def rerank(body):
    check(body, {"model": str, "query": str, "documents": [str], "top_n?": Range(int, 1, 10000),
                 "max_tokens_per_doc?": int,
                 "priority?": int})
    made = canon.seen("cohere", "rerank", model=body["model"], query=body["query"], documents=body["documents"],
                      top_n=body.get("top_n"))
    # The last document is the best: an order that a gateway cannot produce by accident.
    found = [{"index": index, "relevance_score": round(0.9 - 0.1 * place, 3)}
             for place, index in enumerate(reversed(range(len(body["documents"]))))]
    return Response(seen=made, body={"id": "r1", "results": found[:body.get("top_n")],
                                     "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}})


def error(refused):
    return {"id": "x", "message": ("%s: %s" % (refused.path, refused.message)).removeprefix(": ")}
