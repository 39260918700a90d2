//! The cache in the walk, against the real binary: hits, what is never kept, sharing of calls under way, outages.

mod alike;
mod encoders;
mod followed;
mod known;
mod operations;
mod operator;
mod pair;
mod replay;
mod tenants;

use crate::support::client::{chat, chat_stream};
use crate::support::upstream::{CHUNK, DONE, FINISH, answer, json_answer, stream_answer};
use crate::support::{Conn, Gateway, Upstream, eventually};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One provider `p` and the model `m` over it, with this policy.
pub fn cached(upstream: &Upstream, policy: &str) -> String {
    format!(
        "providers: {{ p: {{ kind: openai, base_url: \"{}\" }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: p, model: up }} ], cache: {policy} }} }}\n",
        upstream.url()
    )
}

/// Answers chats, each with its own number.
pub fn counting() -> Upstream {
    let count = Arc::new(AtomicUsize::new(0));
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            let n = count.fetch_add(1, Ordering::SeqCst) + 1;
            if request.text().contains("\"stream\":true") {
                conn.stream_head();
                conn.chunk(CHUNK.replace("Hi", &format!("Hi {n}")));
                conn.chunk(FINISH);
                conn.chunk(DONE);
                conn.send("0\r\n\r\n");
            } else {
                conn.send(json_answer(200, &whole(n)));
            }
        }
    })
}

pub fn whole(n: usize) -> String {
    json!({
        "id": format!("chatcmpl-{n}"), "object": "chat.completion", "created": 1, "model": "up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": format!("answer {n}")}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    })
    .to_string()
}

pub fn ask(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
}

pub fn content(response: &crate::support::client::Response) -> String {
    response.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Asks, so that the answer is kept, and goes on until it is served: it is kept after it was sent.
pub fn until_hit(gateway: &Gateway, path: &str, body: &Value) -> crate::support::client::Response {
    let response = gateway.post(path, body.to_string()).ok();
    if response.header("x-cirque-cache") == Some("hit") {
        return response;
    }
    kept(gateway, path, body)
}

/// What is kept of an answer that was sent already. Nothing that is asked meanwhile takes its place.
pub fn kept(gateway: &Gateway, path: &str, body: &Value) -> crate::support::client::Response {
    for _ in 0..2000 {
        let response = gateway
            .post_with(path, "x-cirque-cache: no-store\r\n", body.to_string())
            .ok();
        if response.header("x-cirque-cache") == Some("hit") {
            return response;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("never kept");
}

#[test]
fn the_same_question_is_answered_once() {
    let upstream = counting();
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let first = gateway.post("/v1/chat/completions", ask("hello").to_string()).ok();
    assert_eq!(first.header("x-cirque-cache"), Some("miss"));
    let hit = kept(&gateway, "/v1/chat/completions", &ask("hello"));
    assert_eq!(content(&hit), content(&first));
    assert!(hit.header("age").is_some() && hit.header("x-cirque-cache-id").is_some());
    assert_ne!(hit.json()["id"], first.json()["id"], "a fresh id");
    assert_eq!(hit.json()["usage"]["completion_tokens"], 3);
    let asked = upstream.count();
    let other = gateway.post("/v1/chat/completions", ask("Hello").to_string()).ok();
    assert_eq!(other.header("x-cirque-cache"), Some("miss"), "case matters");
    assert_eq!(upstream.count(), asked + 1);
}

#[test]
fn stored_once_served_whole_and_streamed_in_every_dialect() {
    let upstream = counting();
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let hit = until_hit(&gateway, "/v1/chat/completions", &ask("hello"));
    let said = content(&hit);
    let asked = upstream.count();
    let mut streamed = ask("hello");
    streamed["stream"] = json!(true);
    let response = gateway.post("/v1/chat/completions", streamed.to_string()).ok();
    assert_eq!(response.header("x-cirque-cache"), Some("hit"));
    let text = response.text();
    assert!(text.ends_with(DONE) && text.matches("data: ").count() > 3, "{text}");
    let messages = json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]});
    let plain = json!({"model": "m", "input": "hello"});
    let first = gateway
        .post_with(
            "/v1/messages",
            "anthropic-version: 2023-06-01\r\n",
            messages.to_string(),
        )
        .ok();
    // Its `max_tokens` decides the answer: another question.
    assert_eq!(first.header("x-cirque-cache"), Some("miss"));
    let responses = gateway.post("/v1/responses", plain.to_string()).ok();
    assert_eq!(responses.header("x-cirque-cache"), Some("hit"), "{}", responses.text());
    assert!(responses.text().contains(&said), "{}", responses.text());
    assert_eq!(upstream.count(), asked + 1);
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let upstream = counting();
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    for (body, reason) in [
        (
            json!({"model": "m", "temperature": 1.5, "messages": [{"role": "user", "content": "a"}]}),
            "temperature",
        ),
        (ask("What is the latest news today?"), "time_bound"),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function", "function": {"name": "f"}}]}),
            "tools",
        ),
    ] {
        for _ in 0..2 {
            let response = gateway.post("/v1/chat/completions", body.to_string()).ok();
            assert_eq!(response.header("x-cirque-cache"), Some("bypass"), "{body}");
            assert_eq!(response.header("x-cirque-cache-reason"), Some(reason), "{body}");
        }
    }
    assert_eq!(upstream.count(), 6);
}

