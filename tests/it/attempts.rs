//! What happens between a request and its answer when one call is not enough: asking again, hedging, mirrors, comparisons, lines.

mod beside;
mod lines;

use crate::support::client::{chat, chat_stream};
use crate::support::upstream::{CHAT, answer, json_answer};
use crate::support::{Gate, Gateway, Upstream, eventually};
use std::sync::Arc;

/// A model `m` with these keys, over these upstreams: `a`, `b`, …
fn model(upstreams: &[&Upstream], keys: &str) -> String {
    let mut providers = String::from("providers:\n");
    let mut targets = String::new();
    for (upstream, name) in upstreams.iter().zip(["a", "b", "c", "d"]) {
        providers += &format!("  {name}: {{ kind: openai, base_url: \"{}\" }}\n", upstream.url());
        targets += &format!("{{ provider: {name}, model: up }}, ");
    }
    format!("{providers}models:\n  m: {{ {keys} targets: [ {targets} ] }}\n")
}

/// Answers when the gate opens; lets the test know of each request.
fn held(gate: &Arc<Gate>) -> Upstream {
    let gate = Arc::clone(gate);
    Upstream::script(move |conn| {
        while conn.request().is_some() {
            gate.wait();
            conn.send(json_answer(200, CHAT));
        }
    })
}

#[test]
fn the_only_target_is_asked_again_when_the_model_says_so() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::script(move |conn| {
        while conn.request().is_some() {
            let turn = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            conn.send(json_answer(if turn < 2 { 503 } else { 200 }, CHAT));
        }
    });
    let gateway = Gateway::with(model(
        &[&upstream],
        "retry: { same_target: 2, backoff: 1ms, backoff_at_most: 5ms },",
    ));
    let response = gateway.chat().ok();
    assert_eq!(response.header("x-cirque-attempts"), Some("3"));
    let id = response.header("x-request-id").unwrap();
    let line = gateway.access(id);
    assert_eq!(line["purpose"], "again");
    assert_eq!(line["tries"][0]["outcome"], "server_error");
    assert_eq!(line["tries"].as_array().unwrap().len(), 2);
}

#[test]
fn without_it_the_only_target_is_asked_once() {
    let upstream = Upstream::always(json_answer(503, "{}"));
    let gateway = Gateway::with(model(&[&upstream], ""));
    gateway.chat().expect_error(502, "upstream_error", "provider_error");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_slow_target_is_hedged_and_the_slower_one_is_closed() {
    for stream in [false, true] {
        let slow = Upstream::script(|conn| {
            conn.request();
            conn.wait_closed();
        });
        let quick = if stream { Upstream::streaming() } else { Upstream::ok() };
        let gateway = Gateway::with(model(
            &[&slow, &quick],
            "hedge: { after: 20ms, at_least: 1ms, budget_percent: 100 },",
        ));
        let response = if stream { gateway.stream() } else { gateway.chat() };
        let response = response.ok();
        assert_eq!(response.header("x-cirque-target"), Some("b/up"));
        assert_eq!(response.header("x-cirque-attempts"), Some("2"));
        slow.closed();
        let line = gateway.access(response.header("x-request-id").unwrap());
        assert_eq!(line["purpose"], "hedge");
        assert_eq!(line["tries"][0]["target"], "a/up");
        assert_eq!(line["tries"][0]["outcome"], "overtaken");
        assert!(line["tries"][0]["input_tokens"].as_u64() > Some(0), "{line}");
        gateway.wait_metric("cirque_hedges_total", &["model=\"m\"", "result=\"won\""], 1.0);
    }
}

#[test]
fn a_hedge_that_fails_does_not_harm_the_first_call() {
    let gate = Arc::new(Gate::default());
    let (slow, broken) = (held(&gate), Upstream::always(json_answer(500, "{}")));
    let gateway = Gateway::with(model(
        &[&slow, &broken],
        "hedge: { after: 5ms, at_least: 1ms, budget_percent: 100 },",
    ));
    let response = std::thread::scope(|scope| {
        let asked = scope.spawn(|| gateway.chat());
        eventually("the hedge failed", || (broken.count() > 0).then_some(()));
        gateway.wait_attempts("b", "server_error", 1);
        gate.open();
        asked.join().unwrap()
    });
    assert_eq!(response.ok().header("x-cirque-target"), Some("a/up"));
}

#[test]
fn hedges_are_no_more_than_their_budget() {
    let slow = Upstream::script(|conn| {
        while conn.request().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(30));
            conn.send(json_answer(200, CHAT));
        }
    });
    let other = Upstream::ok();
    let config = model(
        &[&slow, &other],
        "hedge: { after: 1ms, at_least: 1ms, budget_percent: 10 }, strategy: weighted,",
    )
    // Hedges only: the other is never first.
    .replace("provider: b,", "provider: b, weight: 0,");
    let gateway = Gateway::with(config);
    for _ in 0..40 {
        gateway.chat().ok();
    }
    assert_eq!(slow.count(), 40);
    assert!((2..=10).contains(&other.count()), "{}", other.count());
}

