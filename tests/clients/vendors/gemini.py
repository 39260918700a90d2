"""Gemini generateContent and its family, as Google AI Studio and (with `vertex`) Vertex AI take it.

Stricter than Google in one thing: a thoughtSignature is checked with every model, Google insists from Gemini 3 on.
"""

import base64
import json
import re

from . import canon
from .canon import Response, sse
from .openai_chat import add_turn, valid_schema, vector
from .shapes import Any, Either, Range, Refused, Text, check, join, media

NAME = Text(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "TYPE_UNSPECIFIED")
MIMES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "image/gif", "application/pdf",
         "text/plain",
         "audio/wav", "audio/mp3", "audio/mpeg", "audio/ogg", "audio/flac", "audio/aac", "video/mp4", "text/html",
         "text/csv")
SKIP = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")


def schema(value, path):
    """Google's OpenAPI subset. The proto's JSON form has int64 limits as numbers or strings, and takes snake_case."""
    check(value, dict, path)
    value = {camel_key(key): item for key, item in value.items()}
    number = Either(int, Text(r"\d+"))
    check(value, {
        "type?": lambda kind, at: check(str(kind).upper(), TYPES, at), "format?": str, "title?": str,
        "description?": str,
        "nullable?": bool, "enum?": [str], "items?": schema, "maxItems?": number, "minItems?": number,
        "properties?": lambda found, at: [schema(inner, join(at, key)) for key, inner in found.items()],
        "required?": [str], "minProperties?": number, "maxProperties?": number, "minLength?": number,
        "maxLength?": number, "pattern?": str, "example?": Any, "anyOf?": [schema], "propertyOrdering?": [str],
        "default?": Any, "minimum?": float, "maximum?": float}, path)
    kind = str(value.get("type", "")).upper()
    missing = set(value.get("required", [])) - set(value.get("properties", {}))
    if missing:
        raise Refused("required: property is not defined: %s" % sorted(missing), path)
    if kind == "ARRAY" and "items" not in value:
        raise Refused("items: missing field.", path)
    if "enum" in value and (kind not in ("STRING", "") or "" in value["enum"]):
        raise Refused("enum: only allowed for STRING type, and cannot be empty", path)
    if kind == "STRING" and value.get("format") not in (None, "enum", "date-time"):
        raise Refused("format: only 'enum' and 'date-time' are supported for STRING type", path)


def data(value, path):
    check(value, {"mimeType": MIMES, "data": str, "displayName?": str}, path)
    media(value["mimeType"], standard(value["data"]), path + ".data")


def standard(data):
    """The proto parser takes URL-safe base64 and lacking padding."""
    data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


PART = {
    "text?": str, "thought?": bool, "thoughtSignature?": str, "inlineData?": data,
    "fileData?": {"fileUri": str, "mimeType?": str, "displayName?": str},
    "functionCall?": {"name": NAME, "args?": dict, "id?": str},
    "functionResponse?": {"name": NAME, "response": dict, "id?": str, "willContinue?": bool, "scheduling?": str,
                          "parts?": [{"inlineData?": data, "fileData?": Any}]},
    "executableCode?": dict, "codeExecutionResult?": dict, "videoMetadata?": dict, "mediaResolution?": Any,
    "partMetadata?": dict, "toolCall?": dict, "toolResponse?": dict, "mediaProcessing?": Any,
    "audioTranscription?": Any, "speechMetadata?": Any,
}
CONTENT = {"role?": ("user", "model", "function"), "parts": [PART]}
DECLARATION = {"name": NAME, "description?": str, "parameters?": schema, "parametersJsonSchema?": dict,
               "response?": schema, "responseJsonSchema?": Any, "behavior?": str}
TOOL = {"functionDeclarations?": [DECLARATION], "googleSearch?": dict, "urlContext?": dict, "codeExecution?": dict,
        "googleSearchRetrieval?": dict, "googleMaps?": dict, "computerUse?": dict, "fileSearch?": dict}
