"""From an HTTP request below `/vendors/<dialect>` to that vendor's response. Pure: the sockets are
replay_upstream.py's."""

import json
import urllib.parse

from . import anthropic, bedrock, canon, cohere, gemini, mistral, openai_chat, openai_responses, scenarios, vertex
from .canon import Request, Response
from .shapes import Refused

KEYS = {"openai": "sk-fake-openai", "azure": "fake-azure-key", "anthropic": "sk-ant-fake", "gemini": "AIza-fake-gemini",
        "cohere": "fake-cohere-key", "mistral": "fake-mistral-key", "compat": "fake-compat-key"}
ENTRA = {"tenant_id": "fake-tenant", "client_id": "fake-client", "client_secret": "fake-entra-secret"}
ENTRA_TOKEN = "fake.entra.token"


def handle(method, target, headers, raw, shared):
    """`(log fields, Response)`; never raises for what a client may send."""
    path, _, query = target.partition("?")
    _, _, dialect, *rest = path.split("/")
    request = Request(method, target, "/" + "/".join(rest), dict(urllib.parse.parse_qsl(query, keep_blank_values=True)),
                      headers, raw, shared=shared)
    vendor = VENDORS.get(dialect)
    known = {"vendor": dialect, "model": "", "seen": None}
    if vendor is None:
        return known, Response(404, {"error": "no such fake vendor: %s" % dialect})
    try:
        response = vendor(request, known)
    except Refused as refused:
        response = refusal(dialect, request, refused)
        known["refused"] = "%s: %s" % (refused.path, refused.message)
    except Exception as error:
        # A fault of the fake: said aloud, or it would look like a closed connection.
        known["refused"] = "fake vendor failed: %r" % error
        response = Response(500, {"error": known["refused"]})
    known["seen"] = known["seen"] or response.seen
    return known, response


def refusal(dialect, request, refused):
    if dialect == "mistral" and refused.status == 400 and refused.kind is None:
        refused.status = 422
    words = {"anthropic": anthropic, "gemini": gemini, "vertex": gemini, "bedrock": bedrock, "cohere": cohere,
             "mistral": mistral}.get(dialect, openai_chat)
    if dialect == "vertex" and "/anthropic/" in request.path:
        words = anthropic
    status, headers = refused.status, {}
    if refused.kind == "rate":
        headers["retry-after"] = "2"
    if refused.kind == "overloaded" and words is anthropic:
        status = 529
    if words is bedrock:
        headers.update(bedrock.error_headers(refused))
    return Response(status, words.error(refused), headers=headers)


def body_of(request, known, model=None):
    kind = request.headers.get("content-type", "").split(";")[0]
    if kind != "application/json":
        raise Refused("content-type must be application/json, not %r" % kind)
    try:
        request.body = json.loads(request.raw)
    except ValueError:
        raise Refused("We could not parse the JSON body of your request.") from None
    if not isinstance(request.body, dict):
        raise Refused("the body must be an object")
    known["model"] = model if model is not None else request.body.get("model", "")
    if not isinstance(known["model"], str):
        raise Refused("must be a string", "model")
    return request.body


def conversation(known, seen, module, shared, **how):
    """The scenario's answer through `module.reply` or `module.stream`."""
    seen["scenario"] = scenarios.name_of(seen["model"])
    known["seen"] = seen
    found = scenarios.fault(seen["scenario"])
    if found:
        raise found
    recorded = scenarios.recording(seen["model"], shared)
    if recorded:
        return scenarios.replayed(recorded, seen["stream"])
    answer = scenarios.answer(seen)
    response = (module.stream if seen["stream"] else module.reply)(answer, seen, **how)
    if seen["scenario"] == "slow":
        response.pause = scenarios.PAUSE
    return response


def models(names, shape):
    if shape == "anthropic":
        return Response(body={"data": [{"type": "model", "id": name, "display_name": name,
                                        "created_at": "2025-01-01T00:00:00Z"}
                                       for name in names], "has_more": False, "first_id": names[0],
                                       "last_id": names[-1]})
    if shape == "gemini":
        return Response(body={"models": [{"name": "models/" + name, "version": "1", "displayName": name,
                                          "supportedGenerationMethods": ["generateContent"]} for name in names]})
    return Response(body={"object": "list", "data": [{"id": name, "object": "model", "created": 1700000000,
                                                      "owned_by": "fake"}
                                                     for name in names]})


