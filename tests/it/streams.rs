//! Streams past the commit point: one in-band error and a clean end, never a made-up `stop` or `[DONE]`. How they break:
//! `fault_matrix.rs`.

use crate::support::client::{chat_stream, ends_in_error};
use crate::support::gateway;
use crate::support::upstream::{CHUNK, DONE, FINISH, error_body, stream_answer};
use crate::support::{Conn, Gate, Gateway, Upstream};
use std::time::{Duration, Instant};

/// Sends a head and one event, then does `then`.
fn begun(then: impl Fn(&mut Conn) + Send + Sync + 'static) -> Upstream {
    Upstream::script(move |conn| {
        if conn.request().is_some() {
            conn.stream_head();
            conn.chunk(CHUNK);
            then(conn);
        }
    })
}

#[track_caller]
fn broken(upstream: &Upstream, code: &str, outcome: &str) {
    let gateway = Gateway::before(upstream);
    let mut client = gateway.client();
    client.post(
        "/v1/chat/completions",
        "x-request-id: broken-stream\r\n",
        chat_stream("m"),
    );
    let response = client.response();
    ends_in_error(&response, "upstream_error", code);
    assert!(
        response.text().starts_with(CHUNK),
        "what was complete is kept: {}",
        response.text()
    );
    assert_eq!(response.text().matches("data: ").count(), 2, "{}", response.text());
    assert_eq!(upstream.count(), 1, "never retried once bytes were sent");
    gateway.wait_attempts("p", outcome, 1);
    assert_eq!(gateway.access("broken-stream")["error"], code);
    // The connection to the client is whole: it serves the next request.
    client.send("GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n");
    client.response().ok();
}

#[test]
fn a_reset_ends_in_an_error() {
    broken(&begun(Conn::reset), "provider_error", "disconnected");
}

#[test]
fn the_providers_own_error_event_is_passed_on_as_the_last() {
    let event = error_body("the model crashed");
    let upstream = begun({
        let event = event.clone();
        move |conn| {
            conn.chunk(format!("data: {event}\n\n"));
            conn.chunk(DONE);
            conn.send("0\r\n\r\n");
        }
    });
    let gateway = Gateway::before(&upstream);
    let response = gateway.stream();
    assert!(response.complete);
    assert_eq!(response.text(), format!("{CHUNK}data: {event}\n\n"));
    gateway.wait_attempts("p", "server_error", 1);
}

#[test]
fn a_missing_done_after_a_finish_reason_ends_clean_and_nothing_is_made_up() {
    let upstream = Upstream::always(stream_answer(&[CHUNK, FINISH]));
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.stream().ok().text(), [CHUNK, FINISH].concat());
    gateway.wait_attempts("p", "ok", 1);
}

#[test]
fn events_arrive_while_the_stream_is_open() {
    let gate = Gate::default();
    let upstream = begun({
        let gate = gate.clone();
        move |conn| {
            gate.wait();
            conn.chunk(FINISH);
            conn.chunk(DONE);
            conn.send("0\r\n\r\n");
        }
    });
    let gateway = Gateway::with(gateway::one(&upstream).replace("idle: 400ms", "idle: 4s"));
    let mut client = gateway.open_stream();
    assert_eq!(
        client.until("\n\n"),
        CHUNK,
        "the first event is here before the second was sent"
    );
    gate.open();
    assert_eq!(client.until("[DONE]\n\n"), [FINISH, DONE].concat());
    assert!(client.chunk().is_none());
}

#[test]
fn done_ends_the_response_although_the_provider_holds_its_connection() {
    let upstream = begun(|conn| {
        conn.chunk(FINISH);
        conn.chunk(DONE);
        conn.wait_closed();
    });
    let gateway = Gateway::before(&upstream);
    let began = Instant::now();
    assert_eq!(gateway.stream().ok().text(), [CHUNK, FINISH, DONE].concat());
    assert!(began.elapsed() < Duration::from_secs(2));
    upstream.closed();
}

#[test]
fn the_demo_model_streams_without_any_provider() {
    let gateway =
        Gateway::with("providers: { d: { kind: demo } }\nmodels: { demo: { targets: [ { provider: d } ] } }\n");
    let response = gateway.post("/v1/chat/completions", chat_stream("demo")).ok();
    assert!(response.text().ends_with(DONE), "{}", response.text());
    assert!(response.text().matches("data: ").count() > 3);
}