#[test]
fn a_mirror_gets_a_copy_in_its_own_dialect_and_the_client_nothing_of_it() {
    let (own, copy) = (Upstream::ok(), Upstream::always(json_answer(500, "{}")));
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  c: {{ kind: anthropic, base_url: \"{}\" }}\n\
         models:\n  m: {{ targets: [ {{ provider: a, model: up }} ], mirror: {{ to: other }} }}\n  other: {{ targets: [ {{ provider: c, model: claude }} ] }}\n",
        own.url(),
        copy.url()
    ));
    let response = gateway.chat().ok();
    assert_eq!(response.header("x-cirque-attempts"), Some("1"));
    let sent = eventually("the copy", || copy.requests().into_iter().next());
    assert!(sent.line.contains("/messages "), "{}", sent.line);
    assert!(sent.text().contains("\"claude\""), "{}", sent.text());
    gateway.wait_metric(
        "cirque_mirror_requests_total",
        &["model=\"m\"", "to=\"other\"", "result=\"only_own\""],
        1.0,
    );
    assert_eq!(own.count(), 1);
}

#[test]
fn a_mirrored_stream_is_compared_to_its_end() {
    let (own, copy) = (Upstream::streaming(), Upstream::streaming());
    let mut config = model(&[&own], "mirror: { to: other, concurrency: 1 },");
    config = config.replace(
        "models:",
        &format!("  x: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  other: {{ targets: [ {{ provider: x, model: up }} ] }}", copy.url()),
    );
    let gateway = Gateway::with(config);
    gateway.stream().ok();
    gateway.wait_metric("cirque_mirror_requests_total", &["model=\"m\"", "result=\"both\""], 1.0);
    gateway.wait_metric(
        "cirque_mirror_output_tokens_total",
        &["side=\"copy\""],
        gateway.metric("cirque_mirror_output_tokens_total", &["side=\"own\""]),
    );
    assert_eq!(copy.count(), 1);
}

#[test]
fn arms_of_a_split_are_told_apart_in_metrics_and_prices_in_records() {
    let (a, b) = (Upstream::ok(), Upstream::ok());
    let config = model(&[&a, &b], "strategy: split, sticky: { by: session-header },")
        .replace(
            "provider: a,",
            "provider: a, arm: control, price: { input: \"1.00\", output: \"2.00\" },",
        )
        .replace("provider: b,", "provider: b, arm: canary,");
    let gateway = Gateway::with(config);
    for number in 0..40 {
        let header = format!("x-session-id: {number}\r\nx-request-id: arm-{number}\r\n");
        gateway.post_with("/v1/chat/completions", &header, chat("m")).ok();
    }
    gateway.wait_metric("cirque_arm_requests_total", &["arm=\"control\""], a.count() as f64);
    gateway.wait_metric("cirque_arm_requests_total", &["arm=\"canary\""], b.count() as f64);
    assert!(a.count() > 5 && b.count() > 5, "{} {}", a.count(), b.count());
    let lines: Vec<_> = (0..40).map(|number| gateway.access(&format!("arm-{number}"))).collect();
    for line in lines {
        let control = line["arm"] == "control";
        assert_eq!(line["cost_usd"].as_f64().is_some(), control, "{line}");
    }
    assert!(gateway.metric("cirque_upstream_cost_usd_total", &["target=\"a/up\""]) > 0.0);
}

#[test]
fn the_cheapest_target_is_asked_first() {
    let (dear, cheap, unknown) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let config = model(&[&dear, &unknown, &cheap], "strategy: cheapest,")
        .replace("provider: a,", "provider: a, price: { input: \"5\", output: \"15\" },")
        .replace(
            "provider: c,",
            "provider: c, price: { input: \"0.15\", output: \"0.60\" },",
        );
    let gateway = Gateway::with(config);
    for _ in 0..5 {
        gateway.chat().ok();
    }
    assert_eq!((dear.count(), cheap.count(), unknown.count()), (0, 5, 0));
}

