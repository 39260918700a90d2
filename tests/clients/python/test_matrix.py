"""Every SDK against every provider dialect: the same scenarios, the same expectations, streamed and not.

The fake vendor (../vendors) refuses what its vendor would; the tests here look at what the SDK got and at what arrived.
"""

import base64
import json

import pytest

from conftest import nothing_there
from matrix import Route, pairs
from vendors.scenarios import GREETING, PERSON, SECOND_THOUGHT, THOUGHT
from vendors.targets import TARGETS

WEATHER = {"name": "get_weather", "description": "The weather of a city.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "City"},
                                     "unit": {"type": "string", "enum": ["°C", "°F"]}},
    "required": ["city"], "additionalProperties": False}}
TIME = {"name": "get_time", "description": "The time.", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"},
                                           "languages": {"type": "array", "items": {"type": "string"}}},
          "required": ["name", "age", "languages"], "additionalProperties": False}
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJg"
                       "gg==")
PDF = b"%PDF-1.4\n1 0 obj <<>> endobj\ntrailer <<>>\n%%EOF\n"


@pytest.fixture(params=pairs())
def route(request, upstream):
    client, provider = request.param
    return Route(client, TARGETS[provider], upstream)


@pytest.fixture(params=[False, True], ids=["answer", "stream"])
def stream(request):
    return request.param


def parts(turn, kind):
    return [part for part in turn["parts"] if part["kind"] == kind]


def usage_of(reply):
    """Input and output of the answer, as this SDK reports them."""
    return reply.usage.input, reply.usage.output


def test_text(route, stream):
    with route.begin("text", stream, system="Be brief.", max_tokens=300) as session:
        reply = session.say("Say hello: 你好")
        assert reply.text == GREETING
        if stream:
            # The SDK does not ask for usage figures, and a stream has none unasked.
            assert session.lacks & {"stream-usage"} or usage_of(reply) == (31, 17)
        else:
            assert usage_of(reply) == (31, 17)
        check_finish(session, reply, "stop")
        seen, = session.seen()
    assert seen["system"] == "Be brief." and seen["max_tokens"] == 300 and seen["stream"] == stream
    assert seen["turns"] == [{"role": "user", "parts": [{"kind": "text", "text": "Say hello: 你好"}]}] or \
        [part["text"] for part in parts(seen["turns"][0], "text")] == ["Say hello: 你好"]


def check_finish(session, reply, wanted):
    if "finish" not in session.lacks:
        expected = session.finishes[wanted]
        assert reply.finish in (expected if isinstance(expected, tuple) else (expected,))


def test_sampling_and_stop(route):
    """What both sides know arrives unchanged."""
    asked = {"max_tokens": 300}
    if not route.lacks("sampling"):
        asked["temperature"] = 0.5
        if "langchain" not in route.client:
            asked["top_p"] = 0.9
    if not route.lacks("stop"):
        asked["stop"] = ["END", "\n\nHuman:"]
    with route.begin("text", **asked) as session:
        assert session.say("Hello").text == GREETING
        seen, = session.seen()
    if "claude" in route.provider.plain:
        # Claude takes one of the two at most, from Opus 4.7 on neither: dropped, never changed.
        assert seen["temperature"] in (asked.get("temperature"), None) and seen["top_p"] in (asked.get("top_p"), None)
    else:
        assert (seen["temperature"], seen["top_p"]) == (asked.get("temperature"), asked.get("top_p"))
    assert seen["stop"] == asked.get("stop", [])


def test_multi_turn(route, stream):
    route.need_history()
    with route.begin("text", stream, system="Be brief.") as session:
        session.say("One")
        session.say("Two")
        seen = session.seen()[-1]
    assert [(turn["role"], "".join(part["text"] for part in parts(turn, "text"))) for turn in seen["turns"]] == [
        ("user", "One"), ("assistant", GREETING), ("user", "Two")]


