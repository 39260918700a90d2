"""The operations beside chat: lists of models, token counts, embeddings, rerank; structured output through helpers."""

import functools
import json
import os

import anthropic
import cohere
import openai
import pydantic
import pytest
from google import genai

from conftest import gateway_only
from matrix import Route, pairs
from sessions import KEY
from vendors.openai_chat import vector
from vendors.scenarios import GREETING, PERSON
from vendors.targets import TARGETS

GATEWAY = os.environ["CIRQUE_URL"]


class Loose(pydantic.BaseModel):
    name: str
    age: int
    languages: list[str]


class Person(Loose):
    """Closed; the Gemini API itself refuses what Google's SDK makes of that."""
    model_config = {"extra": "forbid"}


@functools.cache
def google():
    """Kept: a client that nobody holds closes itself under the call."""
    return genai.Client(api_key=KEY, http_options=genai.types.HttpOptions(
        base_url=GATEWAY, retry_options=genai.types.HttpRetryOptions(attempts=1)))


@gateway_only
def test_models_in_each_dialect():
    with openai.OpenAI(base_url=GATEWAY + "/v1", api_key=KEY) as client:
        ours = {model.id for model in client.models.list()}
    with anthropic.Anthropic(base_url=GATEWAY, api_key=KEY) as client:
        theirs = list(client.models.list())
        assert all(model.type == "model" and model.display_name and model.created_at for model in theirs)
        assert client.models.retrieve("fixture-text").id == "fixture-text"
    listed = {model.name: model for model in google().models.list(config={"query_base": True})}
    assert "fixture-text" in ours and ours == {model.id for model in theirs}
    assert {"models/" + name for name in ours} == set(listed)
    assert google().models.get(model="fixture-text").name == "models/fixture-text"


@gateway_only
@pytest.mark.parametrize("name", list(TARGETS))
def test_anthropic_count_tokens(name, upstream):
    """Counted by the provider where it can (42), else an estimate of the right order."""
    model = Route("anthropic", TARGETS[name], upstream).name("text")[0]
    with anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0) as client:
        counted = client.messages.count_tokens(model=model, system="Be brief.", messages=[
            {"role": "user", "content": "Hello there. " * 20}],
            tools=[{"name": "f", "input_schema": {"type": "object"}}])
    assert counted.input_tokens == 42 if name in ("anthropic", "anthropic-new", "gemini", "gemini-3", "vertex",
                                                  "vertex-claude", "bedrock",
                                                  "bedrock-key") else 40 <= counted.input_tokens <= 300


@gateway_only
@pytest.mark.parametrize("name", list(TARGETS))
def test_gemini_count_tokens(name, upstream):
    model = Route("google-genai", TARGETS[name], upstream).name("text")[0]
    counted = google().models.count_tokens(model=model, contents="Hello there. " * 20)
    assert counted.total_tokens == 42 if name in ("anthropic", "anthropic-new", "gemini", "gemini-3", "vertex",
                                                  "vertex-claude", "bedrock",
                                                  "bedrock-key") else 40 <= counted.total_tokens <= 300


EMBEDDERS = {"openai-responses": "text-embedding-3-small", "azure": "text-embedding-3-small",
             "gemini": "gemini-embedding-001",
             "cohere": "embed-v4.0", "mistral": "mistral-embed"}


@gateway_only
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", list(EMBEDDERS))
def test_openai_embeddings(name, count):
    texts = ["Köln", "Oslo"][:count]
    with openai.OpenAI(base_url=GATEWAY + "/v1", api_key=KEY, max_retries=0) as client:
        answer = client.embeddings.create(model="%s/%s" % (name, EMBEDDERS[name]),
                                          input=texts if count > 1 else texts[0])
        floats = client.embeddings.create(model="%s/%s" % (name, EMBEDDERS[name]), input=texts, encoding_format="float")
    assert [item.embedding for item in answer.data] == [vector(text, 8) for text in texts]
    assert [item.embedding for item in floats.data] == [vector(text, 8) for text in texts]
    assert [item.index for item in answer.data] == list(range(count)) and answer.usage is not None


