"""Chat completions with the Python SDK: answers, streams, tools, structured output, sync and async."""

import asyncio
import json
import time

import openai
import pydantic
import pytest

from conftest import ASK, exchange, gateway_only, plain, recorded_chunks

STREAMS = ["fixture/stream", "fixture/stream-tool", "replay/openai-chat/stream-tool-1",
           "replay/openai-chat/stream-parallel-tools", "replay/openai-chat/stream-turns-1",
           "replay/openai-chat/stream-usage-length", "replay/openai-chat/schema-object-stream"]
ANSWERS = ["fixture/text", "replay/openai-chat/text-basic", "replay/openai-chat/tool-call",
           "replay/openai-chat/refusal-schema", "replay/openai-chat/web-search-annotations"]


def weather_tool():
    return exchange("fixture/tool-1")["request"]["body"]["tools"]


def assembled_calls(chunks):
    """Streamed tool-call deltas put together: index → (id, name, arguments)."""
    calls = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for delta in choice.delta.tool_calls or []:
                call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += delta.id or ""
                call["name"] += (delta.function and delta.function.name) or ""
                call["arguments"] += (delta.function and delta.function.arguments) or ""
    return calls


@pytest.mark.parametrize("model", ANSWERS)
def test_answer_is_the_recording(client, model):
    recorded = exchange(model)
    answer = client.chat.completions.create(model=model, messages=recorded["request"]["body"]["messages"])
    assert plain(answer) == recorded["response"]["body"]


@pytest.mark.parametrize("include_usage", [True, False], ids=["usage", "no-usage"])
@pytest.mark.parametrize("model", STREAMS)
def test_stream_events_are_the_recordings(client, model, include_usage):
    expected = recorded_chunks(model, include_usage)
    asked = {"stream_options": {"include_usage": True}} if include_usage else {}
    stream = client.chat.completions.create(model=model, messages=ASK, stream=True, **asked)
    assert [plain(chunk) for chunk in stream] == expected


@gateway_only
def test_usage_is_asked_for_upstream_even_when_the_client_did_not(client, upstream):
    list(client.chat.completions.create(model="fixture/stream", messages=ASK, stream=True))
    sent = json.loads(upstream.last("fixture/stream")["body"])
    assert sent["stream_options"] == {"include_usage": True}


def test_include_usage_false_is_respected(client):
    stream = client.chat.completions.create(model="fixture/stream", messages=ASK, stream=True,
                                            stream_options={"include_usage": False})
    assert all(chunk.choices for chunk in stream)


def test_async_answer_and_stream(aclient):
    async def both():
        async with aclient:
            answer = await aclient.chat.completions.create(model="fixture/text", messages=ASK)
            stream = await aclient.chat.completions.create(model="fixture/stream", messages=ASK, stream=True)
            return answer, [plain(chunk) async for chunk in stream]

    answer, chunks = asyncio.run(both())
    assert plain(answer) == exchange("fixture/text")["response"]["body"]
    assert chunks == recorded_chunks("fixture/stream", False)


def test_many_streams_at_once(aclient):
    """Events of concurrent streams never mix."""
    models = ["fixture/stream", "fixture/stream-tool", "fixture/schema-stream"] * 10

    async def one(model):
        stream = await aclient.chat.completions.create(model=model, messages=ASK, stream=True)
        return [plain(chunk) async for chunk in stream]

    async def all_of_them():
        async with aclient:
            return await asyncio.gather(*(one(model) for model in models))

    for model, chunks in zip(models, asyncio.run(all_of_them())):
        assert chunks == recorded_chunks(model, False)


@pytest.mark.parametrize("model", ["fixture/stream-tool", "replay/openai-chat/stream-tool-1",
                                   "replay/openai-chat/stream-parallel-tools"])
def test_streamed_tool_calls_assemble(client, model):
    exchange(model)
    stream = client.chat.completions.create(model=model, messages=ASK, stream=True, tools=weather_tool())
    calls = assembled_calls(stream)
    assert calls
    for call in calls.values():
        assert call["id"].startswith("call_") and call["name"]
        assert isinstance(json.loads(call["arguments"]), dict)


