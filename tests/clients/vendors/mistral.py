"""Mistral's chat completions: OpenAI's shape with its own fields, ids, roles and errors."""

import json
import re

from . import canon, openai_chat
from .openai_chat import NAME
from .shapes import Any, Either, Null, Range, Refused, Tagged, check, data_url

THINKING = {"thinking": {"thinking": list, "closed?": bool, "signature?": Null(str)}}
PARTS = [Tagged("type", {"text": {"text": str}, **THINKING, "image_url": {"image_url": Either(str,
        {"url": str, "detail?": Null(str)})},
                         "document_url": {"document_url": str, "document_name?": Null(str)},
                         "reference": {"reference_ids": list},
                         "input_audio": {"input_audio": Any}, "file": {"file_id": str}})]
CALL = {"id?": str, "type?": ("function",), "function": {"name": NAME, "arguments": Either(str, dict)}, "index?": int}
MESSAGE = Tagged("role", {
    "system": {"content": Either(str, PARTS)},
    "user": {"content": Null(Either(str, PARTS))},
    "assistant": {"content?": Null(Either(str, PARTS)), "tool_calls?": Null([CALL]), "prefix?": bool},
    "tool": {"content": Null(Either(str, PARTS)), "tool_call_id?": Null(str), "name?": Null(str)},
})
BODY = {
    "model": str, "messages": [MESSAGE], "temperature?": Null(Range(float, 0, 1.5)), "top_p?": Range(float, 0, 1),
    "max_tokens?": Null(Range(int, 0, 10**7)), "stream?": bool, "stop?": Either(str, [str]),
    "random_seed?": Null(Range(int, 0, 2**63)),
    "response_format?": openai_chat.FORMAT, "tools?": Null([Tagged("type", {"function": {"function": {
        "name": NAME, "description?": str, "parameters": dict, "strict?": bool}}}, missing="function")]),
    "tool_choice?": Either(("auto", "none", "any", "required"), {"type?": ("function",), "function": {"name": str}}),
    "presence_penalty?": Range(float, -2, 2), "frequency_penalty?": Range(float, -2, 2), "n?": Null(Range(int, 1, 128)),
    "prediction?": Any, "parallel_tool_calls?": bool, "prompt_mode?": Null(("reasoning",)), "safe_prompt?": bool,
    "metadata?": Null(dict), "reasoning_effort?": Null(str), "guardrails?": Any, "prompt_cache_key?": Any,
    **{key + "?": Any for key in ("min_tokens", "repetition_penalty", "top_k", "logprobs", "top_logprobs",
                                  "prompt_logprobs",
                                  "top_prompt_logprobs", "service_tier")},
    # Recorded against the real API with 200, though its reference does not list it.
    "stream_options?": {"include_usage?": bool},
}
ID = re.compile(r"[a-zA-Z0-9]{9}")


