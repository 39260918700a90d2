"""Amazon Bedrock Converse and ConverseStream: shapes from botocore's own service model, signatures recomputed by
botocore.

Both are the reference implementation's: what passes here is what AWS's client would have sent. Claude's signatures hold
across the platforms that serve it, so they are anthropic.py's.
"""

import binascii
import json
import re
import struct
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.loaders
import botocore.model
import botocore.validate

from . import canon
from .canon import Response
from .openai_chat import add_turn, valid_schema
from .shapes import Refused, Text, check, media

ACCESS, SECRET, SESSION = "AKIAFAKEFAKEFAKEFAKE", "fake/secret+key", "fake-session-token=="
BEARER = "bedrock-api-key-fake"
SERVICE = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2"),
                                      "bedrock-runtime")
IDENTITY = Text(r"[a-zA-Z0-9_.:-]+", 1, 64)
NAME = Text(r"[a-zA-Z0-9_-]+", 1, 64)
# The reference leaves the underscore out; a recording shows it accepted.
DOCUMENT = Text(r"[a-zA-Z0-9_()\[\]-]+( [a-zA-Z0-9_()\[\]-]+)*", 1, 200)


def authorized(request, host):
    """A bearer key, or a SigV4 signature that botocore computes to the same value."""
    header = request.headers.get("authorization", "")
    if header.startswith("Bearer "):
        if header != "Bearer " + BEARER:
            raise Refused("The security token included in the request is invalid.", status=403, kind="auth")
        return "bearer"
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
                         r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})", header)
    if not match:
        raise Refused("Missing Authentication Token", status=403, kind="auth")
    access, day, region, service, names, signature = match.groups()
    names = names.split(";")
    if access != ACCESS or service != "bedrock" or names != sorted(names):
        raise Refused("The security token included in the request is invalid.", status=403, kind="auth")
    if not {"host", "x-amz-date"} <= set(names):
        raise Refused("host and x-amz-date must be signed", status=403, kind="auth")
    token = request.headers.get("x-amz-security-token")
    if token is not None and (token != SESSION or "x-amz-security-token" not in names):
        raise Refused("The security token included in the request is invalid.", status=403, kind="auth")
    if not request.headers["x-amz-date"].startswith(day):
        raise Refused("Date in Credential scope does not match", status=403, kind="auth")
    expected = reference_signature(request, host, region, names)
    if expected != signature:
        raise Refused("The request signature we calculated does not match the signature you provided.", status=403,
                      kind="auth")
    return "sigv4+session" if token else "sigv4"


def reference_signature(request, host, region, names):
    signed = {name: host if name == "host" else request.headers.get(name, "") for name in names}
    made = botocore.awsrequest.AWSRequest(method=request.method, url="http://%s%s" % (host, request.target),
                                          headers=signed, data=request.raw)
    made.context["timestamp"] = request.headers["x-amz-date"]
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(ACCESS, SECRET), "bedrock", region)
    return signer.signature(signer.string_to_sign(made, signer.canonical_request(made)), made)


def read(body, model, stream):
    shape = SERVICE.operation_model("ConverseStream" if stream else "Converse").input_shape
    report = botocore.validate.ParamValidator().validate({**body, "modelId": model}, shape)
    if report.has_errors():
        raise Refused(report.generate_report())
    if "modelId" in body:
        raise Refused("unknown field", "modelId", unknown=True)
    config = body.get("inferenceConfig", {})
    extra = body.get("additionalModelRequestFields") or {}
    limits(config)
    thinking = extra.get("thinking") if isinstance(extra, dict) else None
    if thinking and thinking.get("type") == "disabled":
        thinking = None
    if thinking:
        thinking_rules(config, extra, thinking, body)
    tools, choice = toolbox(body.get("toolConfig"))
    made = canon.seen(
        "bedrock", model=model, stream=stream, tools=tools, choice=choice, max_tokens=config.get("maxTokens"),
        temperature=config.get("temperature"), top_p=config.get("topP"), stop=config.get("stopSequences", []),
        thinking=thinking, cache_marks=json.dumps(body).count('"cachePoint"'), extra=extra,
        schema=wanted_schema(body),
        system="\n".join(block["text"] for block in body.get("system", []) if "text" in block))
    made["turns"] = turns(body.get("messages", []), bool(tools), bool(thinking), "claude" in model)
    return made


def limits(config):
    for key, low, high in (("temperature", 0, 1), ("topP", 0, 1), ("maxTokens", 1, 10**6)):
        if key in config and not low <= config[key] <= high:
            raise Refused("Member must have value between %s and %s" % (low, high), "inferenceConfig." + key)


def thinking_rules(config, extra, thinking, body):
    if thinking.get("type") == "enabled" and not 1024 <= thinking.get("budget_tokens", 0) < config.get("maxTokens",
            10**9):
        raise Refused("`max_tokens` must be greater than `thinking.budget_tokens`, which is at least 1024")
    if config.get("temperature", 1) != 1 or extra.get("top_k") is not None:
        raise Refused("`temperature` may only be set to 1 when thinking is enabled")
    if set((body.get("toolConfig") or {}).get("toolChoice", {})) & {"any", "tool"}:
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.")


