"""Every recorded answer of every provider, as every SDK reads it: the same text, the same calls, nothing raised."""

import pytest

from conftest import DIRECT
from matrix import OWN, Route
from recorded import exchanges, is_stream, said
from vendors.targets import TARGETS

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "google-genai")
# Content of another API than chat, or an answer that has none: what is left of it is the golden tests' matter.
CASES = [pytest.param(client, name, target, response, id="%s<%s" % (client, name))
         for name, target, response in exchanges() for client in CLIENTS if not DIRECT or OWN[client][0] == target]


@pytest.mark.parametrize("client, name, target, response", CASES)
def test_recorded_answer(client, name, target, response, upstream):
    text, calls = said(target, response)
    with Route(client, TARGETS[target], upstream).begin(name, is_stream(response)) as session:
        reply = session.say("Hello")
    assert reply.text == text
    assert [(call.name, call.args) for call in reply.calls] == calls
    assert reply.usage.output is not None
