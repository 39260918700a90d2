//! Calls beside a request's own: hedges, copies, one-token questions. None of them may harm it, outlive it, or be billed to it.

use super::{held, model};
use crate::admin::target;
use crate::support::client::{Client, chat};
use crate::support::upstream::{CHUNK, DONE, FINISH, json_answer, stream_answer};
use crate::support::{Gate, Gateway, Upstream, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HEDGED: &str = "hedge: { after: 5ms, at_least: 1ms, budget_percent: 100 },";

/// Says nothing until it is left.
fn silent() -> Upstream {
    Upstream::script(|conn| {
        conn.request();
        conn.wait_closed();
    })
}

#[test]
fn a_client_that_leaves_ends_both_calls() {
    for stream in [false, true] {
        let (a, b) = (silent(), silent());
        let gateway = Gateway::with(model(&[&a, &b], HEDGED));
        let mut client = Client::connect(gateway.address);
        let body = chat("m").replacen('{', &format!("{{\"stream\":{stream},"), 1);
        client.post("/v1/chat/completions", "x-request-id: left-1\r\n", body);
        eventually("both are asked", || (a.count() == 1 && b.count() == 1).then_some(()));
        drop(client);
        a.closed();
        b.closed();
        let line = gateway.access("left-1");
        assert_eq!((&line["status"], &line["attempts"]), (&499.into(), &2.into()), "{line}");
        // It was nobody's failure.
        gateway.wait_metric("cirque_breaker_state", &["target=\"a/up\""], 0.0);
    }
}

#[test]
fn when_both_fail_each_was_asked_once() {
    let gate = Arc::new(Gate::default());
    let failing = |gate: &Arc<Gate>| {
        let gate = Arc::clone(gate);
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                gate.wait();
                conn.send(json_answer(500, "{}"));
            }
        })
    };
    let (a, b) = (failing(&gate), failing(&gate));
    let gateway = Gateway::with(model(&[&a, &b], HEDGED));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| gateway.chat());
        eventually("both are asked", || (a.count() == 1 && b.count() == 1).then_some(()));
        gate.open();
        asked
            .join()
            .unwrap()
            .expect_error(502, "upstream_error", "provider_error");
    });
    assert_eq!((a.count(), b.count()), (1, 1));
}

#[test]
fn a_hedge_may_go_to_the_fallback_and_without_anybody_else_there_is_none() {
    let (slow, spare) = (silent(), Upstream::ok());
    let more = format!("{HEDGED} fallback: [ spare ],");
    let config = model(&[&slow], &more).replace(
        "models:",
        &format!("  s: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  spare: {{ targets: [ {{ provider: s, model: up }} ] }}", spare.url()),
    );
    let response = Gateway::with(config).chat().ok();
    assert_eq!(response.header("x-cirque-target"), Some("s/up"));
    let gate = Arc::new(Gate::default());
    let (alone, out) = (held(&gate), Upstream::ok());
    let gateway = Gateway::with(model(&[&alone, &out], HEDGED));
    crate::admin::act(&gateway, "b/up", "isolate").ok();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| gateway.chat());
        eventually("it is asked", || (alone.count() == 1).then_some(()));
        gate.open();
        assert_eq!(asked.join().unwrap().ok().header("x-cirque-attempts"), Some("1"));
    });
    assert_eq!(out.count(), 0);
}

/// `m` at `own`, with copies to `other` at `copy`.
fn mirrored(own: &Upstream, copy: &Upstream, terms: &str) -> Gateway {
    let config = model(&[own], &format!("mirror: {{ to: other, {terms} }},"));
    Gateway::with(config.replace(
        "models:",
        &format!("  x: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  other: {{ targets: [ {{ provider: x, model: up }} ] }}", copy.url()),
    ))
}

