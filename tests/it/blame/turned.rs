//! Refusals that another model may take back: too long, or filtered; and what is the client's alone.

use super::{CHATS, anthropic_error, google_error, openai_error};
use crate::admin::target;
use crate::support::client::{Response, chat, chat_stream};
use crate::support::upstream::{CHUNK, DONE, FINISH, json_answer, stream_answer};
use crate::support::{Gateway, Upstream};
use serde_json::json;

/// `m` at a provider of this kind, `large` at another.
pub fn pair(kind: &str, first: &Upstream, large: &Upstream, keys: &str) -> Gateway {
    Gateway::with(format!(
        "providers:\n  a: {{ kind: {kind}, base_url: \"{}\", api_key: env:UP_KEY }}\n  l: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\nmodels:\n  \
         m: {{ {keys} targets: [ {{ provider: a, model: up }} ] }}\n  large: {{ targets: [ {{ provider: l, model: big }} ] }}\n",
        first.url(),
        large.url()
    ))
}

/// Vendor, its words for an input that is too long.
fn too_long() -> Vec<(&'static str, u16, Vec<u8>)> {
    vec![
        (
            "openai",
            400,
            openai_error(
                400,
                "context_length_exceeded",
                "Your input exceeds the context window of this model. Please adjust your input and try again.",
            ),
        ),
        (
            "openai",
            400,
            json_answer(
                400,
                r#"{"object":"error","message":"This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            ),
        ),
        (
            "openai",
            429,
            openai_error(
                429,
                "rate_limit_exceeded",
                "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 40000.",
            ),
        ),
        (
            "anthropic",
            400,
            anthropic_error(
                400,
                "invalid_request_error",
                "prompt is too long: 210000 tokens > 200000 maximum",
            ),
        ),
        (
            "anthropic",
            413,
            anthropic_error(413, "request_too_large", "Request exceeds the maximum size"),
        ),
        (
            "gemini",
            400,
            google_error(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                "[]",
            ),
        ),
    ]
}

fn requests() -> [(&'static str, String); 4] {
    let message = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]});
    [
        (CHATS, chat("m")),
        ("/v1/messages", message.to_string()),
        ("/v1/responses", json!({"model": "m", "input": "x"}).to_string()),
        ("/v1beta/models/m:generateContent", contents.to_string()),
    ]
}

#[test]
fn what_is_too_long_goes_to_the_model_for_that_in_every_dialect() {
    for (kind, _, said) in too_long() {
        let (first, large) = (Upstream::always(said), Upstream::ok());
        let gateway = pair(kind, &first, &large, "context_fallback: [ large ],");
        for (number, (path, body)) in requests().into_iter().enumerate() {
            let id = format!("too-long-{number}");
            let response = gateway.post_with(path, &format!("x-request-id: {id}\r\n"), body).ok();
            assert_eq!(response.header("x-cirque-target"), Some("l/big"), "{kind} {path}");
            assert_eq!(response.header("x-cirque-attempts"), Some("2"));
            assert_eq!(
                response.header("x-cirque-model"),
                Some("m"),
                "the one that was asked for"
            );
            let line = gateway.access(&id);
            assert_eq!(line["purpose"], "context_fallback");
            assert_eq!(line["tries"][0]["outcome"], "client_error", "{line}");
        }
        assert_eq!(
            (first.count(), large.count()),
            (4, 4),
            "{kind}: it is no reason to leave the first alone"
        );
        let shown = target(&gateway, "a/up");
        assert_eq!(
            (&shown["failures_in_a_row"], &shown["cooling_for_ms"]),
            (&0.into(), &().into()),
            "{kind}"
        );
    }
}

#[test]
fn streams_go_there_too() {
    let first = Upstream::always(openai_error(400, "context_length_exceeded", "x"));
    let large = Upstream::always(stream_answer(&[CHUNK, FINISH, DONE]));
    let gateway = pair("openai", &first, &large, "context_fallback: [ large ],");
    let response = gateway.post(CHATS, chat_stream("m")).ok();
    assert_eq!(response.header("x-cirque-target"), Some("l/big"));
    assert_eq!(response.text(), [CHUNK, FINISH, DONE].concat());
}

#[track_caller]
fn refused(response: &Response, status: u16, part: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert!(response.text().contains(part), "{}", response.text());
    assert!(response.header("x-cirque-attempts").is_some());
}

