"""What goes wrong, as each SDK's own exception: the provider's refusal, its limits and outages, our own 400 and 404."""

import pytest

from conftest import DIRECT, gateway_only, nothing_there
from matrix import Route, pairs
from sessions import SESSIONS
from vendors.targets import TARGETS

# Statuses that the gateway answers for what the fake vendor says; straight to the vendor it is the vendor's own.
EXPECTED = {"bad": 400, "gone": 404, "limited": 429, "overloaded": 502, "broken": 502, "denied": 502}
OWN = {"bad": 400, "gone": 404, "limited": 429, "overloaded": (503, 529), "broken": 500, "denied": 401}
# A target's breaker opens after five failures in a row: of the faults that count, each target gets at most three.
NAMES = list(SESSIONS)
SPREAD = [pair for pair in pairs() if DIRECT or (NAMES.index(pair.values[0][0])
                                                 + list(TARGETS).index(pair.values[0][1])) % 3 == 0]


@pytest.fixture
def route(request, upstream):
    client, target = request.param
    return Route(client, TARGETS[target], upstream)


def exception_of(route):
    """`(class of any status error, {status: narrower class}, how to read the status)` of the SDK."""
    if route.client in ("openai-chat", "openai-responses", "langchain-openai"):
        import openai as sdk
    elif route.client in ("anthropic", "langchain-anthropic"):
        import anthropic as sdk
    elif route.client in ("google-genai", "langchain-google-genai"):
        from google.genai import errors
        # LangChain wraps it and keeps it as the cause.
        return errors.APIError, {400: errors.ClientError, 404: errors.ClientError, 429: errors.ClientError,
                                 500: errors.ServerError, 502: errors.ServerError, 503: errors.ServerError}, "code"
    else:
        from mistralai.client import errors
        return errors.MistralError, {}, "status_code"
    return sdk.APIStatusError, {400: sdk.BadRequestError, 401: sdk.AuthenticationError, 404: sdk.NotFoundError,
                                429: sdk.RateLimitError, 500: sdk.InternalServerError, 502: sdk.InternalServerError,
                                503: sdk.InternalServerError}, "status_code"


def raised_by(route, session):
    base, narrower, status = exception_of(route)
    with pytest.raises(Exception) as caught:
        session.say("Hello")
    error = caught.value
    while not isinstance(error, base) and error.__cause__ is not None:
        error = error.__cause__
    assert isinstance(error, base), repr(caught.value)
    code = getattr(error, status)
    if code in narrower:
        assert isinstance(error, narrower[code])
    return code, error


@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize("fault", ["bad", "gone"])
@pytest.mark.parametrize("route", pairs(), indirect=True)
def test_the_provider_refuses(route, fault, stream):
    with route.begin(fault, stream) as session:
        code, error = raised_by(route, session)
    assert code == EXPECTED[fault]
    # The vendor's words help to mend the request; its raw body stays behind.
    assert "scripted" in str(error) and "x-amzn" not in str(error)


@pytest.mark.parametrize("fault", ["limited", "overloaded", "broken", "denied"])
@pytest.mark.parametrize("route", SPREAD, indirect=True)
def test_the_provider_cannot(route, fault):
    with route.begin(fault) as session:
        code, error = raised_by(route, session)
    expected = (OWN if DIRECT else EXPECTED)[fault]
    assert code in (expected if isinstance(expected, tuple) else (expected,))
    if fault == "denied" and not DIRECT:
        assert "fake" not in str(error), "our credential is nobody's business"


@pytest.mark.parametrize("route", SPREAD, indirect=True)
def test_the_provider_fails_inside_a_stream(route):
    with route.begin("midstream", True) as session:
        with pytest.raises(Exception) as caught:
            session.say("Hello")
    assert not isinstance(caught.value, AssertionError) or route.client == "google-genai"


@gateway_only
@pytest.mark.parametrize("route", pairs(providers=["azure"]), indirect=True)
def test_unknown_model(route):
    with route.sdk(route.address()[0], "no-such-model", False) as session:
        code, error = raised_by(route, session)
    assert code == 404 and "no-such-model" in str(error)


@gateway_only
@pytest.mark.parametrize("route", pairs(clients=["openai-chat", "openai-responses", "anthropic", "google-genai"],
                                        providers=["anthropic", "gemini", "bedrock", "cohere"]), indirect=True)
def test_our_own_refusals_come_in_the_clients_dialect(route):
    """A tool result without its call: no provider would take it, and the provider is not asked."""
    import types
    if (route.client, route.provider.name) in (("anthropic", "anthropic"), ("google-genai", "gemini")):
        nothing_there("its own dialect passes unread")
    orphan = types.SimpleNamespace(id="call_nobody", name="get_weather")
    with route.begin("text", tools=[{"name": "get_weather", "description": "Weather", "parameters": {
            "type": "object", "properties": {}}}]) as session:
        base, narrower, status = exception_of(route)
        with pytest.raises(base) as caught:
            session.answer((orphan, "21 °C"))
        assert getattr(caught.value, status) == 400 and not session.log()
