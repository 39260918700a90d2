"""The provider dialects behind the gateway, as the tests and the gateway's configuration both need them.

`python -m vendors.targets TEMPLATE OUT KEY=VALUE...` writes the configuration: `@KEY@` replaced, the providers and
models
of this table put where the template says; it prints the environment for it. `python -m vendors.targets facts` prints
what
the Node tests need to know.
"""

import json
import os
import sys
import urllib.request
from dataclasses import dataclass, field

from . import bedrock, scenarios, serve


@dataclass
class Target:
    name: str                                      # of the provider, and the prefix of its public models
    plain: str                                     # a model family without thinking
    thinking: str = None                           # one that thinks
    # What it cannot do: shown-thinking, image, file, stop, cache-write, reasoning-usage, thinking
    lacks: frozenset = field(default_factory=frozenset)
    # How the thinking of earlier turns comes back to it: signed | text | none
    keeps: str = "none"
    config: dict = None


def base(path):
    return "@REPLAY@/vendors/" + path


# At another address than OpenAI's own, `kind: openai` is any server that speaks its chat API; the API's own chat
# dialect,
# with what only OpenAI has, is Azure's here.
SERVER = {"kind": "openai", "base_url": base("compat/v1"), "api_key": "env:COMPAT_KEY", "api": "chat"}
OPENAI = {"kind": "openai", "api": "responses", "base_url": base("openai/v1"), "api_key": "env:OPENAI_KEY"}
AZURE = {"kind": "azure", "api": "chat", "base_url": base("azure/openai/v1"), "api_key": "env:AZURE_KEY"}
ENTRA = {"kind": "azure", "base_url": base("azure/openai"), "api_version": "2025-04-01-preview", "entra": {
    "tenant_id": serve.ENTRA["tenant_id"], "client_id": serve.ENTRA["client_id"], "client_secret": "env:ENTRA_SECRET",
    "token_url": base("azure/fake-tenant/oauth2/v2.0/token")}}
ANTHROPIC = {"kind": "anthropic", "base_url": base("anthropic/v1"), "api_key": "env:ANTHROPIC_KEY"}
GEMINI = {"kind": "gemini", "base_url": base("gemini/v1beta"), "api_key": "env:GEMINI_KEY"}
VERTEX = {"kind": "vertex", "base_url": base("vertex"), "project": "fake-project", "location": "us-central1",
          "service_account": "file:@SCRATCH@/service-account.json"}
BEDROCK = {"kind": "bedrock", "base_url": base("bedrock"), "region": "us-east-1", "aws": {
    "access_key_id": "env:AWS_KEY_ID", "secret_access_key": "env:AWS_SECRET", "session_token": "env:AWS_SESSION"}}