#[test]
fn without_such_a_model_it_is_the_clients_to_mend() {
    for (kind, status, said) in too_long() {
        let (first, large) = (Upstream::always(said), Upstream::ok());
        // A fallback for failures is not one for requests that are too long.
        let gateway = pair(kind, &first, &large, "fallback: [ large ],");
        for (path, body) in requests() {
            let response = gateway.post(path, body);
            assert_eq!(response.status, status, "{kind} {path}: {}", response.text());
            let error = &response.json()["error"];
            let message = error["message"]
                .as_str()
                .unwrap_or_else(|| panic!("{kind} {path}: {}", response.text()));
            assert!(!message.is_empty());
            if path == "/v1/messages" {
                assert_eq!(response.json()["type"], "error", "{kind}");
            }
        }
        assert_eq!((first.count(), large.count()), (4, 0), "{kind}");
    }
}

#[test]
fn when_the_model_for_that_fails_too_the_first_refusal_is_the_answer() {
    let said = "This model's maximum context length is 8192 tokens, however you asked for 9000";
    for large in [
        Upstream::always(json_answer(500, "{}")),
        Upstream::always(json_answer(401, "{}")),
        Upstream::always(json_answer(429, "{}")),
        Upstream::once_then_close("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"choi"),
    ] {
        let first = Upstream::always(openai_error(400, "context_length_exceeded", said));
        let gateway = pair("openai", &first, &large, "context_fallback: [ large ],");
        let response = gateway.chat();
        refused(&response, 400, said);
        response.expect_error(400, "context_length_exceeded", "context_length_exceeded");
        assert_eq!((first.count(), large.count()), (1, 1));
    }
    // Too long there as well: that refusal says how much would have fit.
    let first = Upstream::always(openai_error(400, "context_length_exceeded", said));
    let large = Upstream::always(openai_error(400, "context_length_exceeded", "not even 1000000"));
    let gateway = pair("openai", &first, &large, "context_fallback: [ large ],");
    refused(&gateway.chat(), 400, "not even 1000000");
    assert_eq!((first.count(), large.count()), (1, 1), "no further, no circle");
}

#[test]
fn a_filters_refusal_is_taken_elsewhere_only_where_that_is_said() {
    for (kind, said) in [
        (
            "openai",
            openai_error(400, "content_filter", "The response was filtered"),
        ),
        (
            "openai",
            openai_error(
                400,
                "invalid_prompt",
                "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            ),
        ),
        (
            "anthropic",
            anthropic_error(
                400,
                "invalid_request_error",
                "Output blocked by content filtering policy",
            ),
        ),
        (
            "deepseek",
            openai_error(400, "invalid_request_error", "Content Exists Risk"),
        ),
    ] {
        let (first, other) = (Upstream::always(said.clone()), Upstream::ok());
        let gateway = pair(
            kind,
            &first,
            &other,
            "fallback: [ large ], context_fallback: [ large ],",
        );
        let response = gateway.chat();
        assert_eq!(response.status, 400, "{kind}");
        assert_eq!((first.count(), other.count()), (1, 0), "{kind}");
        let gateway = pair(kind, &first, &other, "content_filter_fallback: [ large ],");
        let id = "filtered-1";
        let response = gateway
            .post_with(CHATS, &format!("x-request-id: {id}\r\n"), chat("m"))
            .ok();
        assert_eq!(response.header("x-cirque-target"), Some("l/big"), "{kind}");
        assert_eq!(gateway.access(id)["purpose"], "filter_fallback");
        assert_eq!(target(&gateway, "a/up")["failures_in_a_row"], 0);
    }
}

#[test]
fn one_detour_at_most() {
    let first = Upstream::always(openai_error(400, "content_filter", "filtered"));
    let second = Upstream::always(openai_error(400, "context_length_exceeded", "too long"));
    let third = Upstream::ok();
    let mut text = String::from("providers:\n");
    for (upstream, name) in [(&first, "a"), (&second, "b"), (&third, "c")] {
        text += &format!("  {name}: {{ kind: openai, base_url: \"{}\" }}\n", upstream.url());
    }
    let gateway = Gateway::with(format!(
        "{text}models:\n  m: {{ content_filter_fallback: [ n ], context_fallback: [ o ], targets: [ {{ provider: a, model: up }} ] }}\n  \
         n: {{ context_fallback: [ o ], targets: [ {{ provider: b, model: up }} ] }}\n  o: {{ targets: [ {{ provider: c, model: up }} ] }}\n"
    ));
    refused(&gateway.chat(), 400, "too long");
    assert_eq!((first.count(), second.count(), third.count()), (1, 1, 0));
}
