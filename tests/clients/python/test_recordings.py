"""Byte for byte: every recorded exchange of the OpenAI family, sent as recorded, over a bare HTTP connection.

The SDK objects of the other files could hide a changed space, key order or number spelling; these cannot.
"""

import http.client
import json
import os
import pathlib
import re
import urllib.parse

import pytest

import replay_upstream
from conftest import DIRECT, SHARED, TRANSCRIPTS, exchange

FAMILIES = ["openai-chat", "openai-completions", "openai-embeddings", "groq", "deepseek", "mistral", "openrouter",
            "xai"]
OPERATIONS = ("/chat/completions", "/completions", "/embeddings")


def operation(name):
    """The path the gateway serves this exchange under, or None for another API."""
    request = exchange(name)["request"]
    path = urllib.parse.urlsplit(request["path"]).path if request else ""
    for tail in OPERATIONS:
        if path.endswith(tail):
            return "/v1" + tail
    return None


def every_exchange():
    names = ["fixture/" + path.stem for path in (replay_upstream.HERE / "fixtures").glob("*.json")]
    for family in FAMILIES:
        names += ["replay/%s/%s" % (family, path.stem) for path in (TRANSCRIPTS / family).glob("*.json")]
    # A 401 is the gateway's own credential refused: test_errors.py.
    return sorted(name for name in names if operation(name) and exchange(name)["response"]["status"] != 401)


def post(path, raw):
    url = urllib.parse.urlsplit(os.environ["CIRQUE_URL"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=15)
    try:
        connection.request("POST", path, raw, {"content-type": "application/json", "authorization": "Bearer sk-client"})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def spelled(body):
    """A request no serializer would write: odd spaces, a number in its own spelling, an escaped character."""
    text = json.dumps(body, indent=3, ensure_ascii=True, separators=(" ,", ":  "))
    return ('{ "zz_number": 1.50e+1,\t"zz_escape": "\\u0041\\/",' + text.lstrip()[1:]).encode()


@pytest.mark.parametrize("name", every_exchange())
def test_bytes_survive(upstream, name):
    recorded = exchange(name)
    body = dict(recorded["request"]["body"], model=name)
    raw = spelled(body)
    status, got, headers = post(operation(name), raw)
    response = recorded["response"]
    assert status == response["status"], got[:500]
    if "sse" in response:
        assert headers["content-type"].startswith("text/event-stream")
        assert got == replay_upstream.stream_bytes(recorded, replay_upstream.wants_usage(body))
    elif status == 429 and not DIRECT:
        # A rate limit is the gateway's to tell: it may stand for several targets.
        assert set(json.loads(got)["error"]) == {"message", "type", "param", "code"}
    else:
        assert got == replay_upstream.dump(response["body"])
    if not DIRECT:
        sent_model = name.removeprefix("replay/")
        sent = upstream.last(sent_model)["body"].encode()
        assert without_injected_usage(sent, body) == raw.replace(json.dumps(name).encode(),
                                                                 json.dumps(sent_model).encode(), 1)


def without_injected_usage(sent, body):
    """Takes out the one thing the gateway may add to a stream's request; where it stands is not prescribed."""
    if not body.get("stream") or replay_upstream.wants_usage(body):
        return sent
    stripped, count = re.subn(rb',?"stream_options":\s*\{\s*"include_usage":\s*true\s*\},?', injected, sent)
    assert count == 1, "include_usage was not asked for upstream"
    return stripped


def injected(match):
    """A member between two others leaves one comma behind; at either end none."""
    return b"," if match[0].startswith(b",") and match[0].endswith(b",") else b""


def test_the_recordings_are_here():
    """One visible skip instead of a silently shorter run."""
    if not TRANSCRIPTS.is_dir():
        pytest.skip("no recordings at %s: only the fixtures were replayed" % pathlib.Path(SHARED))