def openai_operations(request, known, path, model=None, dialect="openai"):
    if path == "/models" and request.method == "GET":
        return models(["gpt-4o--text", "gpt-5--text"], "openai")
    body = body_of(request, known)
    if model is not None:
        # Azure's deployment paths: the path names the deployment, a model in the body is tolerated.
        body = {**body, "model": model}
        known["model"] = model
    if path == "/chat/completions":
        return conversation(known, openai_chat.read(body, dialect + "-chat"), openai_chat, request.shared)
    if path == "/responses":
        return conversation(known, openai_responses.read(body, dialect + "-responses"), openai_responses,
                            request.shared)
    if path == "/embeddings":
        return openai_chat.embeddings(body, request)
    raise Refused("Invalid URL (%s %s)" % (request.method, request.path), status=404, kind="model")


def openai(request, known):
    canon.credentials(request, "authorization", "Bearer " + KEYS["openai"])
    if not request.path.startswith("/v1/"):
        raise Refused("Invalid URL (%s %s)" % (request.method, request.path), status=404, kind="model")
    return openai_operations(request, known, request.path.removeprefix("/v1"))


def azure(request, known):
    if request.path.endswith("/oauth2/v2.0/token"):
        return entra(request)
    if "authorization" in request.headers:
        canon.credentials(request, "authorization", "Bearer " + ENTRA_TOKEN)
    else:
        canon.credentials(request, "api-key", KEYS["azure"])
    version = request.query.get("api-version")
    if request.path.startswith("/openai/v1/"):
        if version not in (None, "preview", "latest", "v1"):
            raise Refused("api-version %r is not for the v1 surface" % version, status=404, kind="model")
        return openai_operations(request, known, request.path.removeprefix("/openai/v1"), dialect="azure")
    if request.path == "/openai/responses" and version and version >= "2025-03":
        return openai_operations(request, known, "/responses", dialect="azure")
    parts = request.path.split("/")
    if parts[1:3] != ["openai", "deployments"] or len(parts) < 5:
        raise Refused("Resource not found", status=404, kind="model")
    if not version or not version[:4].isdigit():
        raise Refused("Missing required query parameter: api-version", status=404, kind="model")
    path = "/" + "/".join(parts[4:])
    return openai_operations(request, known, path, urllib.parse.unquote(parts[3]), "azure")


def entra(request):
    form = dict(urllib.parse.parse_qsl(request.raw.decode("latin-1")))
    wanted = {"grant_type": "client_credentials", "client_id": ENTRA["client_id"],
              "client_secret": ENTRA["client_secret"],
              "scope": "https://cognitiveservices.azure.com/.default"}
    if form != wanted or ENTRA["tenant_id"] not in request.path:
        return Response(401, {"error": "invalid_client", "error_description": "AADSTS7000215: %s" % sorted(form)})
    return Response(body={"token_type": "Bearer", "expires_in": 3599, "access_token": ENTRA_TOKEN},
                    seen=canon.seen("azure", "token", model="token"))


def anthropic_api(request, known):
    # The vendor's SDK 2 sends its key as a bearer token, everybody else in x-api-key.
    if "authorization" in request.headers:
        canon.credentials(request, "authorization", "Bearer " + KEYS["anthropic"])
    else:
        canon.credentials(request, "x-api-key", KEYS["anthropic"])
    version = request.headers.get("anthropic-version")
    if version not in anthropic.VERSIONS:
        raise Refused("anthropic-version: header is required")
    if request.path == "/v1/models":
        return models(["claude-sonnet-4-5--text"], "anthropic")
    body = body_of(request, known)
    if request.path == "/v1/messages/count_tokens":
        return Response(body={"input_tokens": 42}, seen=anthropic.read(body, "count", version=version))
    if request.path != "/v1/messages":
        raise Refused("Not Found", status=404, kind="model")
    return conversation(known, anthropic.read(body, version=version), anthropic, request.shared)


def gemini_methods(request, known, model, method, is_vertex):
    body = body_of(request, known, model)
    if method == "countTokens":
        return Response(seen=gemini.read(body, model, method, is_vertex),
                        body={"totalTokens": 42, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 42}]})
    if method in ("embedContent", "batchEmbedContents"):
        return gemini.embed(body, model, method)
    if method not in ("generateContent", "streamGenerateContent"):
        raise Refused("no method %s" % method, status=404, kind="model")
    how = {"as_sse": request.query.get("alt") == "sse"} if method.startswith("stream") else {}
    seen = gemini.read(body, model, method, is_vertex)
    return conversation(known, seen, gemini, request.shared, **how)