def test_tool_loop(client, upstream):
    """Call, run the tool, answer: the second request carries the whole conversation upstream, unchanged."""
    messages = [{"role": "user", "content": "Weather in Köln and Oslo?"}]
    first = client.chat.completions.create(model="fixture/tool-1", messages=messages, tools=weather_tool())
    assert first.choices[0].finish_reason == "tool_calls"
    messages.append(first.choices[0].message.to_dict())
    for call in first.choices[0].message.tool_calls:
        city = json.loads(call.function.arguments)["city"]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "%s: mild" % city})
    second = client.chat.completions.create(model="fixture/tool-2", messages=messages, tools=weather_tool())
    assert second.choices[0].message.content == "Köln: 21 °C. Oslo: 14 °C."
    assert json.loads(upstream.last("fixture/tool-2")["body"])["messages"] == messages


def test_recorded_tool_dialogue(client):
    """Two turns of one recorded streamed dialogue, the request bodies as they were recorded."""
    for turn in ("stream-tool-1", "stream-tool-2"):
        name = "replay/openai-chat/" + turn
        body = dict(exchange(name)["request"]["body"], model=name)
        chunks = list(client.chat.completions.create(**body))
        assert [plain(chunk) for chunk in chunks] == recorded_chunks(name, True)


class Person(pydantic.BaseModel):
    name: str
    age: int
    languages: list[str]


def test_structured_output_parses(client, upstream):
    parsed = client.chat.completions.parse(model="fixture/schema", messages=ASK, response_format=Person)
    assert parsed.choices[0].message.parsed == Person(name="Ada", age=36, languages=["en", "fr"])
    sent = json.loads(upstream.last("fixture/schema")["body"])
    assert sent["response_format"]["json_schema"]["strict"] is True


def test_structured_output_streams(client):
    with client.chat.completions.stream(model="fixture/schema-stream", messages=ASK, response_format=Person) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert final.choices[0].message.parsed.name == "Ada"


def test_demo_answers(client):
    answer = client.chat.completions.create(model="demo", messages=ASK)
    assert answer.object == "chat.completion" and answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0


def test_demo_streams(client):
    chunks = list(client.chat.completions.create(model="demo", messages=ASK, stream=True,
                                                 stream_options={"include_usage": True}))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text and sum(len(chunk.choices) for chunk in chunks) > 3
    assert chunks[-1].usage.total_tokens > 0 and not chunks[-1].choices
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


@gateway_only
def test_demo_withholds_usage_that_was_not_asked_for(client):
    chunks = list(client.chat.completions.create(model="demo", messages=ASK, stream=True))
    assert all(chunk.choices for chunk in chunks)


def test_events_arrive_as_they_are_sent(client, unique):
    """The upstream sends an event every 20 ms: the twentieth is there long before the last (20 s later)."""
    begun = time.monotonic()
    with client.chat.completions.create(model=unique("slow-stream"), messages=ASK, stream=True) as stream:
        for index, chunk in enumerate(stream):
            assert chunk.choices[0].delta.content == "w%d " % index
            if index == 19:
                break
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("how", ["sync", "async"])
def test_closing_a_stream_early_closes_the_upstream(client, aclient, upstream, unique, how):
    model = unique("slow-stream")
    if how == "sync":
        stream = client.chat.completions.create(model=model, messages=ASK, stream=True)
        next(iter(stream))
        stream.close()
    else:
        async def leave():
            async with aclient:
                stream = await aclient.chat.completions.create(model=model, messages=ASK, stream=True)
                await stream.__anext__()
                await stream.close()
        asyncio.run(leave())
    assert upstream.left_after(model, time.monotonic()) < 1.0


def test_cancelling_before_the_first_byte_closes_the_upstream(aclient, upstream, unique):
    model = unique("hang")

    async def cancel():
        async with aclient:
            task = asyncio.ensure_future(aclient.chat.completions.create(model=model, messages=ASK))
            while not upstream.requests(model):
                await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return time.monotonic()

    assert upstream.left_after(model, asyncio.run(cancel())) < 1.0


def test_client_timeout(client, upstream, unique):
    model = unique("hang")
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(model=model, messages=ASK)
    assert upstream.left_after(model, time.monotonic()) < 1.0
