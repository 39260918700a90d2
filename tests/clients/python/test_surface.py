"""The rest of the API surface and its headers: embeddings, moderations, completions, models, what goes upstream."""

import asyncio
import base64
import json
import struct

import openai
import pytest

from conftest import ASK, exchange, gateway_only, plain, recorded_chunks

ANSWER = exchange("fixture/text")["response"]["body"]


def test_embeddings_float(client):
    answer = client.embeddings.create(model="fixture/embeddings", input=["a", "b"], encoding_format="float")
    assert [item.embedding for item in answer.data] == [[0.5, -0.25, 0.125, 0.0], [0.5, -0.25, 0.125, 1.0]]
    assert answer.usage.total_tokens == 2


def test_embeddings_base64_is_what_the_sdk_asks_for_by_itself(client, upstream):
    answer = client.embeddings.create(model="fixture/embeddings", input=["a", "b"])
    assert [item.embedding for item in answer.data] == [[0.5, -0.25, 0.125, 0.0], [0.5, -0.25, 0.125, 1.0]]
    assert json.loads(upstream.last("fixture/embeddings")["body"])["encoding_format"] == "base64"


def test_recorded_embeddings(client):
    name = "replay/openai-embeddings/base64"
    body = exchange(name)["response"]["body"]
    answer = client.embeddings.create(model=name, input="x")
    expected = []
    for item in body["data"]:
        raw = base64.b64decode(item["embedding"])
        expected.append(list(struct.unpack("<%df" % (len(raw) // 4), raw)))
    assert [item.embedding for item in answer.data] == expected


def test_async_embeddings(aclient):
    async def run():
        async with aclient:
            return await aclient.embeddings.create(model="fixture/embeddings", input=["a", "b"])

    assert len(asyncio.run(run()).data) == 2


def test_moderations(client):
    answer = client.moderations.create(model="fixture/moderation", input="x")
    assert answer.results[0].flagged and answer.results[0].category_scores.violence == 0.91


@pytest.mark.parametrize("model", ["fixture/completion", "replay/openai-completions/token-batch"])
def test_legacy_completion(client, model):
    body = exchange(model)["response"]["body"]
    assert plain(client.completions.create(model=model, prompt="Once")) == body


@pytest.mark.parametrize("model", ["fixture/completion-stream", "replay/openai-completions/stream"])
def test_legacy_completion_stream(client, model):
    expected = recorded_chunks(model, False)
    chunks = client.completions.create(model=model, prompt="Once", stream=True)
    assert [plain(chunk) for chunk in chunks] == expected


def test_models_are_listed(client):
    listed = {model.id: model for model in client.models.list()}
    assert {"demo", "fixture-text"} <= set(listed)
    assert all(model.object == "model" and isinstance(model.created, int) for model in listed.values())


@gateway_only
def test_models_without_a_provider_are_not_listed(client):
    assert "left-out" not in {model.id for model in client.models.list()}


def test_a_model_is_retrieved(client):
    assert client.models.retrieve("demo").id == "demo"


@gateway_only
def test_a_model_with_a_slash_is_retrieved(client):
    assert client.models.retrieve("over/dead").id == "over/dead"


def test_an_unknown_model_is_not_retrieved(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("no-such-model")
    assert raised.value.body["code"] == "model_not_found"


@gateway_only
def test_aliases(client):
    raw = client.chat.completions.with_raw_response.create(model="fixture-alias", messages=ASK)
    assert plain(raw.parse()) == ANSWER
    assert raw.headers["x-cirque-model"] == "fixture-text"


@gateway_only
@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
def test_response_headers(client, stream):
    raw = client.chat.completions.with_raw_response.create(model="fixture-text", messages=ASK, stream=stream)
    headers = raw.headers
    assert headers["x-request-id"] and headers["x-cirque-model"] == "fixture-text"
    assert "replay" in headers["x-cirque-target"] and headers["x-cirque-attempts"] == "1"
    assert headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    if not stream:
        assert raw.parse()._request_id == headers["x-request-id"]


@gateway_only
def test_errors_carry_a_request_id_too(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="no-such-model", messages=ASK)
    assert raised.value.request_id


@gateway_only
def test_the_clients_request_id_is_kept_when_it_is_sane(client):
    create = client.chat.completions.with_raw_response.create
    kept = create(model="fixture-text", messages=ASK, extra_headers={"x-request-id": "order-42.a_b"})
    assert kept.headers["x-request-id"] == "order-42.a_b"
    wild = create(model="fixture-text", messages=ASK, extra_headers={"x-request-id": "a b\"<script>" + "x" * 500})
    assert "<script>" not in wild.headers["x-request-id"]


@gateway_only
def test_client_credentials_and_cookies_do_not_go_upstream(client, upstream):
    client.chat.completions.create(model="fixture/text", messages=ASK, extra_headers={
        "cookie": "session=1", "x-api-key": "sk-client-2", "api-key": "sk-client-3", "x-goog-api-key": "sk-client-4",
        "x-forwarded-for": "10.0.0.1", "x-cirque-metadata": "{}"})
    sent = upstream.last("fixture/text")["headers"]
    assert sent["authorization"] == "Bearer sk-replay"
    assert "sk-client" not in json.dumps(sent)
    assert not {"cookie", "x-api-key", "api-key", "x-goog-api-key", "x-forwarded-for", "x-cirque-metadata"} & set(sent)


def test_unknown_fields_survive_both_ways(client, upstream):
    """The SDK's `extra_body`, and a field of the answer the SDK does not know."""
    odd = {"x_private": {"b": 1, "a": [1.0, 1e-7, None]}, "zzz": "ü"}
    answer = client.chat.completions.create(model="fixture/text", messages=ASK, extra_body=odd)
    sent = json.loads(upstream.last("fixture/text")["body"])
    assert {key: sent[key] for key in odd} == odd
    assert answer.model_extra["x_unknown_field"] == {"kept": 1e-07}


def test_large_request(client, upstream):
    """5 MB of prompt, more than any fixed buffer on the way."""
    text = "0123456789abcdef" * (5 * 65536)
    client.chat.completions.create(model="fixture/text", messages=[{"role": "user", "content": text}])
    assert json.loads(upstream.last("fixture/text")["body"])["messages"][0]["content"] == text
