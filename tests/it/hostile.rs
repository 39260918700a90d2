//! Providers that give away what they are told, models' names that are paths, and targets that cannot be asked.

use crate::support::upstream::{CHUNK, json_answer, stream_answer};
use crate::support::{Gateway, Upstream};
use serde_json::json;

fn one(kind: &str, upstream: &Upstream) -> Gateway {
    Gateway::with(format!(
        "providers:\n  p: {{ kind: {kind}, base_url: \"{}\", api_key: env:UP_KEY }}\n\
         models:\n  m: {{ targets: [ {{ provider: p, model: up }} ] }}\n",
        upstream.url()
    ))
}

fn message(stream: bool) -> String {
    json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "x"}]}).to_string()
}

#[test]
fn an_error_that_repeats_our_credential_is_not_shown() {
    let body = r#"{"error":{"message":"bad header: Bearer sk-ours","type":"invalid_request_error"}}"#;
    let upstream = Upstream::always(json_answer(400, body));
    let gateway = one("openai", &upstream);
    for response in [gateway.chat(), gateway.post("/v1/messages", message(false))] {
        assert_eq!(response.status, 400);
        assert!(!response.text().contains("sk-ours"), "{}", response.text());
        assert!(response.text().contains("status 400"), "{}", response.text());
    }
    let event = format!("data: {body}\n\n");
    let upstream = Upstream::always(stream_answer(&[CHUNK, &event]));
    let gateway = one("openai", &upstream);
    for response in [gateway.stream(), gateway.post("/v1/messages", message(true))] {
        assert!(response.text().contains("Hi"), "{}", response.text());
        assert!(!response.text().contains("sk-ours"), "{}", response.text());
        assert!(
            response.text().contains("in the middle of the stream"),
            "{}",
            response.text()
        );
    }
}

#[test]
fn a_models_name_cannot_climb_out_of_its_path() {
    let upstream = Upstream::ok();
    let gateway = Gateway::with(format!(
        "providers:\n  p: {{ kind: gemini, base_url: \"{}\", api_key: env:UP_KEY }}\n\
         models:\n  \"x/*\": {{ targets: [ {{ provider: p, model: \"*\" }} ] }}\n",
        upstream.url()
    ));
    for name in ["x/..", "x/.", "x/a/../b"] {
        let body = json!({"model": name, "messages": [{"role": "user", "content": "x"}]}).to_string();
        let response = gateway.post("/v1/chat/completions", body);
        response.expect_error(400, "invalid_request_error", "invalid_model");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_target_that_cannot_be_asked_hides_no_rate_limit() {
    let limited = Upstream::always(json_answer(429, r#"{"error":{"message":"slow down"}}"#));
    let unable = Upstream::ok();
    let gateway = Gateway::with(format!(
        "providers:\n  o: {{ kind: openai, base_url: \"{}\" }}\n  a: {{ kind: anthropic, base_url: \"{}\" }}\n\
         models:\n  m: {{ targets: [ {{ provider: o, model: up }} ], fallback: [ n ] }}\n  n: {{ targets: [ {{ provider: a, model: up }} ] }}\n",
        limited.url(),
        unable.url()
    ));
    for _ in 0..2 {
        let body = json!({"model": "m", "input": "x"}).to_string();
        let response = gateway.post("/v1/embeddings", body);
        assert_eq!(response.status, 429, "{}", response.text());
        assert!(response.header("retry-after").is_some());
    }
    assert_eq!((limited.count(), unable.count()), (1, 0));
    let body = json!({"model": "n", "input": "x"}).to_string();
    gateway
        .post("/v1/embeddings", body)
        .expect_error(400, "invalid_request_error", "unsupported_operation");
}

#[test]
fn a_body_of_too_many_values_is_not_translated() {
    let upstream = Upstream::ok();
    let gateway = one("openai", &upstream);
    let many = format!("{}1", "1,".repeat(1 << 20));
    let body = message(false).replacen('{', &format!("{{\"x\":[{many}],"), 1);
    gateway.post("/v1/chat/completions", body.clone()).ok();
    let text = gateway.post("/v1/messages", body).text().to_owned();
    assert!(text.contains("too many values"), "{text}");
    assert_eq!(upstream.count(), 1, "a native one passes");
}
