"""The fake vendors themselves: they take what the vendors took, refuse what the vendors refuse, and their bytes are
read by
the vendors' own SDKs. Straight to them in every run; the gateway has no part in this file."""

import json
import os
import urllib.parse
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import cohere
import pytest

from conftest import CLIENTS, TRANSCRIPTS
from recorded import load
from vendors import anthropic, bedrock, canon, gemini, mistral, openai_chat, openai_responses, serve
from vendors import cohere as fake_cohere
from vendors.scenarios import GREETING
from vendors.shapes import Refused

# Taken by the vendor with 200 all the same: an input guardrail answered it, not the model.
LAXER = {"bedrock/converse-guardrail.json"}


def reader(folder, path):
    """What validates a recorded request, or None for an API that is not faked."""
    if path.endswith("/chat/completions") or "/chat/completions?" in path:
        if folder == "mistral":
            return mistral.read
        return lambda body: openai_chat.read({"model": "gpt-4o", **body},
                                             relaxed=folder not in ("openai-chat", "azure-openai"))
    if "/responses" in path:
        return lambda body: openai_responses.read({**body, "model": body["model"].split("/")[-1]})
    if "/messages" in path:
        return lambda body: anthropic.read(body, "count" if "count_tokens" in path else "chat")
    if "awPredict" in path:
        return lambda body: anthropic.read({"model": "x", **{key: body[key] for key in body
                                                             if key != "anthropic_version"}})
    if "enerateContent" in path or "countTokens" in path:
        model, method = path.split("/models/")[1].split("?")[0].rsplit(":", 1)
        return lambda body: gemini.read(body, model, method, "vertex" == folder)
    if "/converse" in path:
        return lambda body: bedrock.read(body, path.split("/")[2], path.endswith("-stream"))
    return fake_cohere.read if path == "/v2/chat" else None


def recorded_requests():
    for path in sorted(TRANSCRIPTS.glob("*/*.json")) if TRANSCRIPTS.is_dir() else []:
        name = "%s/%s" % (path.parent.name, path.name)
        exchange = json.loads(path.read_text())
        if exchange["request"] and exchange["response"]["status"] == 200 and name not in LAXER:
            found = reader(path.parent.name, urllib.parse.unquote(exchange["request"]["path"]))
            if found:
                yield pytest.param(name, found, id=name)


@pytest.mark.parametrize("name, read", recorded_requests())
def test_recorded_requests_are_taken(name, read, monkeypatch):
    # Signatures of the real vendors are not ours to verify.
    monkeypatch.setattr(canon, "verify", lambda *_: None)
    read(load(name)["request"]["body"])


def bad_requests():
    for dialect, cases in json.loads((CLIENTS / "vendors" / "refused.json").read_text()).items():
        for name, (body, expected) in cases.items():
            yield pytest.param(dialect, body, expected, id="%s:%s" % (dialect, name))


@pytest.mark.parametrize("dialect, body, expected", bad_requests())
def test_bad_requests_are_refused(dialect, body, expected):
    read = {"openai-chat": openai_chat.read, "openai-responses": openai_responses.read, "anthropic": anthropic.read,
            "gemini": lambda body: gemini.read(body, body.pop("model", "gemini-2.5-flash"), "generateContent"),
            "bedrock": lambda body: bedrock.read(body, "m", False), "cohere": fake_cohere.read,
            "mistral": mistral.read}[dialect]
    with pytest.raises(Refused) as raised:
        read(body)
    assert expected in "%s: %s" % (raised.value.path, raised.value.message)


def runtime(**options):
    return boto3.client("bedrock-runtime", endpoint_url=os.environ["REPLAY_URL"] + "/vendors/bedrock", **{
        "region_name": "us-east-1", "aws_access_key_id": bedrock.ACCESS, "aws_secret_access_key": bedrock.SECRET,
        **options},
        config=botocore.config.Config(retries={"max_attempts": 1}))


ASKED = {"modelId": "us.anthropic.claude-sonnet-4-5-20250929-v1:0--text--boto3", "messages": [
    {"role": "user", "content": [{"text": "Hello"}]}]}


@pytest.mark.parametrize("token", [None, bedrock.SESSION], ids=["keys", "session"])
def test_boto3_converse(token, upstream):
    answer = runtime(aws_session_token=token).converse(**ASKED)
    assert answer["output"]["message"]["content"] == [{"text": GREETING}]
    assert answer["usage"]["totalTokens"] == 48
    assert upstream.last("--text--boto3")["auth"] == ("sigv4+session" if token else "sigv4")


def test_boto3_converse_stream():
    events = list(runtime().converse_stream(**ASKED)["stream"])
    assert "".join(event["contentBlockDelta"]["delta"]["text"] for event in events
                   if "contentBlockDelta" in event) == GREETING
    assert [next(iter(event)) for event in events][-2:] == ["messageStop", "metadata"]


def test_boto3_wrong_secret():
    with pytest.raises(botocore.exceptions.ClientError, match="does not match"):
        runtime(aws_secret_access_key="wrong").converse(**ASKED)


def test_boto3_stream_exception():
    asked = {**ASKED, "modelId": "m--midstream--boto3"}
    with pytest.raises(botocore.exceptions.EventStreamError):
        list(runtime().converse_stream(**asked)["stream"])


def test_bearer_key(upstream):
    """By hand: boto3 sends a bearer key over TLS only."""
    request = urllib.request.Request(
        os.environ["REPLAY_URL"] + "/vendors/bedrock/model/m--text--bearer/converse", json.dumps({
            "messages": ASKED["messages"]}).encode(), {"content-type": "application/json",
                                                       "authorization": "Bearer " + bedrock.BEARER})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert json.load(answer)["stopReason"] == "end_turn"
    assert upstream.last("--text--bearer")["auth"] == "bearer"


@pytest.fixture
def direct_cohere():
    return cohere.ClientV2(api_key=serve.KEYS["cohere"], base_url=os.environ["REPLAY_URL"] + "/vendors/cohere")


TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def test_cohere_chat_and_stream(direct_cohere):
    asked = {"model": "command-a-reasoning-08-2025--thinktools--sdk", "tools": [TOOL],
             "messages": [{"role": "user", "content": "Weather?"}]}
    answer = direct_cohere.chat(**asked)
    assert answer.message.tool_calls[0].function.name == "get_weather"
    arguments = ""
    for event in direct_cohere.chat_stream(**asked):
        if event.type == "tool-call-delta":
            arguments += event.delta.message.tool_calls.function.arguments
    assert json.loads(arguments) == {"city": "Köln"}


def test_cohere_rerank_and_embed(direct_cohere):
    ranked = direct_cohere.rerank(model="rerank-v3.5", query="q", documents=["a", "b", "c"], top_n=2)
    assert [item.index for item in ranked.results] == [2, 1]
    embedded = direct_cohere.embed(model="embed-v4.0", input_type="search_query", texts=["a"],
                                   embedding_types=["float"])
    assert len(embedded.embeddings.float_[0]) == 8
