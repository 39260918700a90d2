"""What the fake model answers: chosen by the model name, computed from the request as seen, the same for every vendor.

Model name: `<family>--<scenario>--<mark>`; the mark keeps two tests apart in the log. Without `--`: scenario `text`.
"""

import json
import pathlib

from .canon import Answer, Response
from .shapes import Refused

GREETING = "Grüße aus Köln: 21 °C ☀ – 漢字"
THOUGHT = "The user wants the weather; I should look it up."
SECOND_THOUGHT = "Now I know the weather."
PAUSE = 0.12
PERSON = {"name": "Ada", "age": 36, "languages": ["en", "fr"]}


def name_of(model):
    """The scenario in a model name."""
    parts = model.split("--")
    return parts[1] if len(parts) > 1 else "text"


def recording(model, shared):
    """The recorded exchange that `rec.<folder>.<name>` asks for, or None."""
    name = name_of(model)
    if not name.startswith("rec."):
        return None
    folder, _, file = name.removeprefix("rec.").partition(".")
    path = pathlib.Path(shared) / "transcripts" / folder / (file + ".json")
    if ".." in name or not path.is_file():
        raise Refused("no such recording %s" % name, "model", status=404, kind="model")
    return json.loads(path.read_text())["response"]


def sample(schema):
    """A small value that a JSON Schema accepts; enough of the language for tool parameters."""
    if not isinstance(schema, dict):
        return "x"
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return sample(schema[key][0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    kind = str(kind).lower()
    if kind == "object":
        known = schema.get("properties", {})
        return {key: sample(known.get(key, {})) for key in schema.get("required", [])}
    if kind == "array":
        return [sample(schema.get("items", {}))]
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(kind, "x")


def answer(seen):
    """The `Answer` to a chat request."""
    function = SCENARIOS.get(seen["scenario"])
    if function is None:
        raise Refused("The model `%s` does not exist" % seen["model"], "model", status=404, kind="model")
    made = function(seen)
    made.ordinal = len(seen["turns"])
    return made


def last_parts(seen, kind):
    return [part for part in seen["turns"][-1]["parts"] if part["kind"] == kind] if seen["turns"] else []


def results(seen):
    return [part for turn in seen["turns"] for part in turn["parts"] if part["kind"] == "result"]


def need_tool(seen, name):
    if name not in [tool["name"] for tool in seen["tools"]]:
        raise Refused("this scenario calls %s, which the request does not declare" % name, "tools")


def text(_seen):
    return Answer([("text", GREETING)])


def usage(seen):
    return Answer([("think", THOUGHT), ("text", GREETING)], input=2100, output=90, cached=1024, written=512,
                  reasoning=40 if seen["thinking"] else 0)


def tools(seen):
    if last_parts(seen, "result"):
        return Answer([("text", "Köln: 21 °C.")], input=52, output=9)
    need_tool(seen, "get_weather")
    return Answer([("call", "get_weather", {"city": "Köln"})], finish="tools")


def parallel(seen):
    found = last_parts(seen, "result")
    if found:
        return Answer([("text", "; ".join(part["text"] for part in found))], input=70, output=11)
    need_tool(seen, "get_weather")
    return Answer([("text", "Let me look."), ("call", "get_weather", {"city": "Köln"}),
                   ("call", "get_weather", {"city": "Oslo", "unit": "°C"})], finish="tools")


def noargs(seen):
    """A call without arguments: an empty object, which streams as no delta or as `{}`."""
    if last_parts(seen, "result"):
        return Answer([("text", "It is noon.")])
    need_tool(seen, "get_time")
    return Answer([("call", "get_time", {})], finish="tools")


def think(_seen):
    return Answer([("think", THOUGHT), ("text", GREETING)], output=60, reasoning=40)


def thinktools(seen):
    if last_parts(seen, "result"):
        return Answer([("think", SECOND_THOUGHT), ("text", "Köln: 21 °C.")], output=30, reasoning=12)
    need_tool(seen, "get_weather")
    return Answer([("think", THOUGHT), ("call", "get_weather", {"city": "Köln"})], finish="tools", output=60,
                  reasoning=40)


def redacted(seen):
    made = thinktools(seen)
    made.parts.insert(1, ("redacted",))
    return made


def vision(seen):
    found = last_parts(seen, "image") + last_parts(seen, "file")
    if not found:
        raise Refused("this scenario needs an image or a file")
    return Answer([("text", " ".join("%s:%s" % (part["mime"], part["sha"] or part["url"]) for part in found))])


def schema(seen):
    """The JSON where the request asks for it: natively, or as the arguments of the forced tool."""
    if seen["schema"]:
        return Answer([("text", json.dumps(PERSON))], output=21)
    if seen["tools"] and seen["choice"] not in ("auto", "none"):
        forced = seen["choice"]["name"] if isinstance(seen["choice"], dict) else seen["tools"][-1]["name"]
        return Answer([("call", forced, PERSON)], finish="tools", output=21)
    raise Refused("this scenario needs a schema or a forced tool")


def length(_seen):
    return Answer([("text", "Cut o")], finish="length", output=3)


def filter_(_seen):
    return Answer([("text", "")], finish="filter", output=1)


def sequence(seen):
    return Answer([("text", "before ")], finish="sequence", output=2, stop_sequence=(seen["stop"] or [None])[0])


def slow(_seen):
    """Its events leave one by one, `PAUSE` apart."""
    return Answer([("text", "one two three four five six seven eight nine ten")])


def midstream(_seen):
    return Answer([("text", GREETING * 3)], fail_after=2)


def agent(seen):
    """A session: first tool, then two tools at once, then done."""
    rounds = sum(1 for turn in seen["turns"] if any(part["kind"] == "result" for part in turn["parts"]))
    if rounds >= 2 or not seen["tools"]:
        return Answer([("think", SECOND_THOUGHT), ("text", "Done after %d tool results." % len(results(seen)))],
                      input=9000, output=40, cached=8000, reasoning=10 if seen["thinking"] else 0)
    offered = seen["tools"][:1] if rounds == 0 else seen["tools"][:2]
    calls = [("call", tool["name"], sample(tool["schema"])) for tool in offered]
    return Answer([("think", THOUGHT), ("text", "I will look."), *calls], finish="tools", input=8000, output=60,
                  cached=4000, written=2000, reasoning=20 if seen["thinking"] else 0)


SCENARIOS = {function.__name__.rstrip("_"): function for function in (
    text, usage, tools, parallel, noargs, think, thinktools, redacted, vision, schema, length, filter_, sequence,
    midstream, slow, agent)}

# Scripted refusals: scenario to status and the vendor-neutral kind that each dialect puts into its own words.
FAULTS = {"bad": (400, "invalid"), "limited": (429, "rate"), "overloaded": (503, "overloaded"),
          "broken": (500, "server"), "denied": (401, "auth"), "gone": (404, "model")}


def fault(scenario):
    """The scripted refusal, or None."""
    if scenario not in FAULTS:
        return None
    status, kind = FAULTS[scenario]
    return Refused("scripted: %s" % scenario, "", status=status, kind=kind)


def replayed(found, stream):
    """A recorded response as it was."""
    headers = {key: value for key, value in found["headers"].items() if key not in ("content-type", "content-length")}
    if "sse" in found or "base64" in found:
        if not stream:
            raise Refused("this recording is a stream, the request asks for none", "stream")
        import base64
        data = found["sse"].encode() if "sse" in found else base64.b64decode(found["base64"])
        binary = "base64" in found
        return Response(events=[data], headers=headers,
                        kind="application/vnd.amazon.eventstream" if binary else "text/event-stream")
    if stream and found["status"] == 200 and not isinstance(found["body"], list):
        raise Refused("this recording is no stream, the request asks for one", "stream")
    return Response(found["status"], found["body"], headers=headers)