def test_tool_loop(route, stream):
    route.need_tools(stream)
    with route.begin("tools", stream, tools=[WEATHER], system="Use tools.") as session:
        reply = session.say("Weather in Köln?")
        call, = reply.calls
        assert call.name == "get_weather" and call.args == {"city": "Köln"}
        check_finish(session, reply, "tools")
        final = session.answer((call, "21 °C, \"mild\""))
        assert final.text == "Köln: 21 °C." and not final.calls
        check_finish(session, final, "stop")
        first, second = session.seen()
    tool, = first["tools"]
    assert (tool["name"], tool["description"]) == ("get_weather", "The weather of a city.")
    assert set(tool["schema"]["properties"]) == {"city", "unit"} and tool["schema"]["required"] == ["city"]
    assert tool["schema"]["properties"]["unit"]["enum"] == ["°C", "°F"]
    assert [turn["role"] for turn in second["turns"]] == ["user", "assistant", "user"]
    sent, = parts(second["turns"][1], "call")
    result, = parts(second["turns"][2], "result")
    assert sent["args"] == {"city": "Köln"} and sent["name"] == "get_weather" and sent["id"] == result["id"]
    # Vendors that take objects get the text in one.
    text = json.loads(result["text"]) if result["text"].startswith("{") else result["text"]
    assert (next(iter(text.values())) if isinstance(text, dict) else text) == "21 °C, \"mild\""


def test_parallel_tools(route, stream):
    route.need_tools(stream)
    with route.begin("parallel", stream, tools=[WEATHER, TIME]) as session:
        reply = session.say("Weather in Köln and Oslo?")
        assert [call.args for call in reply.calls] == [{"city": "Köln"}, {"city": "Oslo", "unit": "°C"}]
        ids = [call.id for call in reply.calls]
        assert len(set(ids)) == 2 or ids == [None, None]
        assert reply.text == "Let me look." or route.provider.name == "cohere"
        final = session.answer((reply.calls[0], "mild"), (reply.calls[1], "cold"))
        assert final.text == "mild; cold" or ("mild" in final.text
                                              and final.text.index("mild") < final.text.index("cold"))
        second = session.seen()[-1]
    assert [part["args"] for part in parts(second["turns"][1], "call")] == [{"city": "Köln"},
                                                                            {"city": "Oslo", "unit": "°C"}]
    assert [part["id"] for part in parts(second["turns"][1], "call")] == [
        part["id"] for part in parts(second["turns"][2], "result")]


def test_call_without_arguments(route, stream):
    route.need_tools(stream)
    with route.begin("noargs", stream, tools=[TIME]) as session:
        call, = session.say("What time is it?").calls
        assert call.name == "get_time" and call.args == {}
        assert session.answer((call, "12:00")).text == "It is noon."
        assert parts(session.seen()[-1]["turns"][1], "call")[0]["args"] == {}


@pytest.mark.parametrize("choice", ["any", "none", "get_weather"])
def test_tool_choice(route, choice):
    if choice == "none" and route.client == "langchain-anthropic":
        nothing_there("takes every word but auto and any for a tool's name")
    with route.begin("text", tools=[WEATHER, TIME], choice=choice) as session:
        assert session.say("Hello").text == GREETING
        seen, = session.seen()
    wanted = {"name": choice} if choice == "get_weather" else choice
    if seen["choice"] == wanted:
        return
    # A vendor without that choice: only the forced tool is offered, or no tool at all. Never "auto" in silence.
    names = [tool["name"] for tool in seen["tools"]]
    if choice == "get_weather":
        assert seen["choice"] == "any" and names == ["get_weather"]
    else:
        assert choice == "none" and not names


def test_thinking_is_shown(route, stream):
    route.need("thinking", "shown-thinking")
    with route.begin("think", stream, thinking=True) as session:
        reply = session.say("Think about it.")
        assert reply.text == GREETING
        if not session.lacks & {"visible-thinking"}:
            assert reply.thinking == THOUGHT or (reply.thinking == "" and session.cannot_ask_for_thoughts)
        assert usage_of(reply) == (31, 60)
        if reply.usage.reasoning is not None and "reasoning-usage" not in route.provider.lacks:
            assert reply.usage.reasoning == 40
        session.say("And Oslo?")
        seen = session.seen()[-1]
    assert seen["thinking"]
    # Gemini's signature of a text is a wish, not a must, and chat completions have no place for it.
    if session.carries_thinking and route.provider.keeps == "signed" and not (
            session.cannot_ask_for_thoughts and route.provider.name in ("gemini", "gemini-3", "vertex")):
        assert any(part.get("signed") for part in seen["turns"][1]["parts"]), seen["turns"][1]