NO_CACHE_WRITE = frozenset({"cache-write"})
TARGETS = {made.name: made for made in (
    Target("server", "qwen3", "qwen3-thinking", frozenset({"cache-write", "file"}), "text", SERVER),
    Target("openai-responses", "gpt-4o", "gpt-5", frozenset({"stop", "cache-write"}), "signed", OPENAI),
    Target("azure", "gpt-4o", "gpt-5", frozenset({"shown-thinking", "cache-write"}), "none", AZURE),
    Target("azure-dated", "gpt-4o", "gpt-5", frozenset({"shown-thinking", "cache-write"}), "none", ENTRA),
    Target("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929", frozenset(), "signed", ANTHROPIC),
    Target("anthropic-new", "claude-sonnet-5", "claude-sonnet-5", frozenset(), "signed", ANTHROPIC),
    Target("gemini", "gemini-2.5-flash", "gemini-2.5-flash", NO_CACHE_WRITE, "signed", GEMINI),
    Target("gemini-3", "gemini-3-pro-preview", "gemini-3-pro-preview", NO_CACHE_WRITE, "signed", GEMINI),
    Target("vertex", "gemini-2.5-flash", "gemini-2.5-flash", NO_CACHE_WRITE, "signed", VERTEX),
    Target("vertex-claude", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929", frozenset(), "signed", VERTEX),
    Target("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0",
           frozenset({"reasoning-usage"}), "signed", BEDROCK),
    Target("bedrock-key", "amazon.nova-pro-v1:0", None, frozenset({"reasoning-usage", "thinking"}), "none",
           {**{key: value for key, value in BEDROCK.items() if key != "aws"}, "api_key": "env:BEDROCK_KEY"}),
    Target("cohere", "command-a-03-2025", "command-a-reasoning-08-2025",
           frozenset({"file", "cache-write", "reasoning-usage"}), "text",
           {"kind": "cohere", "base_url": base("cohere/v2"), "api_key": "env:COHERE_KEY"}),
    Target("mistral", "mistral-large-latest", "magistral-medium-latest",
           frozenset({"file", "cache-write", "reasoning-usage", "filter"}), "text",
           {"kind": "mistral", "base_url": base("mistral/v1"), "api_key": "env:MISTRAL_KEY"}),
    Target("compat", "deepseek-chat", "deepseek-reasoner", frozenset({"cache-write", "image", "file"}), "text",
           {"kind": "deepseek", "base_url": base("compat/v1"), "api_key": "env:COMPAT_KEY"}),
)}

# A target that a test breaks must not be the next test's: breakers and cool-downs are per target.
BREAKING = ("limited", "overloaded", "broken", "denied", "midstream")


def secrets():
    """The environment that the configuration's `env:` names refer to."""
    keys = {name.upper() + "_KEY": value for name, value in serve.KEYS.items()}
    return {**keys, "ENTRA_SECRET": serve.ENTRA["client_secret"], "AWS_KEY_ID": bedrock.ACCESS,
            "AWS_SECRET": bedrock.SECRET,
            "AWS_SESSION": bedrock.SESSION, "BEDROCK_KEY": bedrock.BEARER}


def rendered(template, values):
    """JSON is YAML: one line an entry."""
    providers, models = [], []
    for target in TARGETS.values():
        providers.append("  %s: %s" % (target.name, json.dumps(target.config)))
        models.append('  "%s/*": { targets: [ { provider: %s, model: "*" } ] }' % (target.name, target.name))
        for fault in BREAKING:
            # Python's and Node's tests count against separate breakers: Node's marks begin with n.
            for mark in ("*", "n*"):
                models.append('  "%s/%s--%s--%s": { targets: [ { provider: %s, model: "%s--%s--%s" } ] }' % (
                    target.name, target.plain, fault, mark, target.name, target.plain, fault, mark))
    text = template.replace("@PROVIDERS@", "\n".join(providers)).replace("@MODELS@", "\n".join(models))
    for key, value in values.items():
        text = text.replace("@%s@" % key, value)
    return text


def main(template, out, *pairs):
    values = dict(pair.split("=", 1) for pair in pairs)
    with open(os.path.join(values["SCRATCH"], "service-account.json"), "w") as file:
        with urllib.request.urlopen(values["REPLAY"] + "/vendors/vertex/service-account.json", timeout=5) as answer:
            file.write(answer.read().decode())
    with open(template) as file:
        text = rendered(file.read(), values)
    with open(out, "w") as file:
        file.write(text)
    # For `env -i`: the caller reads it line by line.
    for name, value in secrets().items():
        print("%s=%s" % (name, value))


def facts():
    rows = [{"name": target.name, "plain": target.plain, "thinking": target.thinking, "lacks": sorted(target.lacks),
             "keeps": target.keeps} for target in TARGETS.values()]
    print(json.dumps({"targets": rows, "keys": serve.KEYS, "greeting": scenarios.GREETING, "thought": scenarios.THOUGHT,
                      "second_thought": scenarios.SECOND_THOUGHT, "person": scenarios.PERSON}))


if __name__ == "__main__":
    facts() if sys.argv[1:] == ["facts"] else main(*sys.argv[1:])