@gateway_only
@pytest.mark.parametrize("name", list(EMBEDDERS))
def test_gemini_embeddings(name):
    answer = google().models.embed_content(model="%s/%s" % (name, EMBEDDERS[name]), contents=["Köln", "Oslo"])
    assert [item.values for item in answer.embeddings] == [vector(text, 8) for text in ("Köln", "Oslo")]


@gateway_only
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_rerank(version):
    client = cohere.ClientV2 if version == "v2" else cohere.Client
    ranked = client(api_key=KEY, base_url=GATEWAY).rerank(model="cohere/rerank-v3.5", query="q",
                                                          documents=["a", "b", "c"], top_n=2)
    assert [(item.index, item.relevance_score) for item in ranked.results] == [(2, 0.9), (1, 0.8)]


@gateway_only
@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize("name", [name for name, target in TARGETS.items()
                                  if target.config["kind"] not in ("openai", "azure", "deepseek")])
def test_legacy_completions(name, stream, upstream):
    """`/v1/completions` where the provider has no such thing."""
    model = Route("openai-chat", TARGETS[name], upstream).name("text")[0]
    with openai.OpenAI(base_url=GATEWAY + "/v1", api_key=KEY, max_retries=0) as client:
        made = client.completions.create(model=model, prompt="Say hello.", max_tokens=50, stream=stream)
        text = "".join(chunk.choices[0].text for chunk in made if chunk.choices) if stream else made.choices[0].text
    assert text == GREETING


@pytest.fixture(params=pairs(clients=["openai-chat", "openai-responses", "anthropic", "google-genai"]))
def route(request, upstream):
    client, target = request.param
    return Route(client, TARGETS[target], upstream)


def test_parsed_output(route):
    """The helpers that make a schema of a class and an object of the answer."""
    with route.begin("schema") as session:
        client, model = session.client, session.model
        ask = [{"role": "user", "content": "Ada, 36, English and French. JSON."}]
        if route.client == "openai-chat":
            parsed = client.chat.completions.parse(model=model, messages=ask,
                                                   response_format=Person).choices[0].message.parsed
        elif route.client == "openai-responses":
            parsed = client.responses.parse(model=model, input=ask, text_format=Person).output_parsed
        elif route.client == "anthropic":
            parsed = client.messages.parse(model=model, max_tokens=900, messages=ask,
                                           output_format=Person).parsed_output
        else:
            parsed = client.models.generate_content(model=model, contents=ask[0]["content"], config={
                "response_mime_type": "application/json", "response_schema": Loose}).parsed
    assert parsed.model_dump() == PERSON


def test_langchain_structured_output(upstream):
    for client, target in (("langchain-openai", "anthropic"), ("langchain-anthropic", "gemini"),
                           ("langchain-google-genai", "cohere"),
                           ("langchain-openai", "azure"), ("langchain-anthropic", "anthropic"),
                           ("langchain-google-genai", "gemini"), ("langchain-openai", "bedrock")):
        if (client, target) not in [pair.values[0] for pair in pairs([client], [target])]:
            continue
        with Route(client, TARGETS[target], upstream).begin("schema") as session:
            answer = session.model_object.with_structured_output(Person).invoke("Ada, 36. JSON.")
        assert answer == Person(**PERSON), (client, target)


@gateway_only
def test_streamed_tools_through_the_helper(upstream):
    """`chat.completions.stream` accepts strict tools only and reads every delta."""
    tool = {"type": "function", "function": {"name": "get_weather", "strict": True, "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": False}}}
    for target in ("anthropic", "gemini", "bedrock", "cohere", "openai-responses"):
        with Route("openai-chat", TARGETS[target], upstream).begin("tools") as session:
            with session.client.chat.completions.stream(model=session.model, tools=[tool], messages=[
                    {"role": "user", "content": "Weather?"}]) as stream:
                kinds = [event.type for event in stream]
                message = stream.get_final_completion().choices[0].message
        assert "tool_calls.function.arguments.delta" in kinds and "tool_calls.function.arguments.done" in kinds
        assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Köln"}