def test_thinking_with_tools(route, stream):
    """The provider's signature comes back to it unchanged: the fake vendor verifies it."""
    route.need("thinking")
    with route.begin("thinktools", stream, thinking=True, tools=[WEATHER]) as session:
        reply = session.say("Weather in Köln?")
        call, = reply.calls
        final = session.answer((call, "21 °C"))
        assert final.text == "Köln: 21 °C."
        if not route.lacks("shown-thinking") and "visible-thinking" not in session.lacks:
            assert (reply.thinking, final.thinking) == (THOUGHT, SECOND_THOUGHT) or (
                not reply.thinking + final.thinking and session.cannot_ask_for_thoughts)
        second = session.seen()[-1]
    if session.carries_thinking and route.provider.keeps == "signed":
        assert any(part.get("signed") for part in second["turns"][1]["parts"]), second["turns"][1]
        if reply.thinking and (not route.provider.name.startswith(("gemini", "vertex"))
                               or route.provider.name == "vertex-claude"):
            assert parts(second["turns"][1], "thinking")[0]["text"] == THOUGHT


def test_redacted_thinking(route, stream):
    if route.provider.name not in ("anthropic", "vertex-claude", "bedrock"):
        nothing_there("no redacted thinking there")
    route.need("thinking", "redacted")
    with route.begin("redacted", stream, thinking=True, tools=[WEATHER]) as session:
        call, = session.say("Weather in Köln?").calls
        assert session.answer((call, "21 °C")).text == "Köln: 21 °C."
        if session.carries_thinking:
            thoughts = parts(session.seen()[-1]["turns"][1], "thinking")
            assert [thought["text"] for thought in thoughts] == [THOUGHT, None]


def test_image(route, stream):
    route.need("image")
    with route.begin("vision", stream) as session:
        from vendors.canon import digest
        assert session.say("What is it?", image=("image/png", PNG)).text == "image/png:" + digest(PNG)


def test_pdf(route):
    route.need("file")
    with route.begin("vision") as session:
        from vendors.canon import digest
        assert session.say("What is it?", file=("application/pdf", PDF)).text == "application/pdf:" + digest(PDF)


def test_structured_output(route, stream):
    if "langchain" in route.client:
        nothing_there("with_structured_output has its own test")
    with route.begin("schema", stream, schema=SCHEMA) as session:
        reply = session.say("Ada, 36, speaks English and French. Answer in JSON.")
        assert json.loads(reply.text) == PERSON and not reply.calls
        check_finish(session, reply, "stop")


def test_usage(route, stream):
    if stream:
        route.need("stream-usage")
    with route.begin("usage", stream) as session:
        usage = session.say("Hello").usage
    assert (usage.input, usage.output) == (2100, 90)
    if "cached" not in route.provider.lacks and route.client not in ("mistralai",):
        assert usage.cached == 1024
    if usage.written is not None and "cache-write" not in route.provider.lacks:
        assert usage.written == 512


@pytest.mark.parametrize("finish", ["length", "filter", "sequence"])
def test_finish(route, stream, finish):
    route.need("finish")
    if finish == "filter":
        route.need("filter")
    if finish == "sequence":
        route.need("stop")
    with route.begin(finish, stream, **({"stop": ["END"]} if finish == "sequence" else {})) as session:
        reply = session.say("Hello")
        if finish == "sequence" and session.finishes["sequence"] == "stop_sequence":
            # Most vendors do not say which of the two it was.
            assert reply.finish in ("stop_sequence", "end_turn")
        else:
            check_finish(session, reply, finish)
