//! Waiting lines at their edges: who leaves, who is displaced, who waits before a fallback, whose own time is up.

use super::{held, model};
use crate::support::client::{Client, chat};
use crate::support::{Gate, Gateway, Upstream, eventually};
use std::sync::Arc;

/// One request at a time.
fn narrow(upstream: &Upstream, keys: &str) -> String {
    model(&[upstream], keys).replace("provider: a,", "provider: a, max_in_flight: 1,")
}

fn wait_waiting(gateway: &Gateway, count: f64) {
    gateway.wait_metric("cirque_queue_position_count", &["model=\"m\""], count);
}

#[test]
fn who_leaves_while_waiting_makes_room_and_takes_no_turn() {
    let gate = Arc::new(Gate::default());
    let upstream = held(&gate);
    let gateway = Gateway::with(narrow(&upstream, "queue: { size: 2, wait: 20s },"));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.chat());
        eventually("it asks", || (upstream.count() == 1).then_some(()));
        let mut leaving = Client::connect(gateway.address);
        leaving.post("/v1/chat/completions", "x-request-id: leaves-1\r\n", chat("m"));
        wait_waiting(&gateway, 1.0);
        let second = scope.spawn(|| gateway.chat());
        wait_waiting(&gateway, 2.0);
        gateway.chat().expect_error(503, "upstream_error", "overloaded");
        drop(leaving);
        gateway.wait_metric("cirque_queue_requests_total", &["result=\"left\""], 1.0);
        let third = scope.spawn(|| gateway.chat());
        wait_waiting(&gateway, 3.0);
        gate.open();
        for thread in [first, second, third] {
            thread.join().unwrap().ok();
        }
    });
    assert_eq!(upstream.count(), 3);
    assert_eq!(gateway.access("leaves-1")["status"], 499);
    gateway.wait_metric("cirque_queue_requests_total", &["result=\"served\""], 2.0);
    gateway.wait_metric("cirque_queue_depth", &["model=\"m\""], 0.0);
}

#[test]
fn who_ranks_higher_takes_the_place_of_the_lowest() {
    let gate = Arc::new(Gate::default());
    let upstream = held(&gate);
    let config = narrow(&upstream, "queue: { size: 1, wait: 20s },");
    let gateway = Gateway::with(format!(
        "{config}routes:\n  - {{ name: high, when: 'headers[\"x-class\"] == \"high\"', priority: 8 }}\n"
    ));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.chat());
        eventually("it asks", || (upstream.count() == 1).then_some(()));
        let low = scope.spawn(|| gateway.chat());
        wait_waiting(&gateway, 1.0);
        let high = scope.spawn(|| gateway.post_with("/v1/chat/completions", "x-class: high\r\n", chat("m")));
        wait_waiting(&gateway, 2.0);
        let shed = low.join().unwrap();
        shed.expect_error(503, "upstream_error", "overloaded");
        assert!(shed.header("retry-after").is_some());
        // An equal one does not.
        gateway
            .post_with("/v1/chat/completions", "x-class: high\r\n", chat("m"))
            .expect_error(503, "upstream_error", "overloaded");
        gate.open();
        first.join().unwrap().ok();
        high.join().unwrap().ok();
    });
    for (result, count) in [("shed", 1.0), ("refused", 1.0), ("served", 1.0)] {
        gateway.wait_metric("cirque_queue_requests_total", &[&format!("result=\"{result}\"")], count);
    }
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_fallback_is_asked_at_once_or_after_waiting_as_the_model_says() {
    for (before, keys) in [
        (false, "queue: { wait: 20s }, fallback: [ spare ],"),
        (
            true,
            "queue: { wait: 300ms, before_fallback: true }, fallback: [ spare ],",
        ),
    ] {
        let gate = Arc::new(Gate::default());
        let (upstream, spare) = (held(&gate), Upstream::ok());
        let config = narrow(&upstream, keys).replace(
            "models:",
            &format!("  s: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  spare: {{ targets: [ {{ provider: s, model: up }} ] }}", spare.url()),
        );
        let gateway = Gateway::with(config);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| gateway.chat());
            eventually("it asks", || (upstream.count() == 1).then_some(()));
            let id = "falls-back-1";
            let headers = format!("x-request-id: {id}\r\n");
            let response = gateway.post_with("/v1/chat/completions", &headers, chat("m")).ok();
            assert_eq!(response.header("x-cirque-target"), Some("s/up"));
            let line = gateway.access(id);
            assert_eq!(
                line["queued_ms"].as_f64().is_some_and(|waited| waited >= 300.0),
                before,
                "{line}"
            );
            gate.open();
            first.join().unwrap().ok();
        });
    }
}

#[test]
fn a_clients_own_deadline_ends_its_wait() {
    let gate = Arc::new(Gate::default());
    let upstream = held(&gate);
    let gateway = Gateway::with(narrow(&upstream, "queue: { wait: 20s },"));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.chat());
        eventually("it asks", || (upstream.count() == 1).then_some(()));
        let response = gateway.post_with("/v1/chat/completions", "x-cirque-timeout-ms: 200\r\n", chat("m"));
        assert!(matches!(response.status, 503 | 504), "{}", response.text());
        gate.open();
        first.join().unwrap().ok();
    });
    assert_eq!(upstream.count(), 1, "it was not sent after its time");
}
