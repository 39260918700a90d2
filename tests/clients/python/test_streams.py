"""Translated streams in time: each event of a provider reaches its client at once, a client that leaves stops the
provider, and streams side by side do not mix."""

import concurrent.futures
import time

import pytest

from conftest import gateway_only
from matrix import Route
from vendors.scenarios import GREETING, PAUSE
from vendors.targets import TARGETS

pytestmark = gateway_only
WORDS = "one two three four five six seven eight nine ten"
# One client of each dialect; the targets whose streams differ in form.
PAIRS = [(client, target) for client in ("openai-chat", "openai-responses", "anthropic", "google-genai")
         for target in ("azure", "openai-responses", "anthropic", "gemini", "bedrock", "cohere", "mistral")]


def opened(session):
    """The SDK's own stream, as an iterator of texts, and what closes it."""
    ask = [{"role": "user", "content": "Count."}]
    client, model = session.client, session.model
    if session.name == "openai-chat":
        stream = client.chat.completions.create(model=model, messages=ask, stream=True)
        return (chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices), stream.close
    if session.name == "openai-responses":
        stream = client.responses.create(model=model, input=ask, stream=True, store=False)
        return (event.delta for event in stream if event.type == "response.output_text.delta"), stream.close
    if session.name == "anthropic":
        stream = client.messages.create(model=model, messages=ask, stream=True, max_tokens=99)
        return (event.delta.text for event in stream if event.type == "content_block_delta"), stream.close
    stream = client.models.generate_content_stream(model=model, contents="Count.")
    return (chunk.text or "" for chunk in stream), stream.close


@pytest.mark.parametrize("client, target", PAIRS, ids=["%s>%s" % pair for pair in PAIRS])
def test_events_arrive_one_by_one(client, target, upstream):
    with Route(client, TARGETS[target], upstream).begin("slow", True) as session:
        texts, _ = opened(session)
        arrived = [(time.monotonic(), text) for text in texts if text]
    assert "".join(text for _, text in arrived) == WORDS
    # Gemini's fake has four pieces, the others five.
    assert len(arrived) >= 4
    assert arrived[-1][0] - arrived[0][0] > 2 * PAUSE, "all at once"


@pytest.mark.parametrize("client, target", PAIRS, ids=["%s>%s" % pair for pair in PAIRS])
def test_leaving_stops_the_provider(client, target, upstream):
    with Route(client, TARGETS[target], upstream).begin("slow", True) as session:
        texts, close = opened(session)
        assert next(text for text in texts if text)
        close()
        left = time.monotonic()
        while time.monotonic() - left < 3:
            entry = session.log()[-1]
            if entry["left"] is not None:
                break
            time.sleep(0.02)
        assert entry["left"] is not None and entry["ended"] is None


def test_many_dialogues_at_once(upstream):
    """Twelve at a time, every pair of a client and a target, streamed and not."""
    tools = [{"name": "get_weather", "description": "Weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]

    def dialogue(pair, stream):
        route = Route(pair[0], TARGETS[pair[1]], upstream)
        with route.begin("text", stream) as session:
            texts = [session.say("Hello").text, session.say("Again").text]
        with route.begin("tools", stream, tools=tools) as session:
            call, = session.say("Weather?").calls
            texts.append(session.answer((call, "21 °C")).text)
        return texts

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        running = [pool.submit(dialogue, pair, stream) for pair in PAIRS for stream in (False, True)]
        for done in running:
            assert done.result(timeout=60) == [GREETING, GREETING, "Köln: 21 °C."]