#[test]
fn a_copy_that_hangs_delays_nobody_and_takes_one_place() {
    let gate = Arc::new(Gate::default());
    let (own, copy) = (Upstream::ok(), held(&gate));
    let gateway = mirrored(&own, &copy, "concurrency: 1");
    for number in 0..4 {
        gateway.chat().ok();
        eventually("the copy", || (copy.count() == 1).then_some(()));
        assert_eq!(own.count(), number + 1);
    }
    gateway.wait_metric("cirque_mirror_requests_total", &["result=\"not_sent\""], 3.0);
    gate.open();
    gateway.wait_metric("cirque_mirror_requests_total", &["result=\"both\""], 1.0);
    // Its place is free again.
    gateway.chat().ok();
    eventually("the next copy", || (copy.count() == 2).then_some(()));
}

#[test]
fn a_copy_is_not_on_the_clients_account() {
    let (own, copy) = (Upstream::always(json_answer(500, "{}")), Upstream::ok());
    let gateway = mirrored(&own, &copy, "percent: 100");
    gateway.chat().expect_error(502, "upstream_error", "provider_error");
    gateway.wait_metric("cirque_mirror_requests_total", &["result=\"only_copy\""], 1.0);
    gateway.wait_metric("cirque_requests_total", &[], 1.0);
    assert_eq!(
        gateway.metric("cirque_tokens_total", &[]),
        0.0,
        "the client got nothing"
    );
    let (own, copy) = (Upstream::ok(), Upstream::ok());
    let gateway = mirrored(&own, &copy, "percent: 100");
    gateway.chat().ok();
    gateway.wait_metric("cirque_mirror_requests_total", &["result=\"both\""], 1.0);
    assert_eq!(gateway.metric("cirque_tokens_total", &["kind=\"input\""]), 9.0);
    assert_eq!(gateway.metric("cirque_requests_total", &[]), 1.0);
}

#[test]
fn a_question_of_one_token_is_asked_in_the_vendors_own_dialect() {
    let works = Arc::new(AtomicBool::new(false));
    let upstream = {
        let works = Arc::clone(&works);
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                let works = works.load(Ordering::SeqCst);
                let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"text","text":"p"}],"stop_reason":"max_tokens","stop_sequence":null,"usage":{"input_tokens":8,"output_tokens":1}}"#;
                conn.send(json_answer(if works { 200 } else { 529 }, answer));
            }
        })
    };
    let config = model(&[&upstream], "").replace(
        "kind: openai,",
        "kind: anthropic, health_check: { kind: one-token, interval: 100ms },",
    );
    let gateway = Gateway::with(config);
    for _ in 0..5 {
        assert_eq!(gateway.chat().status, 502);
    }
    gateway.wait_metric("cirque_breaker_state", &["target=\"a/up\""], 2.0);
    works.store(true, Ordering::SeqCst);
    gateway.wait_metric("cirque_breaker_state", &["target=\"a/up\""], 0.0);
    let probe = upstream.requests().pop().unwrap();
    assert!(probe.line.contains("/messages "), "{}", probe.line);
    let body: serde_json::Value = serde_json::from_str(probe.text()).unwrap();
    assert_eq!((&body["max_tokens"], &body["model"]), (&1.into(), &"up".into()));
    assert_eq!(body.get("stream").and_then(serde_json::Value::as_bool), None);
    // It is nobody's request.
    gateway.wait_metric("cirque_requests_total", &[], 5.0);
}

#[test]
fn what_a_copied_stream_fails_on_may_be_the_requests() {
    let error = "data: {\"error\":{\"message\":\"Your input exceeds the context window\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"context_length_exceeded\"}}\n\n";
    let own = Upstream::always(stream_answer(&[CHUNK, FINISH, DONE]));
    let copy = Upstream::always(stream_answer(&[CHUNK, error]));
    let gateway = mirrored(&own, &copy, "percent: 100");
    gateway.stream().ok();
    gateway.wait_metric("cirque_mirror_requests_total", &["result=\"only_own\""], 1.0);
    assert_eq!(target(&gateway, "x/up")["failures_in_a_row"], 0);
}