#[test]
fn requests_beyond_a_targets_bound_wait_their_turn() {
    let gate = Arc::new(Gate::default());
    let upstream = held(&gate);
    let config = model(&[&upstream], "queue: { size: 10, wait: 20s },")
        .replace("provider: a,", "provider: a, max_in_flight: 1,");
    let gateway = Gateway::with(config);
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4)
            .map(|number| {
                let gateway = &gateway;
                scope.spawn(move || {
                    let id = format!("x-request-id: wait-{number}\r\n");
                    gateway.post_with("/v1/chat/completions", &id, chat("m"))
                })
            })
            .collect();
        eventually("one asks", || (upstream.count() == 1).then_some(()));
        eventually("three wait", || {
            (gateway.metric("cirque_queue_position_count", &["model=\"m\""]) >= 3.0).then_some(())
        });
        assert_eq!(upstream.count(), 1, "the bound holds");
        gate.open();
        for thread in asked {
            thread.join().unwrap().ok();
        }
    });
    gateway.wait_metric("cirque_queue_requests_total", &["result=\"served\""], 3.0);
    let waited = (0..4).filter(|number| gateway.access(&format!("wait-{number}"))["queued_ms"].is_number());
    assert_eq!(waited.count(), 3);
}

#[test]
fn a_wait_that_is_too_long_ends_in_503_and_a_full_line_at_once() {
    let gate = Arc::new(Gate::default());
    let upstream = held(&gate);
    let config = model(&[&upstream], "queue: { size: 1, wait: 300ms },")
        .replace("provider: a,", "provider: a, max_in_flight: 1,");
    let gateway = Gateway::with(config);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.chat());
        eventually("it asks", || (upstream.count() == 1).then_some(()));
        let second = scope.spawn(|| gateway.chat());
        eventually("it waits", || {
            (gateway.metric("cirque_queue_position_count", &["model=\"m\""]) >= 1.0).then_some(())
        });
        let refused = gateway.post(
            "/v1/messages",
            r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}"#,
        );
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(refused.json()["error"]["type"], "overloaded_error");
        assert!(refused.header("retry-after").is_some());
        let waited = second.join().unwrap();
        waited.expect_error(503, "upstream_error", "overloaded");
        assert!(waited.header("retry-after").is_some());
        gate.open();
        first.join().unwrap().ok();
    });
}

#[test]
fn without_a_line_a_full_pool_uses_its_fallback_and_then_refuses() {
    let gate = Arc::new(Gate::default());
    let upstream = held(&gate);
    let config = model(&[&upstream], "").replace("provider: a,", "provider: a, max_in_flight: 1,");
    let gateway = Gateway::with(config);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.chat());
        eventually("it asks", || (upstream.count() == 1).then_some(()));
        gateway.chat().expect_error(503, "upstream_error", "overloaded");
        gate.open();
        first.join().unwrap().ok();
    });
}

#[test]
fn a_cooling_pool_with_a_line_answers_when_it_has_cooled() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::script(move |conn| {
        while conn.request().is_some() {
            match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => conn.send(answer(429, "retry-after-ms: 200\r\n", "{}")),
                _ => conn.send(json_answer(200, CHAT)),
            };
        }
    });
    let gateway = Gateway::with(model(&[&upstream], "queue: { wait: 20s },"));
    gateway.chat().ok();
    assert_eq!(upstream.count(), 2);
}

#[test]
fn one_token_closes_the_breaker_of_a_target_that_works_again() {
    let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let upstream = {
        let works = Arc::clone(&works);
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                let works = works.load(std::sync::atomic::Ordering::SeqCst);
                conn.send(json_answer(if works { 200 } else { 500 }, CHAT));
            }
        })
    };
    let config = model(&[&upstream], "").replace(
        "kind: openai,",
        "kind: openai, health_check: { kind: one-token, interval: 100ms },",
    );
    let gateway = Gateway::with(config);
    for _ in 0..5 {
        gateway.chat();
    }
    gateway.wait_metric("cirque_breaker_state", &["target=\"a/up\""], 2.0);
    works.store(true, std::sync::atomic::Ordering::SeqCst);
    gateway.wait_metric("cirque_breaker_state", &["target=\"a/up\""], 0.0);
    let probe = upstream.requests().pop().unwrap();
    assert!(probe.text().contains("\"max_tokens\":1"), "{}", probe.text());
}

#[test]
fn a_stream_that_hedges_gives_one_answer_only() {
    let (a, b) = (Upstream::streaming(), Upstream::streaming());
    let gateway = Gateway::with(model(
        &[&a, &b],
        "hedge: { after: 1ms, at_least: 1ms, budget_percent: 100 },",
    ));
    for _ in 0..10 {
        let response = gateway.post("/v1/chat/completions", chat_stream("m")).ok();
        assert_eq!(response.text().matches("[DONE]").count(), 1);
    }
}
