//! Operations beside chats, requests and answers that are too long, and floods.

use super::{ask, cached, content, kept, until_hit};
use crate::accounts::{OWNER, read};
use crate::support::gateway::Builder;
use crate::support::upstream::json_answer;
use crate::support::{Gateway, Upstream, eventually};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const CHAT: &str = "/v1/chat/completions";

/// One provider of a kind that answers so.
fn of_kind(kind: &str, answer: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::always(json_answer(200, answer));
    let text = cached(&upstream, "{ mode: exact }").replace("kind: openai", &format!("kind: {kind}"));
    let gateway = Gateway::with(text);
    (upstream, gateway)
}

#[test]
fn what_is_no_conversation_is_kept_as_it_was_sent() {
    let vectors = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.125,-1.5e-3]}],"model":"up","usage":{"prompt_tokens":2,"total_tokens":2}}"#;
    let order = r#"{"id":"r","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],"meta":{"billed_units":{"search_units":1}}}"#;
    let verdict = r#"{"id":"modr-1","model":"up","results":[{"flagged":false,"categories":{"violence":false},"category_scores":{"violence":0.0001}}]}"#;
    let text = json!([{"role": "user", "content": "Hello there"}]);
    for (kind, answer, path, body, other) in [
        (
            "openai",
            vectors,
            "/v1/embeddings",
            json!({"model": "m", "input": "today's weather"}),
            json!({"input": "Today's weather"}),
        ),
        (
            "cohere",
            order,
            "/v1/rerank",
            json!({"model": "m", "query": "q", "documents": ["a", "b"]}),
            json!({"documents": ["b", "a"]}),
        ),
        (
            "openai",
            verdict,
            "/v1/moderations",
            json!({"model": "m", "input": "hello"}),
            json!({"input": "Hello"}),
        ),
        (
            "anthropic",
            r#"{"input_tokens":14}"#,
            "/v1/messages/count_tokens",
            json!({"model": "m", "messages": text}),
            json!({"system": "Be kind"}),
        ),
    ] {
        let (upstream, gateway) = of_kind(kind, answer);
        let first = gateway.post(path, body.to_string()).ok();
        assert_eq!(first.header("x-cirque-cache"), Some("miss"), "{path}");
        let hit = kept(&gateway, path, &body);
        let asked = upstream.count();
        let (mut before, mut now) = (first.json(), hit.json());
        if path != "/v1/messages/count_tokens" && !before["id"].is_null() {
            assert_ne!(before["id"], now["id"], "{path}");
        }
        for one in [&mut before, &mut now] {
            one.as_object_mut().unwrap().remove("id");
        }
        assert_eq!(before, now, "{path}");
        assert_eq!(hit.header("content-type"), first.header("content-type"), "{path}");
        let mut changed = body.clone();
        for (name, value) in other.as_object().unwrap() {
            changed[name] = value.clone();
        }
        let miss = gateway.post(path, changed.to_string()).ok();
        assert_eq!(miss.header("x-cirque-cache"), Some("miss"), "{path}");
        assert_eq!(upstream.count(), asked + 1, "{path}");
    }
}

#[test]
fn requests_and_answers_that_are_too_long_are_left_alone_and_counted() {
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let length = if request.text().contains("much") { 9_000 } else { 10 };
            let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "up", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "x".repeat(length)}, "finish_reason": "stop"}]});
            conn.send(json_answer(200, &body.to_string()));
        }
    });
    let gateway = Gateway::with(cached(
        &upstream,
        "{ mode: exact, max_request: 2KiB, max_answer: 4KiB }",
    ));
    for length in [2_100, 40_000, 1 << 20] {
        for _ in 0..2 {
            let response = gateway.post(CHAT, ask(&"y".repeat(length)).to_string()).ok();
            assert_eq!(response.header("x-cirque-cache"), Some("bypass"), "{length}");
            assert_eq!(response.header("x-cirque-cache-reason"), Some("too_large"));
        }
    }
    assert_eq!(gateway.metric("cirque_cache_bypasses_total", &["too_large"]), 6.0);
    for _ in 0..3 {
        let response = gateway.post(CHAT, ask("Say much").to_string()).ok();
        assert_eq!(response.header("x-cirque-cache"), Some("miss"));
        assert_eq!(content(&response).len(), 9_000);
    }
    // What fits is kept beside them.
    until_hit(&gateway, CHAT, &ask("Say little"));
    eventually("they are counted", || {
        (gateway.metric("cirque_cache_stores_total", &["too_large"]) >= 3.0).then_some(())
    });
}

/// Letters that do not compress, 3 KiB of them.
fn noise() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(3 * 1024).collect()
}

#[test]
fn a_flood_of_questions_stays_within_the_memory_and_leaves_what_is_hot() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::script(move |conn| {
        while conn.request().is_some() {
            let n = count.fetch_add(1, Ordering::SeqCst);
            let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "up", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": format!("{n} {}", noise())}, "finish_reason": "stop"}]});
            conn.send(json_answer(200, &body.to_string()));
        }
    });
    let body = cached(&upstream, "{ mode: exact }") + "cache: { memory: 4MiB }\n";
    let gateway = Builder::new(body)
        .admin("operators: { root: { role: owner, token: env:OWNER } }")
        .env("OWNER", OWNER)
        .start();
    let hot: Vec<Value> = (0..20).map(|n| ask(&format!("What is hot, {n}?"))).collect();
    for _ in 0..3 {
        hot.iter().for_each(|body| drop(until_hit(&gateway, CHAT, body)));
    }
    let (before, budget) = (gateway.memory("VmRSS"), 4 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut client = gateway.client();
                for n in 0..1_250 {
                    client.post(CHAT, "", ask(&format!("What is {thread}, {n}?")).to_string());
                    assert_eq!(client.response().ok().header("x-cirque-cache"), Some("miss"));
                }
            });
        }
    });
    let memory = read(&gateway, "/admin/v1/cache")["memory"].clone();
    assert_eq!(memory["capacity"], budget, "{memory}");
    assert!(memory["bytes"].as_u64().unwrap() <= budget, "{memory}");
    let kept = hot
        .iter()
        .filter(|body| gateway.post(CHAT, body.to_string()).ok().header("x-cirque-cache") == Some("hit"))
        .count();
    println!(
        "5000 answers of 3 KiB through 4 MiB: {memory}, {kept} of 20 hot ones kept; resident before {} KiB, after {} KiB",
        before >> 10,
        gateway.memory("VmRSS") >> 10
    );
    assert!(kept >= 18, "{kept} of 20");
}
