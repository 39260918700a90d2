//! What a request needs and its targets lack: who is left out, who is asked instead, and what is said when nobody is left.

use crate::support::client::chat;
use crate::support::upstream::{CHAT, error_body, json_answer};
use crate::support::{Gateway, Upstream};
use serde_json::{Value, json};

const CHATS: &str = "/v1/chat/completions";

/// Model `m`: `a` with what is said of it first, `b` with its own behind it; and `more` models.
fn pool(a: &Upstream, b: &Upstream, first: &str, second: &str, keys: &str, more: &str) -> Gateway {
    Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ {keys} targets: [ {{ provider: a, model: up, {first} }}, {{ provider: b, model: up, tier: 1, {second} }} ] }}\n{more}",
        a.url(),
        b.url()
    ))
}

fn with(more: Value) -> String {
    let mut body = json!({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
}

fn said(part: Value) -> String {
    with(json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, part]}]}))
}

fn tool() -> Value {
    json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}])
}

fn schema() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"type": "object", "properties": {}, "required": [], "additionalProperties": false}}})
}

/// What is lacked, and a request that needs it, in chat and in messages.
fn needing() -> Vec<(&'static str, &'static str, String)> {
    vec![
        ("tools", CHATS, with(json!({"tools": tool()}))),
        (
            "tools",
            CHATS,
            with(json!({"functions": [{"name": "f", "parameters": {}}]})),
        ),
        (
            "tools",
            "/v1/messages",
            with(json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}]})),
        ),
        (
            "vision",
            CHATS,
            said(json!({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}})),
        ),
        (
            "vision",
            "/v1/messages",
            said(json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}})),
        ),
        (
            "audio",
            CHATS,
            said(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})),
        ),
        (
            "files",
            CHATS,
            said(
                json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}),
            ),
        ),
        ("json-schema", CHATS, with(json!({"response_format": schema()}))),
        ("reasoning", CHATS, with(json!({"reasoning_effort": "high"}))),
        (
            "reasoning",
            "/v1/messages",
            with(json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})),
        ),
    ]
}

#[test]
fn who_lacks_what_a_request_needs_is_not_asked() {
    for (lacked, path, body) in needing() {
        let (a, b) = (Upstream::ok(), Upstream::ok());
        let gateway = pool(&a, &b, &format!("lacks: [ {lacked} ]"), "", "", "");
        let response = gateway.post(path, &body).ok();
        assert_eq!(response.header("x-cirque-target"), Some("b/up"), "{lacked} {path}");
        assert_eq!(response.header("x-cirque-attempts"), Some("1"), "{lacked}");
        assert_eq!(
            gateway.chat().ok().header("x-cirque-target"),
            Some("a/up"),
            "what needs nothing goes there"
        );
        assert_eq!((a.count(), b.count()), (1, 1));
    }
}

#[test]
fn when_all_lack_it_the_client_is_told_what() {
    for (lacked, path, body) in needing() {
        let (a, b) = (Upstream::ok(), Upstream::ok());
        let gateway = pool(
            &a,
            &b,
            &format!("lacks: [ {lacked} ]"),
            &format!("lacks: [ {lacked}, audio ]"),
            "",
            "",
        );
        let response = gateway.post(path, &body);
        assert_eq!(response.status, 400, "{lacked}: {}", response.text());
        let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(lacked), "{message}");
        assert!(
            lacked == "audio" || !message.contains("audio"),
            "only what it needs: {message}"
        );
        if path == CHATS {
            response.expect_error(400, "invalid_request_error", "unsupported_parameter");
        } else {
            assert_eq!(response.json()["error"]["type"], "invalid_request_error");
        }
        assert_eq!((a.count(), b.count()), (0, 0));
        gateway.chat().ok();
    }
}

#[test]
fn a_fallback_that_has_it_answers() {
    let (a, b) = (Upstream::ok(), Upstream::ok());
    let more = "  able: { targets: [ { provider: b, model: able } ] }\n";
    let gateway = pool(
        &a,
        &b,
        "lacks: [ tools ]",
        "lacks: [ tools, vision ]",
        "fallback: [ able ],",
        more,
    );
    let response = gateway.post(CHATS, with(json!({"tools": tool()}))).ok();
    assert_eq!(response.header("x-cirque-target"), Some("b/able"));
    assert_eq!(response.header("x-cirque-attempts"), Some("1"));
    // Two needs, no target of the pool with both.
    let both = said(json!({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}));
    let response = gateway.post(CHATS, both).ok();
    assert_eq!(response.header("x-cirque-target"), Some("a/up"));
}