GENERATION = {
    "candidateCount?": Range(int, 1, 8), "stopSequences?": [Text(least=1)], "maxOutputTokens?": Range(int, 1, 10**6),
    "temperature?": Range(float, 0, 2), "topP?": Range(float, 0, 1), "topK?": Range(float, 1, 10**6), "seed?": int,
    "presencePenalty?": Range(float, -2, 2), "frequencyPenalty?": Range(float, -2, 2), "responseLogprobs?": bool,
    "logprobs?": Range(int, 0, 20), "responseMimeType?": ("text/plain", "application/json", "text/x.enum"),
    "responseSchema?": schema, "responseJsonSchema?": dict, "responseModalities?": [str], "speechConfig?": dict,
    "mediaResolution?": str, "imageConfig?": dict, "audioTimestamp?": bool, "responseFormat?": Any,
    "thinkingConfig?": {"includeThoughts?": bool, "thinkingBudget?": int,
                        "thinkingLevel?": lambda level, at: check(str(level).lower(),
                                                                  ("minimal", "low", "medium", "high"), at)},
}
BODY = {
    "model?": str, "contents": Either([CONTENT], CONTENT), "tools?": [TOOL],
    "safetySettings?": [{"category": str, "threshold": str, "method?": str}],
    "systemInstruction?": {"role?": str, "parts": Either([PART], PART)}, "generationConfig?": GENERATION,
    "cachedContent?": str, "labels?": dict, "store?": bool, "serviceTier?": str,
    "toolConfig?": {"functionCallingConfig?": {"mode?": ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"),
                                               "allowedFunctionNames?": [str], "streamFunctionCallArguments?": bool},
                    "retrievalConfig?": Any, "includeServerSideToolInvocations?": bool},
}
OPAQUE = ("args", "response", "parameters", "parametersJsonSchema", "responseJsonSchema", "responseSchema")


def camel_key(key):
    return re.sub(r"(?<=[a-z])_([a-z])", lambda match: match[1].upper(), key)


