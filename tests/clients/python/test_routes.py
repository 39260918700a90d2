"""What proves who asks, toward each provider; which headers pass; the shapes of Gemini's streams; strictness."""

import json
import os
import urllib.error
import urllib.request
import uuid

import pytest

from conftest import gateway_only
from vendors import serve
from vendors.scenarios import GREETING
from vendors.targets import TARGETS

pytestmark = gateway_only


def post(path, body, **headers):
    """`(status, headers, body)` of raw HTTP, no credential but those given."""
    request = urllib.request.Request(os.environ["CIRQUE_URL"] + path, json.dumps(body).encode(), {
        "content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def model(scenario="text", family="m"):
    return "%s--%s--%s" % (family, scenario, uuid.uuid4().hex[:10])


def ask(target, upstream, **more):
    name = model()
    status, headers, body = post("/v1/chat/completions", {"model": "%s/%s" % (target, name), "messages": [
        {"role": "user", "content": "Hello"}], **more})
    return status, headers, body, upstream.requests(name)


CREDENTIALS = {
    "openai-responses": {"authorization": "Bearer " + serve.KEYS["openai"]}, "azure": {"api-key": serve.KEYS["azure"]},
    "azure-dated": {"authorization": "Bearer " + serve.ENTRA_TOKEN}, "gemini": {"x-goog-api-key": serve.KEYS["gemini"]},
    "cohere": {"authorization": "Bearer " + serve.KEYS["cohere"]},
    "mistral": {"authorization": "Bearer " + serve.KEYS["mistral"]},
}


@pytest.mark.parametrize("target", list(TARGETS))
def test_credentials(target, upstream):
    """Clients' credentials in every place at once; the provider sees its own and nothing else (the fakes check)."""
    name = model()
    status, _, body = post("/v1/chat/completions?key=sk-client-secret",
                           {"model": "%s/%s" % (target, name), "messages": [
        {"role": "user", "content": "Hello"}]}, authorization="Bearer sk-client-secret", x_api_key="sk-client-secret",
        api_key="sk-client-secret", x_goog_api_key="sk-client-secret", cookie="a=sk-client-secret")
    assert status == 200, body
    sent = upstream.last(name)["headers"]
    for header, value in CREDENTIALS.get(target, {}).items():
        assert sent[header] == value


def test_bedrock_signatures_and_keys(upstream):
    """SigV4 with a session token, recomputed by botocore, for streams too; a bearer key elsewhere."""
    assert ask("bedrock", upstream)[3][-1]["auth"] == "sigv4+session"
    assert ask("bedrock", upstream, stream=True)[3][-1]["auth"] == "sigv4+session"
    assert ask("bedrock-key", upstream)[3][-1]["auth"] == "bearer"


@pytest.mark.parametrize("family", ["us.amazon.nova-pro-v1:0", "arn:aws:bedrock:us-east-1:1:inference-profile/x",
                                    "a b+c%20d"])
def test_bedrock_model_names_are_signed_as_sent(family, upstream):
    """Colons, slashes, spaces and percents in the path: where signatures usually break."""
    name = model(family=family)
    status, _, body = post("/v1/chat/completions", {"model": "bedrock/" + name,
                                                    "messages": [{"role": "user", "content": "Hello"}]})
    assert status == 200, body
    assert upstream.last(name)["auth"] == "sigv4+session"


def test_access_tokens_are_fetched_once(upstream):
    for target in ("vertex", "vertex-claude", "azure-dated"):
        for _ in range(3):
            assert ask(target, upstream)[0] == 200
    tokens = [entry for entry in upstream.requests("") if entry["path"].endswith("/token")]
    by_path = [entry["path"] for entry in tokens]
    assert tokens and all(entry["status"] == 200 for entry in tokens)
    # Two Vertex targets share a provider's token; Azure has its own.
    assert len(set(by_path)) == len(by_path) == 2, by_path


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
def test_anthropic_headers_pass(version, upstream):
    name = model()
    status, _, body = post("/v1/messages?beta=true", {"model": "anthropic/" + name, "max_tokens": 9, "messages": [
        {"role": "user", "content": "Hello"}]}, anthropic_version=version, anthropic_beta="a-2025-01-01,b-2025-01-01",
        x_api_key="sk-client-secret")
    assert status == 200, body
    sent = upstream.last(name)["headers"]
    assert (sent["anthropic-version"], sent["anthropic-beta"]) == (version, "a-2025-01-01,b-2025-01-01")


def test_gemini_streams_in_both_shapes():
    path = "/v1beta/models/anthropic/%s:streamGenerateContent" % model()
    body = {"contents": [{"parts": [{"text": "Hello"}]}]}
    _, headers, events = post(path + "?alt=sse&key=x", body)
    chunks = [json.loads(line[5:]) for line in events.splitlines() if line.startswith("data:")]
    assert headers["content-type"].startswith("text/event-stream")
    _, headers, array = post(path + "?key=x", body)
    assert headers["content-type"].startswith("application/json")
    for found in (chunks, json.loads(array)):
        texts = [part.get("text", "") for chunk in found for part in chunk["candidates"][0].get("content",
                {}).get("parts", [])]
        assert "".join(texts) == GREETING and len(found) > 2
        assert [chunk["candidates"][0].get("finishReason") for chunk in found][-1] == "STOP"


@pytest.mark.parametrize("path", ["/v1beta/models/{}:generateContent", "/v1/models/{}:generateContent"])
@pytest.mark.parametrize("escaped", [False, True])
def test_gemini_paths(path, escaped):
    name = "cohere/" + model()
    status, _, body = post(path.format(urllib.request.quote(name, safe="") if escaped else name), {
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}, x_goog_api_key="x")
    assert status == 200 and json.loads(body)["candidates"][0]["content"]["parts"][0]["text"] == GREETING


def test_strict_refuses_what_is_dropped_otherwise(upstream):
    asked = {"messages": [{"role": "user", "content": "Hello"}], "seed": 7, "logit_bias": {"5": 1}}
    status, headers, _ = post("/v1/chat/completions", {"model": "anthropic/" + model(), **asked})
    assert status == 200 and "seed" in headers["x-cirque-dropped"] and "logit_bias" in headers["x-cirque-dropped"]
    name = model()
    status, _, body = post("/v1/chat/completions", {"model": "strict/" + name, **asked})
    assert status == 400 and "seed" in json.loads(body)["error"]["message"] and not upstream.requests(name)


@pytest.mark.parametrize("field", [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"},
                                   {"input": [{"type": "item_reference", "id": "msg_1"}]}])
def test_kept_conversations_are_refused_where_nobody_keeps_them(field, upstream):
    name = model()
    status, _, body = post("/v1/responses", {"model": "gemini/" + name, "input": "Hello", **field})
    assert status == 400 and json.loads(body)["error"]["type"] == "invalid_request_error"
    assert not upstream.requests(name)


ERRORS = {
    "/v1/chat/completions": ({"model": "anthropic/m", "messages": "x"}, {"error"}),
    "/v1/responses": ({"model": "anthropic/m", "input": 5}, {"error"}),
    "/v1/messages": ({"model": "gemini/m", "max_tokens": 9, "messages": [{"role": "user",
                                                                          "content": [{"type": "nonsense"}]}]},
                     {"type", "error", "request_id"}),
    "/v1beta/models/anthropic/m:generateContent": ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png",
            "data": "%%"}}]}]},
                                                   {"error"}),
    "/v1/embeddings": ({"model": "cohere/m", "input": {"a": 1}}, {"error"}),
}


@pytest.mark.parametrize("path", list(ERRORS))
def test_bad_requests_name_the_field_in_the_clients_dialect(path, upstream):
    body, keys = ERRORS[path]
    status, _, text = post(path, body)
    error = json.loads(text)
    assert status == 400 and set(error) == keys, text
    field = {"/v1/chat/completions": "messages", "/v1/responses": "input", "/v1/messages": "messages[0].content[0]",
             "/v1/embeddings": "input"}.get(path, "contents[0].parts[0]")
    assert field.replace("[", ".").replace("]", "") in error["error"]["message"].replace("[", ".").replace("]",
            ""), text