def gemini_api(request, known):
    if "key" in request.query:
        request.headers = {**request.headers, "x-goog-api-key": request.query["key"]}
    canon.credentials(request, "x-goog-api-key", KEYS["gemini"])
    version, _, rest = request.path.strip("/").partition("/")
    if version not in ("v1", "v1beta") or not rest.startswith("models"):
        raise Refused("no such path %s" % request.path, status=404, kind="model")
    if rest == "models":
        return models(["gemini-2.5-flash--text"], "gemini")
    model, _, method = urllib.parse.unquote(rest.removeprefix("models/")).rpartition(":")
    return gemini_methods(request, known, model, method, False)


def vertex_api(request, known):
    if request.path == "/token":
        return vertex.token(request, "http://%s/vendors/vertex/token" % request.headers.get("host"))
    if request.path == "/service-account.json":
        return Response(body=vertex.service_account("http://%s/vendors/vertex/token" % request.headers.get("host")))
    vertex.authorized(request)
    publisher, model, method = vertex.split(request.path)
    if publisher == "google":
        return gemini_methods(request, known, model, method, True)
    body = body_of(request, known, model)
    if publisher != "anthropic" or method not in ("rawPredict", "streamRawPredict"):
        raise Refused("no method %s of %s" % (method, publisher), status=404, kind="model")
    if body.get("anthropic_version") != "vertex-2023-10-16":
        raise Refused("anthropic_version: Field required")
    if "model" in body and model != "count-tokens":
        raise Refused("Extra inputs are not permitted", "model", unknown=True)
    body = {key: value for key, value in body.items() if key not in ("anthropic_version", "anthropic_beta")}
    if model == "count-tokens":
        return Response(body={"input_tokens": 42}, seen=anthropic.read(body, "count", "vertex-claude"))
    seen = anthropic.read({**body, "model": model}, dialect="vertex-claude")
    if seen["stream"] != (method == "streamRawPredict"):
        raise Refused("stream does not fit the method %s" % method, "stream")
    return conversation(known, seen, anthropic, request.shared)


def bedrock_api(request, known):
    known["auth"] = bedrock.authorized(request, request.headers.get("host", ""))
    parts = request.path.split("/")
    if len(parts) != 4 or parts[1] != "model" or parts[3] not in ("converse", "converse-stream", "count-tokens"):
        raise Refused("no such operation %s" % request.path, status=404, kind="model")
    model = bedrock.model_of(parts[2])
    body = body_of(request, known, model)
    if parts[3] == "count-tokens":
        bedrock.check(body, {"input": {"converse": dict}})
        return Response(body={"inputTokens": 42}, seen=bedrock.read(body["input"]["converse"], model, False))
    return conversation(known, bedrock.read(body, model, parts[3] == "converse-stream"), bedrock, request.shared)


def cohere_api(request, known):
    canon.credentials(request, "authorization", "Bearer " + KEYS["cohere"])
    body = body_of(request, known)
    if request.path == "/v2/embed":
        return cohere.embed(body)
    if request.path == "/v2/rerank":
        return cohere.rerank(body)
    if request.path != "/v2/chat":
        raise Refused("no such path", status=404, kind="model")
    return conversation(known, cohere.read(body), cohere, request.shared)


def mistral_api(request, known):
    canon.credentials(request, "authorization", "Bearer " + KEYS["mistral"])
    body = body_of(request, known)
    if request.path == "/v1/embeddings":
        return openai_chat.embeddings({key: value for key, value in body.items() if key != "output_dtype"}, request)
    if request.path != "/v1/chat/completions":
        raise Refused("no such path", status=404, kind="model")
    return conversation(known, mistral.read(body), mistral, request.shared)


def compat_api(request, known):
    """A compatible vendor that shows its reasoning as DeepSeek does; whatever the path's beginning."""
    canon.credentials(request, "authorization", "Bearer " + KEYS["compat"])
    if not request.path.endswith("/chat/completions"):
        raise Refused("no such path", status=404, kind="model")
    seen = openai_chat.read(body_of(request, known), "compat", relaxed=True)
    return conversation(known, seen, openai_chat, request.shared, thoughts=True)


VENDORS = {"openai": openai, "azure": azure, "anthropic": anthropic_api, "gemini": gemini_api, "vertex": vertex_api,
           "bedrock": bedrock_api, "cohere": cohere_api, "mistral": mistral_api, "compat": compat_api}
