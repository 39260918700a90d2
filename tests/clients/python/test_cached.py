"""Kept answers through three vendors' SDKs, whole and streamed: nothing but a header tells them from what a model sends."""

import time
import uuid

import anthropic
import openai
import pytest
from google import genai

from conftest import gateway_only

pytestmark = gateway_only

# What the upstream sends whole, and what it streams.
MODELS = {"whole": "cached/fixture/text", "streamed": "cached/fixture/stream"}


def of_openai(url, model, text, stream):
    client = openai.OpenAI(base_url=url + "/v1", max_retries=0, timeout=15)
    asked = {"model": model, "messages": [{"role": "user", "content": text}]}
    if not stream:
        raw = client.chat.completions.with_raw_response.create(**asked)
        made = raw.parse()
        choice = made.choices[0]
        return raw.headers, made.id, [type(made).__name__, made.object], {
            "text": choice.message.content, "role": choice.message.role, "finish": choice.finish_reason,
            "usage": (made.usage.prompt_tokens, made.usage.completion_tokens)}
    raw = client.chat.completions.with_raw_response.create(**asked, stream=True, stream_options={"include_usage": True})
    chunks = list(raw.parse())
    assert len({chunk.id for chunk in chunks}) == 1
    said = [chunk for chunk in chunks if chunk.choices]
    finishes = [chunk.choices[0].finish_reason for chunk in said if chunk.choices[0].finish_reason]
    usage = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(finishes) == 1 and len(usage) == 1 and chunks[-1].usage
    return raw.headers, chunks[0].id, [type(chunks[0]).__name__, chunks[0].object], {
        "text": "".join(chunk.choices[0].delta.content or "" for chunk in said), "role": said[0].choices[0].delta.role,
        "finish": finishes[0], "usage": (usage[0].prompt_tokens, usage[0].completion_tokens)}


def of_anthropic(url, model, text, stream):
    client = anthropic.Anthropic(base_url=url, api_key="sk-client-secret", max_retries=0, timeout=15)
    asked = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
    kinds = ["message"]
    if stream:
        with client.messages.stream(**asked) as events:
            headers = events.response.headers
            kinds = list(dict.fromkeys(event.type for event in events))
            made = events.get_final_message()
    else:
        raw = client.messages.with_raw_response.create(**asked)
        headers, made = raw.headers, raw.parse()
    return headers, made.id, kinds, {
        "text": "".join(block.text for block in made.content), "role": made.role, "finish": made.stop_reason,
        "usage": (made.usage.input_tokens, made.usage.output_tokens)}


def of_google(url, model, text, stream):
    client = genai.Client(api_key="sk-client-secret", http_options=genai.types.HttpOptions(
        base_url=url, timeout=15_000, retry_options=genai.types.HttpRetryOptions(attempts=1)))
    if stream:
        answers = list(client.models.generate_content_stream(model=model, contents=text))
    else:
        answers = [client.models.generate_content(model=model, contents=text)]
    finishes = [answer.candidates[0].finish_reason for answer in answers if answer.candidates
                and answer.candidates[0].finish_reason]
    usage = [answer.usage_metadata for answer in answers if answer.usage_metadata][-1]
    assert len(finishes) == 1
    return answers[0].sdk_http_response.headers, answers[0].response_id, [type(answers[0]).__name__], {
        "text": "".join(answer.text or "" for answer in answers), "role": answers[0].candidates[0].content.role,
        "finish": finishes[0].value, "usage": (usage.prompt_token_count, usage.candidates_token_count)}


def kept(ask, url, model, text, stream):
    """Asked until it is served from the cache."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        answer = ask(url, model, text, stream)
        if answer[0].get("x-cirque-cache") == "hit":
            return answer
        time.sleep(0.02)
    raise AssertionError("never kept")


@pytest.mark.parametrize("ask", [of_openai, of_anthropic, of_google])
@pytest.mark.parametrize("first", ["whole", "streamed"])
def test_a_kept_answer_is_like_a_live_one(base_url, ask, first):
    url, model = base_url.removesuffix("/v1"), MODELS[first]
    stream = first == "streamed"
    text = "Say hello, %s." % uuid.uuid4().hex
    headers, name, kinds, live = ask(url, model, text, stream)
    assert headers.get("x-cirque-cache") == "miss"
    same = kept(ask, url, model, text, stream)
    assert (same[2], same[3]) == (kinds, live), "as it came"
    assert same[1] != name, "an id of its own"
    assert same[0]["content-type"] == headers["content-type"]
    assert int(same[0]["age"]) >= 0 and "age" not in headers
    other = kept(ask, url, model, text, not stream)
    assert other[3] == live, "and in the other form"


def test_a_kept_answer_of_one_sdk_serves_another(base_url):
    url, model = base_url.removesuffix("/v1"), MODELS["whole"]
    text = "Say hello, %s." % uuid.uuid4().hex
    live = kept(of_openai, url, model, text, False)[3]
    headers, _, _, other = of_google(url, model, text, True)
    assert headers["x-cirque-cache"] == "hit" and other["text"] == live["text"]