#[test]
fn headers_only_narrow() {
    let upstream = counting();
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let body = ask("hello").to_string();
    let with = |headers: &str| gateway.post_with("/v1/chat/completions", headers, &body);
    until_hit(&gateway, "/v1/chat/completions", &ask("hello"));
    let asked = upstream.count();
    assert_eq!(
        with("x-cirque-cache: off\r\n").ok().header("x-cirque-cache"),
        Some("bypass")
    );
    assert_eq!(
        with("x-cirque-cache: refresh\r\n").ok().header("x-cirque-cache"),
        Some("miss")
    );
    assert_eq!(
        with("x-cirque-cache-ttl: 0\r\n").ok().header("x-cirque-cache"),
        Some("miss")
    );
    assert_eq!(upstream.count(), asked + 3);
    with("x-cirque-cache: everything\r\n").expect_error(400, "invalid_request_error", "invalid_header");
    let none = Gateway::with(cached(&upstream, "{ mode: \"off\" }"));
    let response = none.post_with("/v1/chat/completions", "x-cirque-cache: exact\r\n", &body);
    assert_eq!(response.header("x-cirque-cache"), None, "a header turns nothing on");
}

#[test]
fn errors_and_broken_streams_are_not_kept() {
    let turn = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::script(move |conn: &mut Conn| {
        while conn.request().is_some() {
            match turn.fetch_add(1, Ordering::SeqCst) {
                0 => {
                    conn.send(answer(
                        400,
                        "",
                        "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\"}}",
                    ));
                }
                1 => {
                    conn.send(
                        stream_answer(&[CHUNK])
                            .split_last()
                            .map(|(_, rest)| rest.to_vec())
                            .unwrap_or_default(),
                    );
                    return;
                }
                _ => {
                    conn.send(stream_answer(&[CHUNK, FINISH, DONE]));
                }
            }
        }
    });
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    assert_eq!(gateway.post("/v1/chat/completions", chat_stream("m")).status, 400);
    let broken = gateway.post("/v1/chat/completions", chat_stream("m"));
    assert_eq!(broken.header("x-cirque-cache"), Some("miss"));
    let third = gateway.post("/v1/chat/completions", chat_stream("m")).ok();
    assert_eq!(third.header("x-cirque-cache"), Some("miss"));
    assert!(third.text().ends_with(DONE));
}

