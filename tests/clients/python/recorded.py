"""What a recorded response says, read straight from its bytes: the text and the calls, in no SDK's and not the
gateway's reading."""

import base64
import json
import pathlib
import re

from conftest import TRANSCRIPTS

# The folder of a recording to the target that answers it; None: not a chat, or not an API of ours.
FOLDERS = {"anthropic": "anthropic", "openai-chat": "azure", "openai-responses": "openai-responses",
           "azure-openai": "azure", "bedrock": "bedrock", "cohere": "cohere", "deepseek": "compat", "groq": "compat",
           "huggingface": "compat", "openrouter": "compat", "xai": "compat", "gemini": "gemini", "mistral": "mistral",
           "vertex": "vertex"}


def exchanges():
    """`(name, target, response)` of every recorded chat."""
    for path in sorted(TRANSCRIPTS.glob("*/*.json")) if TRANSCRIPTS.is_dir() else []:
        folder, name = path.parent.name, path.stem
        exchange = json.loads(path.read_text())
        where = (exchange["request"] or {}).get("path", "")
        if folder not in FOLDERS or re.search(r"embed|count-tokens|error|guardrail-|^invoke|stream-json-array", name) \
                or "/v1/chat" == where or "invoke" in where:
            continue
        target = FOLDERS[folder]
        if "claude" in name and folder == "vertex":
            target = "vertex-claude"
        if "/responses" in where:
            target = "openai-responses"
        if exchange["response"]["status"] == 200:
            yield "rec.%s.%s" % (folder, name), target, exchange["response"]


def is_stream(response):
    return "sse" in response or "base64" in response or isinstance(response.get("body"), list)


def events(response):
    if isinstance(response.get("body"), list):
        return response["body"]
    if "base64" in response:
        return list(frames(base64.b64decode(response["base64"])))
    found = []
    for block in re.split(r"\r\n\r\n|\n\n", response["sse"]):
        data = "\n".join(line[5:].strip() for line in block.splitlines() if line.startswith("data:"))
        if data and data != "[DONE]":
            found.append(json.loads(data))
    return found


def frames(data):
    from botocore.eventstream import EventStreamBuffer
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    for message in buffer:
        yield {message.headers[":event-type"]: json.loads(message.payload)}


class Said:
    """Text and calls, put together from whole parts or deltas."""

    def __init__(self):
        self.text, self.order, self.pieces = "", [], {}

    def call(self, key, name="", arguments=""):
        if key not in self.pieces:
            self.order.append(key)
            self.pieces[key] = ["", ""]
        self.pieces[key][0] += name or ""
        self.pieces[key][1] += arguments or ""

    def calls(self):
        return [(self.pieces[key][0], json.loads(self.pieces[key][1] or "{}")) for key in self.order]


def said(target, response):
    made = Said()
    read = {"anthropic": anthropic, "vertex-claude": anthropic, "gemini": gemini, "vertex": gemini, "cohere": cohere,
            "openai-responses": responses, "bedrock": bedrock}.get(target, chat)
    for event in events(response) if is_stream(response) else [response["body"]]:
        read(made, event)
    return made.text, made.calls()


def chat(made, event):
    for choice in event.get("choices", []):
        if choice.get("index", 0) != 0:
            continue
        message = choice.get("delta") or choice.get("message") or {}
        content = message.get("content") or ""
        made.text += content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        made.text += message.get("refusal") or ""
        for at, call in enumerate(message.get("tool_calls") or []):
            made.call(call.get("index", at), call["function"].get("name"), call["function"].get("arguments"))


def anthropic(made, event):
    for at, block in enumerate(event.get("content", []) if event.get("type") == "message" else []):
        made.text += block.get("text", "") if block["type"] == "text" else ""
        if block["type"] == "tool_use":
            made.call(at, block["name"], json.dumps(block["input"]))
    if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
        made.call(event["index"], event["content_block"]["name"])
    if event["type"] == "content_block_delta":
        made.text += event["delta"].get("text", "")
        if event["delta"]["type"] == "input_json_delta" and event["index"] in made.pieces:
            made.call(event["index"], "", event["delta"]["partial_json"])


def gemini(made, event):
    for candidate in event.get("candidates", [])[:1]:
        for part in candidate.get("content", {}).get("parts", []):
            if "functionCall" in part:
                made.call(len(made.order), part["functionCall"]["name"],
                          json.dumps(part["functionCall"].get("args", {})))
            elif not part.get("thought"):
                made.text += part.get("text", "")


def responses(made, event):
    kind = event.get("type", "")
    if kind == "response.output_text.delta":
        made.text += event["delta"]
    if kind == "response.output_item.done" and event["item"]["type"] == "function_call":
        made.call(event["item"]["id"], event["item"]["name"], event["item"]["arguments"])
    for item in event.get("output", []) if event.get("object") == "response" else []:
        if item["type"] == "message":
            made.text += "".join(part.get("text", "") for part in item["content"])
        if item["type"] == "function_call":
            made.call(item["id"], item["name"], item["arguments"])


def cohere(made, event):
    message = event.get("message") or (event.get("delta") or {}).get("message") or {}
    made.text += message.get("tool_plan") or ""
    content = message.get("content") or []
    for part in content if isinstance(content, list) else [content]:
        made.text += part.get("text", "")
    calls = message.get("tool_calls") or []
    for at, call in enumerate(calls if isinstance(calls, list) else [calls]):
        made.call(event.get("index", at), call["function"].get("name"), call["function"].get("arguments"))


def bedrock(made, event):
    for at, block in enumerate(event.get("output", {}).get("message", {}).get("content", [])):
        made.text += block.get("text", "")
        made.text += "".join(part.get("text", "") for part in block.get("citationsContent", {}).get("content", []))
        if "toolUse" in block:
            made.call(at, block["toolUse"]["name"], json.dumps(block["toolUse"]["input"]))
    start, delta = event.get("contentBlockStart"), event.get("contentBlockDelta")
    if start and "toolUse" in start["start"]:
        made.call(start["contentBlockIndex"], start["start"]["toolUse"]["name"])
    if delta:
        made.text += delta["delta"].get("text", "")
        if "toolUse" in delta["delta"]:
            made.call(delta["contentBlockIndex"], "", delta["delta"]["toolUse"]["input"])


def load(name):
    return json.loads((pathlib.Path(TRANSCRIPTS) / name).read_text())