def camel(value):
    """The proto parser takes snake_case as well; the insides of arguments and schemas are left alone."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {camel_key(key): item for key, item in value.items()}
    return {key: item if key in OPAQUE else camel(item) for key, item in named.items()}


def read(body, model, method, vertex=False):
    body = camel(body)
    dialect = "vertex" if vertex else "gemini"
    if method == "countTokens" and isinstance(body, dict) and "generateContentRequest" in body:
        body = body["generateContentRequest"]
    check(body, BODY if method != "countTokens" else {**BODY, "contents?": BODY["contents"]})
    contents = body.get("contents", [])
    contents = contents if isinstance(contents, list) else [contents]
    if not contents and method != "countTokens":
        raise Refused("contents is not specified", "contents")
    config = body.get("generationConfig", {})
    made = canon.seen(
        dialect, "count" if method == "countTokens" else "chat", model=model, stream=method.startswith("stream"),
        turns=turns(contents, model, vertex), tools=toolbox(body), max_tokens=config.get("maxOutputTokens"),
        temperature=config.get("temperature"), top_p=config.get("topP"), stop=config.get("stopSequences", []),
        thinking=thinking(config, model), schema=wanted_schema(config))
    parts = (body.get("systemInstruction") or {}).get("parts", [])
    made["system"] = "\n".join(part.get("text", "") for part in (parts if isinstance(parts, list) else [parts]))
    made["choice"] = choice(body, made["tools"])
    rules(made, config, model)
    return made


def rules(made, config, model):
    if len(made["stop"]) > 5:
        raise Refused("at most 5 stop sequences", "generation_config.stop_sequences")
    if made["schema"] and made["tools"] and not model.startswith("gemini-3"):
        raise Refused("Function calling with a response mime type: 'application/json' is unsupported")
    if config.get("logprobs") is not None and not config.get("responseLogprobs"):
        raise Refused("Logprobs needs response_logprobs", "generation_config.logprobs")


def thinking(config, model):
    wanted = config.get("thinkingConfig")
    if wanted is None:
        return {"default": True} if not model.startswith(("gemini-2.0", "gemini-1")) else None
    if "thinkingBudget" in wanted and "thinkingLevel" in wanted:
        raise Refused("You can only set only one of thinking budget and thinking level.",
                      "generation_config.thinking_config")
    if "thinkingLevel" in wanted and not model.startswith("gemini-3"):
        raise Refused("Thinking level is not supported for this model.", "generation_config.thinking_config")
    return None if wanted.get("thinkingBudget") == 0 else wanted


def wanted_schema(config):
    mime = config.get("responseMimeType")
    given = config.get("responseJsonSchema") or config.get("responseSchema")
    if "responseJsonSchema" in config and "responseSchema" in config:
        raise Refused("only one of response_schema and response_json_schema", "generation_config")
    if given and mime not in ("application/json", "text/x.enum"):
        raise Refused("response_schema needs response_mime_type application/json",
                      "generation_config.response_mime_type")
    if config.get("responseJsonSchema"):
        valid_schema(config["responseJsonSchema"], "generation_config.response_json_schema")
    return given or (mime == "application/json" or None)


def toolbox(body):
    found = []
    for index, tool in enumerate(body.get("tools", [])):
        for at, declared in enumerate(tool.get("functionDeclarations", [])):
            path = "tools[%d].function_declarations[%d]" % (index, at)
            if "parameters" in declared and "parametersJsonSchema" in declared:
                raise Refused("only one of parameters and parameters_json_schema", path)
            if "parametersJsonSchema" in declared:
                valid_schema(declared["parametersJsonSchema"], path + ".parameters_json_schema")
            given = declared.get("parameters") or declared.get("parametersJsonSchema") or {}
            if given and str(given.get("type", "")).lower() != "object":
                raise Refused("parameters: only type OBJECT is allowed", path)
            found.append({"name": declared["name"], "description": declared.get("description"), "schema": given})
    names = [tool["name"] for tool in found]
    if len(set(names)) != len(names):
        raise Refused("Duplicate function declaration found", "tools")
    return found


def choice(body, tools):
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode = config.get("mode", "AUTO")
    names = config.get("allowedFunctionNames")
    if names and mode not in ("ANY", "VALIDATED"):
        raise Refused("allowed_function_names should only be set when the function calling mode is ANY or VALIDATED",
                      "tool_config")
    if mode == "ANY" and not tools:
        raise Refused("function calling mode ANY without function declarations", "tool_config")
    for name in names or []:
        if name not in [tool["name"] for tool in tools]:
            raise Refused("allowed function %s is not declared" % name, "tool_config")
    if names and len(names) == 1 and mode == "ANY":
        return {"name": names[0]}
    return {"ANY": "any", "NONE": "none"}.get(mode, "auto")


KINDS = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
         "toolCall", "toolResponse")


def turns(contents, model, vertex):
    made = []
    for index, content in enumerate(contents):
        path = "contents[%d]" % index
        if vertex and "role" not in content:
            raise Refused("Please use a valid role: user, model.", path + ".role")
        if not content["parts"]:
            raise Refused("must include at least one parts field", path + ".parts")
        role = "assistant" if content.get("role") == "model" else "user"
        # Streamed calls come back in contents of their own: the turn's first call has the signature.
        parts, calls = [], sum(part["kind"] == "call"
                               for part in made[-1]["parts"]) if made and made[-1]["role"] == role else 0
        for at, part in enumerate(content["parts"]):
            parts.append(seen_part(part, model, calls, "%s.parts[%d]" % (path, at)))
            calls += "functionCall" in part
        for part in parts:
            if (part["kind"] == "call") != (role == "assistant") and part["kind"] in ("call", "result"):
                raise Refused("function calls belong to the model, function responses to the user", path)
        add_turn(made, role, parts)
    pairs(made)
    return made


def verify(signature, path, about):
    """Signatures are bytes to the proto parser: Google's own SDK sends them back as URL-safe base64."""
    canon.verify(standard(signature), path + ".thought_signature", "gemini", about)