def wanted_schema(body):
    """outputConfig.textFormat, where the schema is a JSON text."""
    found = (body.get("outputConfig") or {}).get("textFormat") or {}
    text = (found.get("structure") or {}).get("jsonSchema", {}).get("schema")
    return canon.parse_json(text, "outputConfig") if text else None


def toolbox(config):
    if config is None:
        return [], "auto"
    tools = []
    for index, item in enumerate(config["tools"]):
        if "toolSpec" not in item:
            continue
        spec, path = item["toolSpec"], "toolConfig.tools.%d.toolSpec" % index
        check(spec["name"], NAME, path + ".name")
        schema = spec["inputSchema"].get("json")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise Refused("The value at %s.inputSchema.json.type must be one of the following: object." % path)
        valid_schema(schema, path + ".inputSchema.json")
        tools.append({"name": spec["name"], "description": spec.get("description"), "schema": schema})
    if not tools:
        raise Refused("Invalid length for parameter toolConfig.tools")
    wanted = config.get("toolChoice") or {"auto": {}}
    choice = next(iter(wanted))
    if choice == "tool":
        if wanted["tool"]["name"] not in [tool["name"] for tool in tools]:
            raise Refused("The tool %s is not in toolConfig.tools" % wanted["tool"]["name"])
        choice = {"name": wanted["tool"]["name"]}
    return tools, choice


def turns(messages, tools, thinking, claude):
    if not messages or messages[0]["role"] != "user":
        raise Refused("A conversation must start with a user message. Try again with a conversation that starts "
                      "with a user message.")
    made = []
    for index, message in enumerate(messages):
        if index and messages[index - 1]["role"] == message["role"]:
            raise Refused("A conversation must alternate between user and assistant roles.", "messages.%d" % index)
        if not message["content"]:
            raise Refused("The content field in the Message object at messages.%d is empty." % index)
        parts = [seen_block(block, "messages.%d.content.%d" % (index, at), claude) for at,
                 block in enumerate(message["content"])]
        add_turn(made, message["role"], [part for part in parts if part])
    pairs(made, tools, thinking)
    return made


def seen_block(block, path, claude):
    (kind, value), = block.items()
    if kind == "text":
        if not value.strip():
            raise Refused("The text field in the ContentBlock object at %s is blank." % path)
        return canon.text_part(value)
    if kind in ("image", "document"):
        return seen_media(kind, value, path)
    if kind == "toolUse":
        check(value["toolUseId"], IDENTITY, path + ".toolUse.toolUseId")
        check(value["name"], NAME, path + ".toolUse.name")
        if not isinstance(value["input"], dict):
            raise Refused("The format of the value at %s.toolUse.input is invalid. Provide a json object for "
                          "the field." % path)
        return canon.call_part(value["toolUseId"], value["name"], value["input"])
    if kind == "toolResult":
        return seen_result(value, path, claude)
    if kind == "reasoningContent":
        if "reasoningText" in value:
            text = value["reasoningText"]
            canon.verify(text.get("signature"), path, "anthropic", text["text"])
            return {"kind": "thinking", "text": text["text"], "signed": True}
        canon.verify(value["redactedContent"], path, "anthropic-redacted")
        return {"kind": "thinking", "text": None, "signed": True}
    return None if kind == "cachePoint" else {"kind": kind}


def seen_media(kind, value, path):
    source = value["source"]
    if "s3Location" in source:
        return canon.media_part("file" if kind == "document" else kind, url=source["s3Location"]["uri"])
    mime = {"pdf": "application/pdf", "txt": "text/plain"}.get(value["format"], "image/" + value["format"])
    if kind == "document":
        check(value["name"], DOCUMENT, path + ".document.name")
        if "bytes" not in source:
            return canon.text_part(source.get("text", ""))
    return canon.media_part("image" if kind == "image" else "file", mime,
                            media(mime, source["bytes"], path + ".source.bytes"))


def seen_result(value, path, claude):
    check(value["toolUseId"], IDENTITY, path + ".toolResult.toolUseId")
    # Measured by others in 2026: Claude takes an empty list of a success, Nova and Nemotron do not, nobody that of an
    # error.
    if not value["content"] and (value.get("status") == "error" or not claude):
        raise Refused("The content field at %s.toolResult cannot be empty." % path)
    text, images = "", 0
    for block in value["content"]:
        text += block.get("text", "") or (json.dumps(block["json"], ensure_ascii=False) if "json" in block else "")
        if "image" in block:
            seen_media("image", block["image"], path)
            images += 1
    return canon.result_part(value["toolUseId"], text, error=value.get("status") == "error", images=images)


