//! Connections on both sides: reuse, staleness, pipelining, the cap.

use crate::support::client::{chat, post};
use crate::support::gateway::{self, Builder};
use crate::support::upstream::{CHAT, answer, error_body, json_answer};
use crate::support::{Conn, Gate, Gateway, Upstream, eventually};

/// One upstream connection served all, but for those that Pingora could not take from its pool because the task that watches
/// idle ones still held them (it says so; happens on a busy machine).
#[track_caller]
fn one_connection(gateway: &Gateway, upstream: &Upstream) {
    let lost = || {
        gateway
            .stderr
            .text()
            .matches("failed to acquire reusable stream")
            .count()
    };
    eventually("one connection, and one for each that was lost", || {
        (upstream.connections() == 1 + lost()).then_some(())
    });
}

#[test]
fn upstream_connections_are_reused() {
    let upstream = Upstream::ok();
    // One worker: its requests find each other's connections.
    let gateway = Gateway::before(&upstream);
    for _ in 0..10 {
        gateway.chat().ok();
    }
    assert_eq!(upstream.count(), 10);
    one_connection(&gateway, &upstream);
}

#[test]
fn a_connection_is_reused_after_a_429() {
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("\"limited\"") {
                conn.send(answer(
                    429,
                    "content-type: application/json\r\nretry-after: 0\r\n",
                    &error_body("slow down"),
                ));
            } else {
                conn.send(json_answer(200, CHAT));
            }
        }
    });
    let body = format!(
        "{}providers:\n  p: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  m: {{ targets: [ {{ provider: p, model: limited }} ], fallback: [ b ] }}\n  b: {{ targets: [ {{ provider: p, model: fine }} ] }}\n",
        gateway::TIMEOUTS,
        upstream.url()
    );
    let gateway = Gateway::with(body);
    let response = gateway.chat().ok();
    assert_eq!(response.header("x-cirque-attempts"), Some("2"));
    assert_eq!(upstream.count(), 2);
    one_connection(&gateway, &upstream);
}

#[test]
fn a_stale_pooled_connection_is_replaced_without_counting_an_attempt() {
    // Each connection answers once and then closes when the next request has been read: the gateway finds out the hard way.
    let upstream = Upstream::script(|conn| {
        if conn.request().is_some() {
            conn.send(json_answer(200, CHAT));
            if conn.index == 0 {
                conn.request();
            } else {
                while conn.request().is_some() {
                    conn.send(json_answer(200, CHAT));
                }
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    gateway.chat().ok();
    let response = gateway.chat().ok();
    assert_eq!(response.header("x-cirque-attempts"), Some("1"));
    assert_eq!(upstream.connections(), 2);
    assert_eq!(
        gateway.metric("cirque_upstream_attempts_total", &["outcome=\"disconnected\""]),
        0.0
    );
    gateway.wait_attempts("p", "ok", 2);
}

#[test]
fn a_fresh_connection_that_breaks_is_a_failure_not_stale() {
    let upstream = Upstream::script(|conn| drop(conn.request()));
    let gateway = Gateway::before(&upstream);
    gateway.chat().expect_error(502, "upstream_error", "provider_error");
    assert_eq!(upstream.count(), 1, "asked once only");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    let mut both = post("/v1/chat/completions", "x-request-id: first-1\r\n", chat("m"));
    both.extend(post("/v1/chat/completions", "x-request-id: second-2\r\n", "{}"));
    both.extend(post("/v1/chat/completions", "x-request-id: third-3\r\n", chat("m")));
    client.send(both);
    let (first, second, third) = (client.response(), client.response(), client.response());
    assert_eq!((first.status, first.header("x-request-id")), (200, Some("first-1")));
    assert_eq!((second.status, second.header("x-request-id")), (400, Some("second-2")));
    assert_eq!((third.status, third.header("x-request-id")), (200, Some("third-3")));
}

#[test]
fn a_large_early_refusal_is_heard_although_the_upload_was_cut() {
    // The provider reads the head, answers 413 and resets while the body is still coming.
    let upstream = Upstream::script(|conn| {
        if conn.head().is_some() {
            conn.send(json_answer(413, &error_body("too long for this model")));
            conn.finish_sending();
            let _ = conn.read_some();
        }
    });
    let gateway = Gateway::before(&upstream);
    let text = "x".repeat(8_000_000);
    let response = gateway.post(
        "/v1/chat/completions",
        format!(r#"{{"model":"m","messages":[{{"content":"{text}"}}]}}"#),
    );
    assert_eq!(response.status, 413, "{}", response.text());
    assert_eq!(response.json()["error"]["message"], "too long for this model");
}

#[test]
fn connections_beyond_the_cap_are_closed_at_once_and_others_live() {
    let upstream = Upstream::ok();
    let gateway = Builder::new(format!("limits: {{ connections: 5 }}\n{}", gateway::one(&upstream))).start();
    // The readiness check's own connection may still be counted.
    gateway.wait_metric("cirque_client_connections", &[], 0.0);
    let mut held: Vec<_> = (0..5).map(|_| gateway.client()).collect();
    gateway.wait_metric("cirque_client_connections", &[], 5.0);
    let mut sixth = gateway.client();
    assert!(sixth.closes());
    held[0].post("/v1/chat/completions", "", chat("m"));
    held[0].response().ok();
    held.pop();
    eventually("a place is free again", || {
        let mut client = gateway.client();
        client
            .try_send(post("/v1/chat/completions", "connection: close\r\n", chat("m")))
            .ok()?;
        client.rest().contains("200 OK").then_some(())
    });
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let gate = Gate::default();
    let open = gate.clone();
    let upstream = Upstream::script(move |conn: &mut Conn| {
        while conn.request().is_some() {
            gate.wait();
            conn.send(json_answer(200, CHAT));
        }
    });
    let body = gateway::one(&upstream).replace("first_byte: 600ms", "first_byte: 3s");
    let gateway = Gateway::with(body);
    let mut clients: Vec<_> = (0..40).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.post("/v1/chat/completions", "", chat("m"));
    }
    eventually("all are in flight", || (upstream.count() == 40).then_some(()));
    assert_eq!(gateway.metric("cirque_in_flight_requests", &[]), 40.0);
    open.open();
    for client in &mut clients {
        client.response().ok();
    }
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
}
