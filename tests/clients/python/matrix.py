"""Which SDK meets which provider, and what each provider is to a test.

A provider here is a row of ../vendors/targets.py. With `run.sh --direct` an SDK meets the fake vendor of its own
dialect.
"""

import os
import uuid
from dataclasses import dataclass

import pytest

from conftest import DIRECT, nothing_there
from sessions import SESSIONS
from vendors.serve import KEYS
from vendors.targets import TARGETS, Target


# The fake vendor that speaks the SDK's own dialect: `--direct` runs only these pairs.
OWN = {"openai-chat": ("azure", "openai"), "openai-responses": ("openai-responses", "openai"),
       "anthropic": ("anthropic", "anthropic"), "google-genai": ("gemini", "gemini"),
       "mistralai": ("mistral", "mistral"),
       "langchain-openai": ("azure", "openai"), "langchain-anthropic": ("anthropic", "anthropic"),
       "langchain-google-genai": ("gemini", "gemini")}


@dataclass
class Route:
    """An SDK and a provider, and how to begin a dialogue between them."""

    client: str
    provider: Target
    upstream: object

    @property
    def sdk(self):
        return SESSIONS[self.client]

    def name(self, scenario, thinking=False):
        """`(public name, upstream name)` of a model of this test's own."""
        family = self.provider.thinking if thinking else self.provider.plain
        model = "%s--%s--%s" % (family, scenario, uuid.uuid4().hex[:10])
        return (model if DIRECT else "%s/%s" % (self.provider.name, model)), model

    def begin(self, scenario, stream=False, **asked):
        public, model = self.name(scenario, asked.get("thinking", False))
        url, key = self.address()
        if asked.get("thinking") and self.provider.name == "anthropic-new":
            asked["thinking"] = "adaptive"
        session = self.sdk(url, public, stream, **key, **asked)
        session.seen = lambda: [entry["seen"] for entry in self.upstream.requests(model)]
        session.log = lambda: self.upstream.requests(model)
        return session

    def address(self):
        if DIRECT:
            vendor = OWN[self.client][1]
            return "%s/vendors/%s" % (os.environ["REPLAY_URL"], vendor), {"key": KEYS[vendor]}
        return os.environ["CIRQUE_URL"], {}

    def lacks(self, feature):
        return feature in self.sdk.lacks or feature in self.provider.lacks

    def need_history(self):
        """Mistral's SDK puts `prefix` and `index` into every message it sends, and OpenAI's own API gets what it
        sends."""
        if self.client == "mistralai" and self.provider.name in ("server", "azure", "azure-dated",
                                                                 "compat") and not DIRECT:
            nothing_there("the SDK's own fields in earlier messages are not OpenAI's")

    def need_tools(self, stream):
        self.need_history()
        if stream:
            self.need("stream-tools")

    def need(self, *features):
        for feature in features:
            if self.lacks(feature):
                nothing_there("no %s with %s and %s" % (feature, self.client, self.provider.name))
        if "thinking" in features and not self.provider.thinking:
            nothing_there("%s does not think" % self.provider.name)


def pairs(clients=None, providers=None):
    """Every pair that this run can make."""
    chosen = []
    for client in clients or SESSIONS:
        for provider in providers or TARGETS:
            if not DIRECT or OWN[client][0] == provider:
                chosen.append(pytest.param((client, provider), id="%s>%s" % (client, provider)))
    return chosen