def seen_part(part, model, calls, path):
    kinds = [kind for kind in KINDS if kind in part]
    if len(kinds) != 1:
        if not kinds and "thoughtSignature" in part:
            return {"kind": "thinking", "text": "", "signed": True}
        raise Refused("required oneof field 'data' must have one initialized field", path)
    signature = part.get("thoughtSignature")
    kind = kinds[0]
    if kind == "functionCall":
        call = part["functionCall"]
        if signature and signature not in SKIP:
            verify(signature, path, call["name"])
        elif not signature and not calls and model.startswith("gemini-3"):
            raise Refused("Function call is missing a thought_signature in functionCall parts. This is required "
                          "for tools to "
                          "work correctly, and missing thought_signature may lead to degraded model performance. "
                          "Function call `default_api:%s`" % call["name"], path)
        made = canon.call_part(call.get("id"), call["name"], call.get("args", {}))
        made["signed"] = signature not in (None, *SKIP)
        return made
    if signature and signature not in SKIP and kind == "text" and not part.get("thought"):
        verify(signature, path, "text")
    if kind == "text":
        if part.get("thought"):
            return {"kind": "thinking", "text": part["text"], "signed": bool(signature)}
        return {**canon.text_part(part["text"]), "signed": bool(signature)}
    if kind == "functionResponse":
        response = part["functionResponse"]
        body = response["response"]
        text = body.get("output", body.get("result", body.get("error", body)))
        return canon.result_part(response.get("id"), text if isinstance(text, str)
                                 else json.dumps(text, ensure_ascii=False),
                                 response["name"], error="error" in body, images=len(response.get("parts", [])))
    if kind == "inlineData":
        found = part["inlineData"]
        group = found["mimeType"].split("/")[0]
        return canon.media_part(group if group in ("image", "audio") else "file", found["mimeType"],
                                base64.b64decode(standard(found["data"])))
    if kind == "fileData":
        mime = part["fileData"].get("mimeType") or ""
        return canon.media_part("image" if mime.startswith("image/") else "file", mime or None,
                                url=part["fileData"]["fileUri"])
    return {"kind": kind}


def pairs(made):
    for index, turn in enumerate(made):
        calls = [part for part in turn["parts"] if part["kind"] == "call"]
        results = [part for part in turn["parts"] if part["kind"] == "result"]
        if calls and index == 0:
            raise Refused("Please ensure that function call turn comes immediately after a user turn or after a "
                          "function "
                          "response turn.")
        after = made[index + 1]["parts"] if index + 1 < len(made) else []
        answered = [part for part in after if part["kind"] == "result"]
        if calls and len(answered) != len(calls):
            raise Refused("Please ensure that the number of function response parts is equal to the number of "
                          "function call "
                          "parts of the function call turn.")
        if sorted(part["name"] for part in calls) != sorted(part["name"] for part in answered):
            raise Refused("function responses do not match the function calls by name")
        before = [part for part in made[index - 1]["parts"] if part["kind"] == "call"] if index else []
        if results and not before:
            raise Refused("Please ensure that function response turn comes immediately after a function call turn.")
        known = {part["id"] for part in before if part["id"]}
        for at, part in enumerate(results):
            if part["id"] and known and part["id"] not in known:
                raise Refused("function response id %s matches no function call" % part["id"])
            part["id"] = part["id"] or before[at]["id"]


FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tools": "STOP", "filter": "SAFETY", "sequence": "STOP"}


def parts(answer, seen):
    """Gemini's parts; only the first call of several carries the signature."""
    made, signed, thinking = [], False, seen["thinking"]
    for part in answer.parts:
        if part[0] == "think" and thinking and thinking.get("includeThoughts"):
            made.append({"text": part[1], "thought": True})
        elif part[0] == "text" and part[1]:
            made.append({"text": part[1]})
        elif part[0] == "call":
            made.append({"functionCall": {"name": part[1], "args": part[2]}})
            if thinking and not signed:
                made[-1]["thoughtSignature"] = canon.sign("gemini", part[1])
                signed = True
    if thinking and not signed and made and seen["scenario"].startswith("think") and "thought" not in made[-1]:
        made[-1]["thoughtSignature"] = canon.sign("gemini", "text")
    return made


