"""Failures as the Python SDK sees them: the exception class, the error body, retries, headers."""

import time

import openai
import pytest

from conftest import ASK, DIRECT, exchange, gateway_only, nothing_there

KEYS = {"message", "type", "param", "code"}


def create(client, model, **more):
    return client.chat.completions.create(model=model, messages=ASK, **more)


def body_of(raised, kind=None, code=None):
    """The error object, all four keys there."""
    error = raised.value.body
    assert set(error) == KEYS, error
    if kind is not None:
        assert (error["type"], error["code"]) == (kind, code)
    return error


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as raised:
        create(client, "no-such-model")
    assert "no-such-model" in body_of(raised, "invalid_request_error", "model_not_found")["message"]


@gateway_only
def test_unknown_model_names_near_ones(client):
    with pytest.raises(openai.NotFoundError) as raised:
        create(client, "demmo")
    assert "demo" in body_of(raised)["message"].replace("demmo", "")


@gateway_only
def test_a_model_whose_provider_is_left_out_is_unknown(client):
    with pytest.raises(openai.NotFoundError):
        create(client, "left-out")


@pytest.mark.parametrize("model", ["fixture/error-400", "replay/openai-chat/error-400-bad-request"])
def test_bad_request_is_passed_on(client, model):
    recorded = exchange(model)["response"]["body"]["error"]
    with pytest.raises(openai.BadRequestError) as raised:
        create(client, model, max_tokens=1)
    assert raised.value.body == recorded
    assert raised.value.code == "unsupported_parameter" and raised.value.param == "max_tokens"


@pytest.mark.parametrize("case, status", [("413", 413), ("422", 422)])
def test_other_client_errors_are_passed_on(client, unique, case, status):
    with pytest.raises(openai.APIStatusError) as raised:
        create(client, unique(case))
    assert raised.value.status_code == status
    body_of(raised)


@gateway_only
@pytest.mark.parametrize("more, word", [({"model": 7}, "model"), ({"model": ""}, "model"),
                                        ({"stream": "yes"}, "stream"), ({"stream_options": 1}, "stream_options")])
def test_wrong_types_are_named(client, more, word):
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", cast_to=object, body={"model": "demo", "messages": ASK, **more})
    assert word in body_of(raised)["message"]


def test_rate_limit(client, unique):
    with pytest.raises(openai.RateLimitError) as raised:
        create(client, unique("429"))
    assert raised.value.status_code == 429
    assert int(raised.value.response.headers["retry-after"]) >= 1
    body_of(raised)


def test_rate_limit_is_retried_after_the_time_given(client, upstream, unique):
    model, begun = unique("429-then-ok"), time.monotonic()
    answer = create(client.with_options(max_retries=2), model)
    assert answer.choices[0].message.content
    assert time.monotonic() - begun >= 0.9
    assert len(upstream.requests(model)) == 2


def test_server_error(client, unique):
    with pytest.raises(openai.InternalServerError) as raised:
        create(client, unique("500"))
    assert raised.value.status_code == (500 if DIRECT else 502)
    if not DIRECT:
        body_of(raised, "upstream_error", "provider_error")


def test_server_error_is_retried_by_the_sdk(client, upstream, unique):
    model = unique("500-then-ok")
    assert create(client.with_options(max_retries=2), model).choices[0].message.content
    assert len(upstream.requests(model)) == 2


def test_no_retries_means_one_upstream_request(client, upstream, unique):
    model = unique("500")
    with pytest.raises(openai.InternalServerError):
        create(client, model)
    assert len(upstream.requests(model)) == 1


@gateway_only
def test_garbage_is_a_bad_gateway_and_never_shown(client, unique):
    with pytest.raises(openai.InternalServerError) as raised:
        create(client, unique("garbage"))
    assert raised.value.status_code == 502
    body_of(raised, "upstream_error", "provider_bad_response")
    assert "leaked-secret" not in raised.value.response.text and "<html" not in raised.value.response.text


@gateway_only
def test_our_credential_refused_is_our_failure(client, unique):
    with pytest.raises(openai.InternalServerError) as raised:
        create(client, unique("401"))
    assert raised.value.status_code == 502
    body_of(raised, "upstream_error", "provider_auth_failed")
    assert "sk-" not in raised.value.response.text


@gateway_only
def test_nothing_listens_upstream(client):
    with pytest.raises(openai.InternalServerError) as raised:
        create(client, "only/dead")
    assert raised.value.status_code in (502, 503)
    assert body_of(raised)["type"] == "upstream_error"


@gateway_only
def test_first_byte_deadline(client):
    begun = time.monotonic()
    with pytest.raises(openai.InternalServerError) as raised:
        create(client, "only/hang")
    assert raised.value.status_code == 504
    body_of(raised, "upstream_error", "provider_timeout")
    assert 0.9 < time.monotonic() - begun < 4


@gateway_only
@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize("model", ["over/dead", "over/500", "over/empty"])
def test_fallback_answers(client, model, stream):
    if model == "over/empty" and not stream:
        nothing_there("an empty stream is no answer to a request that wants none")
    raw = client.chat.completions.with_raw_response.create(model=model, messages=ASK, stream=stream)
    parsed = raw.parse()
    text = ("".join(choice.delta.content or "" for chunk in parsed for choice in chunk.choices) if stream
            else parsed.choices[0].message.content)
    assert text == "Hello, 世界 👋 — good day."
    assert raw.headers["x-cirque-model"] == model
    assert int(raw.headers["x-cirque-attempts"]) == 2
    assert "replay" in raw.headers["x-cirque-target"]


@gateway_only
@pytest.mark.parametrize("case", ["die-mid-stream", "eof-mid-stream", "no-done"])
def test_a_stream_that_dies_raises(client, unique, case):
    """What came before is delivered; the end is an error in the stream, neither a made-up finish nor a cut body."""
    seen = []
    with pytest.raises(openai.APIError) as raised:
        for chunk in create(client, unique(case), stream=True):
            seen.append(chunk)
    assert not isinstance(raised.value, openai.APIConnectionError), "the error must be in the stream, not the socket"
    assert [chunk.choices[0].delta.content for chunk in seen] == ["w0 ", "w1 ", "w2 "]
    assert all(chunk.choices[0].finish_reason is None for chunk in seen)
    body_of(raised)
    assert raised.value.body["type"] == "upstream_error"


def test_the_providers_own_error_event_raises(client, unique):
    with pytest.raises(openai.APIError) as raised:
        list(create(client, unique("error-event"), stream=True))
    assert raised.value.body["code"] == "overloaded"


@gateway_only
def test_a_silent_stream_ends_at_the_idle_deadline(client, upstream, unique):
    model, begun = unique("silent-stream"), time.monotonic()
    with pytest.raises(openai.APIError) as raised:
        list(create(client, model, stream=True))
    assert 0.9 < time.monotonic() - begun < 4
    assert raised.value.body["type"] == "upstream_error" and raised.value.body["code"] == "provider_timeout"
    upstream.left_after(model, begun)


@gateway_only
def test_an_empty_stream_is_an_error_before_anything_is_sent(client, unique):
    with pytest.raises(openai.InternalServerError) as raised:
        create(client, unique("empty-stream"), stream=True)
    assert raised.value.status_code == 502


@gateway_only
def test_unknown_path(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.post("/no/such/path", cast_to=object, body={})
    body_of(raised)


@gateway_only
def test_method_not_allowed(client):
    with pytest.raises(openai.APIStatusError) as raised:
        client.get("/chat/completions", cast_to=object)
    assert raised.value.status_code == 405
    assert "POST" in raised.value.response.headers["allow"]
    body_of(raised)