def pairs(made, tools, thinking):
    used = any(part["kind"] in ("call", "result") for turn in made for part in turn["parts"])
    if used and not tools:
        raise Refused("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    for index, turn in enumerate(made):
        calls = {part["id"]: part["name"] for part in turn["parts"] if part["kind"] == "call"}
        after = made[index + 1]["parts"] if index + 1 < len(made) else []
        missing = set(calls) - {part["id"] for part in after if part["kind"] == "result"}
        if missing:
            raise Refused("Expected toolResult blocks at messages.%d.content for the following Ids: %s" % (
                index + 1, ", ".join(sorted(missing))))
        before = {part["id"]: part["name"] for part in made[index - 1]["parts"]
                  if part["kind"] == "call"} if index else {}
        for part in turn["parts"]:
            if part["kind"] == "result" and part["id"] not in before:
                raise Refused("The number of toolResult blocks at messages.%d.content exceeds the number of "
                              "toolUse blocks of "
                              "previous turn." % index)
            if part["kind"] == "result":
                part["name"] = before[part["id"]]
        if thinking and calls and turn["parts"][0]["kind"] != "thinking" and index >= len(made) - 2:
            raise Refused("Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
                          "messages.%d.content.0" % index)


def blocks(answer, seen):
    made, calls = [], 0
    for part in answer.parts:
        if part[0] == "think" and seen["thinking"]:
            made.append({"reasoningContent": {"reasoningText": {"text": part[1],
                                                                "signature": canon.sign("anthropic", part[1])}}})
        elif part[0] == "redacted" and seen["thinking"]:
            made.append({"reasoningContent": {"redactedContent": canon.sign("anthropic-redacted")}})
        elif part[0] == "text" and part[1]:
            made.append({"text": part[1]})
        elif part[0] == "call":
            made.append({"toolUse": {"toolUseId": canon.call_id("tooluse_", answer, calls), "name": part[1],
                                     "input": part[2]}})
            calls += 1
    return made


FINISH = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "filter": "content_filtered",
          "sequence": "stop_sequence"}


def usage(answer):
    return {"inputTokens": answer.input - answer.cached - answer.written, "outputTokens": answer.output,
            "totalTokens": answer.input + answer.output, "cacheReadInputTokens": answer.cached,
            "cacheWriteInputTokens": answer.written}


def reply(answer, seen):
    return Response(headers={"x-amzn-requestid": "fake"}, body={
        "metrics": {"latencyMs": 12}, "output": {"message": {"role": "assistant", "content": blocks(answer, seen)}},
        "stopReason": FINISH[answer.finish], "usage": usage(answer)})


def frame(kind, payload, exception=False):
    """One message of the AWS event stream: prelude, headers, payload, each with its CRC."""
    values = [(":exception-type" if exception else ":event-type", kind), (":content-type", "application/json"),
              (":message-type", "exception" if exception else "event")]
    head = b""
    for name, value in values:
        head += struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
    body = json.dumps({**payload, "p": "abcdefgh"}, ensure_ascii=False).encode()
    prelude = struct.pack("!II", 16 + len(head) + len(body), len(head))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + head + body
    return message + struct.pack("!I", binascii.crc32(message))


def stream(answer, seen):
    events = [frame("messageStart", {"role": "assistant"})]
    for index, block in enumerate(blocks(answer, seen)):
        (kind, value), = block.items()
        if kind == "toolUse":
            start = {"toolUse": {key: value[key] for key in ("toolUseId", "name")}}
            events.append(frame("contentBlockStart", {"start": start, "contentBlockIndex": index}))
        for delta in deltas(kind, value):
            events.append(frame("contentBlockDelta", {"delta": delta, "contentBlockIndex": index}))
        events.append(frame("contentBlockStop", {"contentBlockIndex": index}))
    if answer.fail_after is not None:
        events = events[:answer.fail_after + 1]
        events.append(frame("throttlingException", {"message": "Too many requests"}, exception=True))
    else:
        events.append(frame("messageStop", {"stopReason": FINISH[answer.finish]}))
        events.append(frame("metadata", {"usage": usage(answer), "metrics": {"latencyMs": 12}}))
    return Response(events=events, kind="application/vnd.amazon.eventstream", headers={"x-amzn-requestid": "fake"})


def deltas(kind, value):
    if kind == "text":
        return [{"text": piece} for piece in canon.pieces(value, 5)]
    if kind == "toolUse":
        text = json.dumps(value["input"], ensure_ascii=False) if value["input"] else ""
        return [{"toolUse": {"input": piece}} for piece in (canon.pieces(text, 4) if text else [""])]
    if "redactedContent" in value:
        return [{"reasoningContent": {"redactedContent": value["redactedContent"]}}]
    text = value["reasoningText"]
    return [{"reasoningContent": {"text": piece}} for piece in canon.pieces(text["text"])] + [
        {"reasoningContent": {"signature": text["signature"]}}]


def error(refused):
    return {"message": (refused.path + ": " if refused.path else "") + refused.message}


def error_headers(refused):
    name = {"rate": "ThrottlingException", "overloaded": "ServiceUnavailableException",
            "server": "InternalServerException",
            "auth": "AccessDeniedException", "model": "ResourceNotFoundException"}.get(refused.kind,
                    "ValidationException")
    return {"x-amzn-errortype": name + ":http://internal.amazon.com/coral/com.amazon.bedrock/"}


def model_of(segment):
    return urllib.parse.unquote(segment)