def usage(answer, thoughts):
    reasoning = answer.reasoning if thoughts else 0
    found = {"promptTokenCount": answer.input, "candidatesTokenCount": answer.output - reasoning,
             "totalTokenCount": answer.input + answer.output,
             "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input}]}
    if answer.cached:
        found["cachedContentTokenCount"] = answer.cached
    if reasoning:
        found["thoughtsTokenCount"] = reasoning
    return found


def envelope(answer, seen, found, finish=None, thoughts=True):
    candidate = {"index": 0}
    if found or not finish or FINISH[finish] != "SAFETY":
        candidate["content"] = {"role": "model", "parts": found}
    if finish:
        candidate["finishReason"] = FINISH[finish]
        if finish == "filter":
            candidate["safetyRatings"] = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH",
                                           "blocked": True}]
    return {"candidates": [candidate], "usageMetadata": usage(answer, thoughts), "modelVersion": seen["model"],
            "responseId": "r" + canon.digest(seen["model"].encode())}


def reply(answer, seen):
    return Response(body=envelope(answer, seen, parts(answer, seen), answer.finish, bool(seen["thinking"])))


def chunks(answer, seen):
    made = []
    for part in parts(answer, seen):
        if "text" in part:
            split = canon.pieces(part["text"], 4)
            rest = {key: value for key, value in part.items() if key not in ("text", "thoughtSignature")}
            made += [[{"text": piece, **rest}] for piece in split]
            if "thoughtSignature" in part:
                # As Gemini does: an empty text part of its own at the end.
                made.append([{"text": "", "thoughtSignature": part["thoughtSignature"]}])
        else:
            made.append([part])
    made = made or [[]]
    return [envelope(answer, seen, found, answer.finish if index == len(made) - 1 else None, bool(seen["thinking"]))
            for index, found in enumerate(made)]


def stream(answer, seen, as_sse=True):
    made = chunks(answer, seen)
    if answer.fail_after is not None:
        made = made[:answer.fail_after] + [error(Refused("overloaded", kind="overloaded", status=503))]
    if as_sse:
        return Response(events=[sse(chunk).replace(b"\n", b"\r\n") for chunk in made], kind="text/event-stream")
    return Response(body=made)


def embed(body, model, method):
    one = {"model?": str, "content": CONTENT, "taskType?": str, "title?": str, "outputDimensionality?": int}
    check(camel(body), {"requests": [{**one, "model": Text(r"models/.+")}]} if method == "batchEmbedContents" else one)
    requests = body["requests"] if method == "batchEmbedContents" else [body]
    inputs = ["".join(part["text"] for part in item["content"]["parts"]) for item in requests]
    size = requests[0].get("outputDimensionality")
    found = [{"values": vector(text, size or 8)} for text in inputs]
    made = canon.seen("gemini", "embeddings", model=model, inputs=inputs, dimensions=size,
                      tasks=[item.get("taskType") for item in requests])
    return Response(seen=made, body={"embeddings": found} if method == "batchEmbedContents"
                    else {"embedding": found[0]})


def error(refused):
    name = {"rate": "RESOURCE_EXHAUSTED", "overloaded": "UNAVAILABLE", "server": "INTERNAL", "model": "NOT_FOUND",
            "auth": "UNAUTHENTICATED"}.get(refused.kind, "INVALID_ARGUMENT")
    message = refused.message
    if refused.unknown:
        at, _, key = refused.path.rpartition(".")
        message = 'Invalid JSON payload received. Unknown name "%s" at \'%s\': Cannot find field.' % (key, at)
    elif refused.path:
        message = "* %s: %s" % (refused.path, refused.message)
    return {"error": {"code": refused.status, "message": message, "status": name}}
