//! Streams past the commit point: one in-band error and a clean end, never a made-up `stop` or `[DONE]`.

use crate::support::client::{chat_stream, ends_in_error};
use crate::support::gateway::{self, Builder};
use crate::support::upstream::{CHUNK, DONE, FINISH, error_body, stream_answer};
use crate::support::{Conn, Gate, Gateway, PATIENCE, Upstream};
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
fn a_hang_is_ended_by_the_idle_deadline_and_the_upstream_closed() {
    let upstream = begun(Conn::wait_closed);
    broken(&upstream, "provider_timeout", "idle_timeout");
    upstream.closed();
}

#[test]
fn a_reset_ends_in_an_error() {
    broken(&begun(Conn::reset), "provider_error", "disconnected");
}

#[test]
fn a_reset_inside_an_event_discards_the_fragment() {
    let upstream = begun(|conn| {
        conn.chunk(&CHUNK[..30]);
        conn.reset();
    });
    broken(&upstream, "provider_error", "disconnected");
}

#[test]
fn an_end_of_the_connection_without_terminator_ends_in_an_error() {
    broken(&begun(|_| {}), "provider_error", "disconnected");
}

#[test]
fn a_clean_end_without_finish_or_done_is_an_error() {
    let upstream = begun(|conn| {
        conn.send("0\r\n\r\n");
    });
    broken(&upstream, "provider_bad_response", "bad_response");
}

#[test]
fn a_clean_end_inside_an_event_is_an_error() {
    let upstream = begun(|conn| {
        conn.chunk("data: {\"choices\":[{\"finish_reason\":\"stop\"");
        conn.send("0\r\n\r\n");
    });
    broken(&upstream, "provider_bad_response", "bad_response");
}

#[test]
fn garbage_in_the_middle_ends_in_an_error_and_is_not_shown() {
    let upstream = begun(|conn| {
        conn.chunk("data: <html>INTERNAL DETAIL</html>\n\n");
        conn.wait_closed();
    });
    broken(&upstream, "provider_bad_response", "bad_response");
    upstream.closed();
}

#[test]
fn chunk_framing_that_is_broken_ends_in_an_error() {
    let upstream = begun(|conn| {
        conn.send("ZZZ\r\nnonsense\r\n");
        conn.wait_closed();
    });
    broken(&upstream, "provider_error", "disconnected");
}

#[test]
fn a_ten_megabyte_line_is_capped() {
    let upstream = begun(|conn| {
        conn.chunk("data: ");
        for _ in 0..640 {
            if !conn.chunk([b'x'; 16384]) {
                return;
            }
        }
        conn.wait_closed();
    });
    broken(&upstream, "provider_bad_response", "bad_response");
}

#[test]
fn a_first_line_of_ten_megabytes_goes_to_the_next_target() {
    let bad = Upstream::script(|conn| {
        conn.request();
        conn.stream_head();
        conn.chunk("data: ");
        for _ in 0..640 {
            if !conn.chunk([b'x'; 16384]) {
                return;
            }
        }
    });
    let good = Upstream::streaming();
    let gateway = Gateway::with(gateway::two(&bad.url(), &good.url()));
    let response = gateway.stream().ok();
    assert_eq!(response.header("x-cirque-target"), Some("b/spare"));
    gateway.wait_attempts("a", "bad_response", 1);
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
fn a_drip_inside_an_event_does_not_keep_a_stream_alive() {
    let upstream = begun(|conn| {
        let until = Instant::now() + PATIENCE;
        conn.chunk("data: ");
        while Instant::now() < until && conn.chunk("x") {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let began = Instant::now();
    broken(&upstream, "provider_timeout", "idle_timeout");
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[test]
fn the_stream_deadline_ends_an_endless_stream() {
    let upstream = begun(|conn| {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && conn.chunk(CHUNK) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let gateway = Gateway::with(gateway::one(&upstream).replace("stream_total: 5s", "stream_total: 900ms"));
    let response = gateway.stream();
    ends_in_error(&response, "upstream_error", "provider_timeout");
    gateway.wait_attempts("p", "total_timeout", 1);
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
fn a_client_that_leaves_mid_stream_closes_the_upstream_within_a_second() {
    let upstream = begun(Conn::wait_closed);
    let gateway = Gateway::with(gateway::one(&upstream).replace("idle: 400ms", "idle: 4s"));
    let mut client = gateway.client();
    client.post("/v1/chat/completions", "x-request-id: left-early\r\n", chat_stream("m"));
    client.head();
    client.until("\n\n");
    drop(client);
    let left = Instant::now();
    assert!(upstream.closed().saturating_duration_since(left) <= Duration::from_secs(1));
    gateway.wait_attempts("p", "cancelled", 1);
    let line = gateway.access("left-early");
    assert_eq!(
        (line["status"].as_u64(), line["error"].as_str()),
        (Some(499), Some("client_left"))
    );
    assert_eq!(line["client_left"], true);
}

#[test]
fn a_client_that_does_not_read_is_given_up_and_memory_stays_bounded() {
    let upstream = begun(|conn| {
        let event = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
            "x".repeat(32_000)
        );
        // Far more than the sockets hold; ends when the gateway stops reading and closes.
        for _ in 0..4_000 {
            if !conn.chunk(&event) {
                return;
            }
        }
    });
    let body = format!(
        "limits: {{ write_timeout: 500ms }}\n{}",
        gateway::one(&upstream).replace("idle: 400ms", "idle: 4s")
    );
    let gateway = Builder::new(body).start();
    let client = gateway.open_stream();
    gateway.wait_metric("cirque_requests_total", &["status=\"499\""], 1.0);
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    let memory = gateway.metric("cirque_process_resident_memory_bytes", &[]);
    assert!(memory < 150e6, "{memory}");
    drop(client);
}

#[test]
fn the_demo_model_streams_without_any_provider() {
    let gateway =
        Gateway::with("providers: { d: { kind: demo } }\nmodels: { demo: { targets: [ { provider: d } ] } }\n");
    let response = gateway.post("/v1/chat/completions", chat_stream("demo")).ok();
    assert!(response.text().ends_with(DONE), "{}", response.text());
    assert!(response.text().matches("data: ").count() > 3);
}