#[test]
fn an_outage_is_answered_from_what_is_kept_if_the_policy_says_so() {
    let down = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::script({
        let down = Arc::clone(&down);
        move |conn: &mut Conn| {
            while conn.request().is_some() {
                if down.load(Ordering::SeqCst) == 0 {
                    conn.send(json_answer(200, &whole(1)));
                } else {
                    conn.send(answer(500, "", "{}"));
                }
            }
        }
    });
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact, ttl: 300ms, stale_if_error: 1h }"));
    let body = ask("hello");
    until_hit(&gateway, "/v1/chat/completions", &body);
    down.store(1, Ordering::SeqCst);
    let mut served = None;
    for _ in 0..400 {
        let response = gateway.post("/v1/chat/completions", body.to_string());
        if response.header("x-cirque-cache") == Some("stale") {
            assert_eq!(response.header("x-cirque-cache-reason"), Some("error"));
            served = Some(response.ok());
            break;
        }
        assert_eq!(response.header("x-cirque-cache"), Some("hit"), "{}", response.text());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(content(&served.expect("never stale")), "answer 1");
    gateway
        .post("/v1/chat/completions", ask("another").to_string())
        .expect_error(502, "upstream_error", "provider_error");
}

#[test]
fn a_stale_answer_is_served_and_fetched_anew() {
    let upstream = counting();
    let gateway = Gateway::with(cached(
        &upstream,
        "{ mode: exact, ttl: 200ms, stale_while_revalidate: 1h }",
    ));
    let body = ask("hello");
    let mut stale = None;
    for _ in 0..400 {
        let response = gateway.post("/v1/chat/completions", body.to_string()).ok();
        match response.header("x-cirque-cache") {
            Some("stale") => {
                stale = Some(content(&response));
            }
            Some("hit") if stale.as_ref().is_some_and(|stale| *stale != content(&response)) => return,
            Some("hit" | "miss") => {}
            other => panic!("{other:?}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("never fresh again; stale: {stale:?}");
}

#[test]
fn nothing_is_said_where_nothing_is_configured() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for _ in 0..2 {
        let response = gateway.post("/v1/chat/completions", chat("m")).ok();
        assert_eq!(response.header("x-cirque-cache"), None);
    }
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_fallbacks_answer_does_not_take_the_place_of_a_stale_one() {
    let down = Arc::new(AtomicUsize::new(0));
    let own = Upstream::script({
        let down = Arc::clone(&down);
        move |conn: &mut Conn| {
            while conn.request().is_some() {
                conn.send(match down.load(Ordering::SeqCst) {
                    0 => json_answer(200, &whole(1)),
                    _ => answer(500, "", "{}"),
                });
            }
        }
    });
    let other = Upstream::always(json_answer(200, &whole(2)));
    let gateway = Gateway::with(format!(
        "providers: {{ p: {{ kind: openai, base_url: \"{}\" }}, q: {{ kind: openai, base_url: \"{}\" }} }}\n\
         models:\n  m: {{ targets: [ {{ provider: p, model: up }} ], fallback: [ n ], cache: {{ mode: exact, ttl: 200ms, \
         stale_while_revalidate: 1h }} }}\n  n: {{ targets: [ {{ provider: q, model: up }} ] }}\n",
        own.url(),
        other.url()
    ));
    until_hit(&gateway, "/v1/chat/completions", &ask("hello"));
    down.store(1, Ordering::SeqCst);
    let stale = || {
        let response = gateway.post("/v1/chat/completions", ask("hello").to_string()).ok();
        assert_eq!(content(&response), "answer 1");
        (response.header("x-cirque-cache") == Some("stale")).then_some(())
    };
    eventually("stale", stale);
    eventually("the fallback was asked", || (other.count() > 0).then_some(()));
    gateway.wait_metric(
        "cirque_cache_stores_total",
        &["model=\"m\"", "result=\"fallback\""],
        1.0,
    );
    assert!(stale().is_some());
}