#[test]
fn who_lacks_it_is_not_asked_when_the_others_fail_either() {
    let (a, b) = (Upstream::ok(), Upstream::always(json_answer(500, &error_body("x"))));
    let gateway = pool(&a, &b, "lacks: [ tools ]", "", "", "");
    let asked = with(json!({"tools": tool()}));
    for _ in 0..8 {
        gateway
            .post(CHATS, &asked)
            .expect_error(502, "upstream_error", "provider_error");
    }
    // Its breaker is open by now, and it is the last resort.
    assert_eq!((a.count(), b.count()), (0, 8));
    assert_eq!(gateway.chat().ok().header("x-cirque-target"), Some("a/up"));
}

/// About this many tokens by the gateway's estimate.
fn long(tokens: usize) -> String {
    let words = "abcd".repeat(tokens);
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{words}"}}]}}"#)
}

#[test]
fn a_long_request_goes_where_it_fits() {
    let (a, b) = (Upstream::ok(), Upstream::ok());
    let gateway = pool(&a, &b, "context_tokens: 1000", "context_tokens: 100000", "", "");
    for (tokens, target) in [(10, "a/up"), (900, "a/up"), (1100, "b/up"), (50_000, "b/up")] {
        let response = gateway.post(CHATS, long(tokens)).ok();
        assert_eq!(response.header("x-cirque-target"), Some(target), "{tokens}");
        assert_eq!(response.header("x-cirque-attempts"), Some("1"));
    }
    // Pictures are not text: 600 KB of one is no long prompt.
    let picture = said(
        json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(600_000))}}),
    );
    let response = gateway.post(CHATS, picture).ok();
    assert_eq!(response.header("x-cirque-target"), Some("a/up"));
}

#[test]
fn when_none_fits_the_models_for_long_ones_are_asked_and_without_them_the_provider_says() {
    let (a, b, large) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let more = "  large: { targets: [ { provider: l, model: large } ] }\n";
    let config = |keys: &str| {
        format!(
            "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\n  l: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
             m: {{ {keys} targets: [ {{ provider: a, model: up, context_tokens: 1000 }}, {{ provider: b, model: up, tier: 1, context_tokens: 2000 }} ] }}\n{more}",
            a.url(),
            b.url(),
            large.url()
        )
    };
    let gateway = Gateway::with(config("context_fallback: [ large ],"));
    let id = "too-long-1";
    let response = gateway
        .post_with(CHATS, &format!("x-request-id: {id}\r\n"), long(3000))
        .ok();
    assert_eq!(response.header("x-cirque-target"), Some("l/large"));
    assert_eq!(gateway.access(id)["purpose"], "context_fallback");
    assert_eq!((a.count(), b.count(), large.count()), (0, 0, 1));
    assert_eq!(
        gateway.post(CHATS, long(1500)).ok().header("x-cirque-target"),
        Some("b/up")
    );
    // Nor does it leave anybody unasked when those for long ones fail.
    let broken = Upstream::always(json_answer(500, "{}"));
    let asked = config("context_fallback: [ large ],").replace(&large.url(), &broken.url());
    let response = Gateway::with(asked).post(CHATS, long(3000)).ok();
    assert_eq!(response.header("x-cirque-target"), Some("a/up"));
    assert_eq!((broken.count(), response.header("x-cirque-attempts")), (1, Some("2")));
    // An estimate alone refuses nobody.
    let gateway = Gateway::with(config(""));
    assert_eq!(
        gateway.post(CHATS, long(3000)).ok().header("x-cirque-target"),
        Some("a/up")
    );
}

#[test]
fn what_was_estimated_to_fit_and_does_not_goes_to_the_models_for_long_ones() {
    let long_said = r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    let (a, b, large) = (
        Upstream::always(json_answer(400, long_said)),
        Upstream::always(json_answer(400, long_said)),
        Upstream::ok(),
    );
    let more = "  large: { targets: [ { provider: l, model: large } ] }\n";
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\n  l: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ context_fallback: [ large ], targets: [ {{ provider: a, model: up, context_tokens: 8192 }}, {{ provider: b, model: up, tier: 1 }} ] }}\n{more}",
        a.url(),
        b.url(),
        large.url()
    ));
    let response = gateway.post(CHATS, chat("m")).ok();
    assert_eq!(response.text(), CHAT);
    assert_eq!(response.header("x-cirque-target"), Some("l/large"));
    assert_eq!((a.count(), b.count(), large.count()), (1, 0, 1));
}