def read(body):
    check(body, BODY)
    roles = [item["role"] for item in body["messages"]]
    for index in range(1, len(roles)):
        if roles[index - 1] == "tool" and roles[index] == "user":
            raise Refused("Unexpected role 'user' after role 'tool'", "messages", kind="order")
        if "system" in roles[index:] and roles[index] == "system" and roles[index - 1] == "assistant":
            raise Refused("Unexpected role 'system' after role 'assistant'", "messages", kind="order")
    if not roles or (roles[-1] not in ("user", "tool") and not body["messages"][-1].get("prefix")):
        raise Refused("Expected last role User or Tool (or Assistant with prefix True) for serving", "messages",
                      kind="order")
    for index, item in enumerate(body["messages"]):
        ids = [call.get("id", "") for call in item.get("tool_calls") or []]
        for identity in ids + ([item["tool_call_id"]] if item.get("tool_call_id") else []):
            if not ID.fullmatch(identity):
                raise Refused("Tool call id was %s but must be a-z, A-Z, 0-9, with a length of 9." % identity,
                              "messages[%d]" % index, kind="calls")
    asked = openai_shape(body)
    tools = openai_chat.toolbox(asked, relaxed=True)
    return canon.seen("mistral", model=body["model"], stream=bool(body.get("stream")),
                      **openai_chat.messages(asked["messages"]),
                      **tools, schema=openai_chat.wanted_schema(asked, relaxed=True), max_tokens=body.get("max_tokens"),
                      temperature=body.get("temperature"), top_p=body.get("top_p"),
                      stop=[body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop", []),
                      thinking={"mode": "reasoning"} if "magistral" in body["model"] or body.get("reasoning_effort")
                      or body.get("prompt_mode") else None)


def openai_shape(body):
    """The parts that openai_chat.py can read, in its shape."""
    messages = []
    for item in body["messages"]:
        item = {key: value for key, value in item.items() if key not in ("prefix", "name") and value is not None}
        if isinstance(item.get("content"), list):
            thoughts = [part for part in item["content"] if part["type"] == "thinking"]
            item["content"] = [part_shape(part) for part in item["content"] if part["type"] != "thinking"]
            if thoughts:
                item["reasoning_content"] = "".join(inner.get("text", "") for part in thoughts
                                                    for inner in part["thinking"])
        if "tool_calls" in item:
            item["tool_calls"] = [{"type": "function", **call, "function": {**call["function"], "arguments": (
                call["function"]["arguments"] if isinstance(call["function"]["arguments"], str)
                else json.dumps(call["function"]["arguments"]))}} for call in item["tool_calls"]]
        item.setdefault("content", "")
        if item["role"] == "tool" and isinstance(item["content"], list):
            # Mistral's tool results may have pictures; OpenAI's may not.
            for part in item["content"]:
                if part["type"] == "image_url":
                    data_url(part["image_url"]["url"], "messages", openai_chat.IMAGES)
            item["content"] = [part for part in item["content"] if part["type"] == "text"]
        messages.append(item)
    made = {"messages": messages, **{key: body[key] for key in ("response_format", "parallel_tool_calls")
                                     if key in body}}
    if body.get("tools"):
        made["tools"] = [{"type": "function", **tool} for tool in body["tools"]]
        choice = body.get("tool_choice", "auto")
        made["tool_choice"] = "required" if choice == "any" else choice
    return made


def part_shape(part):
    if part["type"] == "image_url" and isinstance(part["image_url"], str):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    if part["type"] == "input_audio" and isinstance(part["input_audio"], str):
        return {"type": "input_audio", "input_audio": {"data": part["input_audio"], "format": "wav"}}
    if part["type"] == "file":
        return {"type": "file", "file": {"file_id": part["file_id"]}}
    if part["type"] == "document_url":
        return {"type": "file", "file": {"file_id": part["document_url"]}}
    return part


FINISH = {**openai_chat.FINISH, "filter": "error"}


def reply(answer, seen):
    made = openai_chat.reply(answer, seen, prefix="", length=9)
    message = made.body["choices"][0]["message"]
    for key in ("refusal", "annotations"):
        message.pop(key)
    message["tool_calls"] = message.get("tool_calls")
    message["content"] = content(answer, seen)
    made.body = {"id": made.body["id"], "object": "chat.completion", "created": 1760000000, "model": seen["model"],
                 "choices": [{"index": 0, "finish_reason": FINISH[answer.finish], "message": message}],
                 "usage": usage(answer)}
    return made


def content(answer, seen):
    """A string, or chunks when there is thinking."""
    if answer.thought() and seen["thinking"]:
        return [{"type": "thinking", "thinking": [{"type": "text", "text": answer.thought()}]}] + (
            [{"type": "text", "text": answer.text()}] if answer.text() else [])
    return answer.text()


def usage(answer):
    return {"prompt_tokens": answer.input, "total_tokens": answer.input + answer.output,
            "completion_tokens": answer.output,
            "prompt_tokens_details": {"cached_tokens": answer.cached}}


def stream(answer, seen):
    def chunk(delta, finish=None, **more):
        return canon.sse({"id": "cmpl", "object": "chat.completion.chunk", "created": 1760000000,
                          "model": seen["model"],
                          "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    events = [chunk({"role": "assistant", "content": ""})]
    if answer.thought() and seen["thinking"]:
        events += [chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]})
                   for piece in canon.pieces(answer.thought())]
    if answer.text():
        events += [chunk({"content": piece}) for piece in canon.pieces(answer.text(), 5)]
    if answer.fail_after is not None:
        events = events[:answer.fail_after] + [canon.sse(error(Refused("overloaded", kind="overloaded", status=503)))]
        return canon.Response(events=events, kind="text/event-stream")
    calls = [{key: value for key, value in {**call, "index": index}.items() if key != "type"}
             for index, call in enumerate(openai_chat.tool_calls(answer, "", 9))] if answer.calls() else None
    # Mistral sends whole calls in the chunk that ends the choice, with the usage.
    events.append(chunk({"content": "", **({"tool_calls": calls} if calls else {})}, FINISH[answer.finish],
                        usage=usage(answer)))
    return canon.Response(events=events + [canon.sse("[DONE]")], kind="text/event-stream")


def error(refused):
    if refused.status == 422 or refused.unknown:
        location = ["body", *refused.path.replace("]", "").replace("[", ".").split(".")]
        return {"object": "error", "message": {"detail": [{"type": "extra_forbidden" if refused.unknown
                                                           else "value_error",
                                                           "loc": location, "msg": refused.message}]},
                "type": "invalid_request_error", "param": None, "code": None, "raw_status_code": 422}
    code = {"order": "3230", "calls": "3280", "rate": "1300", "overloaded": "3505"}.get(refused.kind, "3051")
    return {"object": "error", "message": ("%s %s" % (refused.path, refused.message)).strip(), "param": None,
            "code": code,
            "type": {"rate": "service_tier_capacity_exceeded", "order": "invalid_request_message_order"}.get(
                refused.kind, "invalid_request_error"), "raw_status_code": refused.status}
