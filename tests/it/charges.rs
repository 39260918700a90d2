//! Money that is spent and must be charged, or reserved before it is: where a request does not go the usual way.
//!
//! Prices are such that sums can be done in the head: a token in costs 0.001 dollars, one out 0.002.

use crate::support::client::{Response, chat};
use crate::support::gateway::{Builder, TIMEOUTS};
use crate::support::upstream::{CHAT, json_answer};
use crate::support::{Gate, Gateway, Upstream, eventually};
use std::sync::Arc;

const PRICE: &str = "price: { input: \"1000\", output: \"2000\" }";
const BUDGET: &str = "budgets: [ { usd: \"1\", period: total } ],";

/// Embeddings that used up a dollar.
const VECTORS: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"up","usage":{"prompt_tokens":1000,"total_tokens":1000}}"#;

/// A whole answer that used up a dollar.
fn dear() -> String {
    CHAT.replace("\"prompt_tokens\":9", "\"prompt_tokens\":1000")
}

#[track_caller]
fn is_used_up(mut ask: impl FnMut() -> Response) {
    eventually("what was spent is charged", || {
        let answer = ask();
        (answer.status == 429).then(|| answer.expect_error(429, "insufficient_quota", "budget_exceeded"))
    });
}

#[test]
fn an_answer_is_charged_beside_a_hedge_that_was_never_sent() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let first = Upstream::script(move |conn| {
        while conn.request().is_some() {
            held.wait();
            conn.send(json_answer(200, VECTORS));
        }
    });
    let never = Upstream::ok();
    let gateway = Gateway::with(format!(
        "{TIMEOUTS}providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: anthropic, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ {BUDGET} hedge: {{ after: 5ms, at_least: 1ms, budget_percent: 100 }}, targets: [ {{ provider: a, model: up, {PRICE} }}, \
         {{ provider: b, model: up, tier: 1, {PRICE} }} ] }}\n",
        first.url(),
        never.url()
    ));
    // Anthropic has no embeddings.
    let ask = || gateway.post("/v1/embeddings", r#"{"model":"m","input":"a"}"#);
    std::thread::scope(|scope| {
        let asked = scope.spawn(ask);
        gateway.wait_metric("cirque_upstream_attempts_total", &["provider=\"b\""], 1.0);
        gate.open();
        asked.join().unwrap().ok();
    });
    assert_eq!(never.count(), 0);
    is_used_up(ask);
}

#[test]
fn every_prompt_of_a_completion_is_reserved() {
    let upstream = Upstream::ok();
    let gateway = Gateway::with(priced(&upstream, BUDGET, ""));
    let prompts = ["\"a\""; 100].join(",");
    let body = format!(r#"{{"model":"m","prompt":[{prompts}],"max_tokens":12}}"#);
    gateway
        .post("/v1/completions", body)
        .expect_error(429, "insufficient_quota", "budget_exceeded");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_dearest_fallback_for_long_prompts_is_reserved() {
    let (small, large) = (Upstream::ok(), Upstream::ok());
    let gateway = Gateway::with(format!(
        "{TIMEOUTS}providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ {BUDGET} context_fallback: [ large ], targets: [ {{ provider: a, model: up, price: {{ input: \"1\", output: \"1\" }} }} ] }}\n  \
         large: {{ targets: [ {{ provider: b, model: up, price: {{ input: \"1\", output: \"100000\" }} }} ] }}\n",
        small.url(),
        large.url()
    ));
    let body = chat("m").replacen('{', "{\"max_tokens\":20,", 1);
    gateway
        .post("/v1/chat/completions", body)
        .expect_error(429, "insufficient_quota", "budget_exceeded");
    assert_eq!((small.count(), large.count()), (0, 0));
}

#[test]
fn thoughts_that_raise_the_bound_are_reserved() {
    let upstream = Upstream::ok();
    let gateway = Gateway::with(priced(&upstream, BUDGET, "").replace("kind: openai", "kind: anthropic"));
    let body = chat("m").replacen('{', "{\"max_tokens\":10,\"reasoning_effort\":\"high\",", 1);
    gateway
        .post("/v1/chat/completions", body)
        .expect_error(429, "insufficient_quota", "budget_exceeded");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_client_without_patience_pays_for_the_prompt() {
    let upstream = Upstream::script(|conn| {
        conn.request();
        conn.wait_closed();
    });
    let gateway = Gateway::with(priced(&upstream, "budgets: [ { usd: \"4\", period: total } ],", ""));
    let text = "word ".repeat(400);
    let body = format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    is_used_up(|| gateway.post_with("/v1/chat/completions", "x-cirque-timeout-ms: 100\r\n", &body));
}

#[test]
fn what_passes_unread_has_no_price_and_is_refused_where_one_is_needed() {
    for (unknown, status) in [("refuse", 403), ("allow", 200)] {
        let upstream = Upstream::ok();
        let gateway = Gateway::with(priced(
            &upstream,
            BUDGET,
            &format!("prices: {{ unknown: {unknown} }}\npassthrough:\n  - {{ path: /v1/files, pool: m }}\n"),
        ));
        let answer = gateway.post("/v1/files", "x");
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 403 {
            assert_eq!(answer.json()["error"]["code"], "model_without_price");
        }
    }
}

#[test]
fn a_target_without_a_price_is_no_cheap_one() {
    let upstream = Upstream::ok();
    let config = priced(&upstream, BUDGET, "prices: { unknown: refuse }\n");
    let unknown =
        format!("targets: [ {{ provider: p, model: no-such-model, tier: 1 }}, {{ provider: p, model: up, {PRICE} }} ]");
    let config = config.replace(&format!("targets: [ {{ provider: p, model: up, {PRICE} }} ]"), &unknown);
    let gateway = Gateway::with(config);
    let answer = gateway.chat();
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (403, &"model_without_price".into())
    );
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_list_of_models_counts_as_a_request() {
    let upstream = Upstream::ok();
    let keys = "keys: { k: { secret: env:KEY, limits: [ { requests: 1 } ] } }\n";
    let builder = Builder::new(format!("{}{keys}", priced(&upstream, "", "")));
    let gateway = builder.env("KEY", "file-key-0123456789-0123456789").start();
    let list = || {
        let mut client = gateway.client();
        client
            .send("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer file-key-0123456789-0123456789\r\n\r\n");
        client.response()
    };
    list().ok();
    eventually("it counts", || (list().status == 429).then_some(()));
}

#[test]
fn copies_end_with_the_budget_of_the_model_they_go_to() {
    let (own, copy) = (Upstream::ok(), Upstream::always(json_answer(200, &dear())));
    let gateway = Gateway::with(format!(
        "{TIMEOUTS}providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  x: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ mirror: {{ to: other, percent: 100 }}, targets: [ {{ provider: a, model: up, {PRICE} }} ] }}\n  \
         other: {{ {BUDGET} targets: [ {{ provider: x, model: up, {PRICE} }} ] }}\n",
        own.url(),
        copy.url()
    ));
    gateway.chat().ok();
    gateway.wait_metric("cirque_mirror_requests_total", &["result=\"both\""], 1.0);
    gateway.chat().ok();
    gateway.wait_metric("cirque_mirror_requests_total", &["result=\"not_sent\""], 1.0);
    assert_eq!((own.count(), copy.count()), (2, 1));
}

/// A model `m` with these keys.
fn priced(upstream: &Upstream, keys: &str, more: &str) -> String {
    format!(
        "{TIMEOUTS}providers:\n  p: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ {keys} targets: [ {{ provider: p, model: up, {PRICE} }} ] }}\n{more}",
        upstream.url()
    )
}
