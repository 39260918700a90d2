//! Failures before the commit point, which can still go elsewhere, as far as `fault_matrix.rs` does not have them.

use crate::support::client::chat;
use crate::support::gateway::{self, Builder};
use crate::support::upstream::{CHAT, CHUNK, DONE, FINISH, answer, error_body, json_answer, nobody, stream_answer};
use crate::support::{Gateway, Upstream};
use std::time::{Duration, Instant};

/// A gateway whose model `m` falls back from `bad` to a good provider. The good one answers both forms.
fn falling_back(bad: &Upstream) -> (Gateway, Upstream) {
    let good = good();
    (Gateway::with(gateway::two(&bad.url(), &good.url())), good)
}

fn good() -> Upstream {
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("\"stream\":true") {
                conn.send(stream_answer(&[CHUNK, FINISH, DONE]));
            } else {
                conn.send(json_answer(200, CHAT));
            }
        }
    })
}

fn hanging() -> Upstream {
    Upstream::script(|conn| {
        conn.request();
        conn.wait_closed();
    })
}

#[track_caller]
#[test]
fn a_connection_refused_goes_to_the_next_target() {
    let good = good();
    let gateway = Gateway::with(gateway::two(&format!("http://{}/v1", nobody()), &good.url()));
    let response = gateway.chat().ok();
    assert_eq!(response.header("x-cirque-target"), Some("b/spare"));
    gateway.wait_attempts("a", "connect_error", 1);
}

#[test]
fn a_connection_refused_is_502_when_nobody_is_left() {
    let gone = nobody();
    let gateway = Gateway::with(gateway::two(&format!("http://{gone}/v1"), &format!("http://{gone}/v2")));
    let message = gateway.chat().expect_error(502, "upstream_error", "provider_error");
    assert!(!message.contains("127.0.0.1"), "{message}");
}

#[test]
fn a_foreign_error_body_is_put_into_our_form() {
    for (body, message) in [
        (
            "<html>stack trace</html>",
            "the provider refused the request with status 400",
        ),
        (r#"{"detail":"context too long"}"#, "context too long"),
    ] {
        let bad = Upstream::always(answer(400, "content-type: text/html\r\n", body));
        let gateway = Gateway::before(&bad);
        let shown = gateway
            .chat()
            .expect_error(400, "invalid_request_error", "provider_refused");
        assert_eq!(shown, message);
    }
}

#[test]
fn when_all_are_rate_limited_the_smallest_retry_after_is_told() {
    let limited = |after: &str| {
        let headers = format!("content-type: application/json\r\nretry-after: {after}\r\n");
        Upstream::always(answer(429, &headers, &error_body("slow")))
    };
    let (first, second) = (limited("40"), limited("20"));
    let gateway = Gateway::with(gateway::two(&first.url(), &second.url()));
    for attempt in 0..2 {
        let response = gateway.chat();
        response.expect_error(429, "rate_limit_error", "rate_limit_exceeded");
        let after: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((15..=20).contains(&after), "{after}");
        assert_eq!(
            (first.count(), second.count()),
            (1, 1),
            "request {attempt}: a cooling target is left alone"
        );
    }
    gateway.wait_attempts("a", "rate_limited", 1);
}

#[test]
fn a_cooling_target_is_not_asked_again_until_its_time() {
    let limited = Upstream::script(|conn| {
        while conn.request().is_some() {
            if conn.index == 0 {
                conn.send(answer(429, "retry-after-ms: 700\r\nconnection: close\r\n", ""));
                return;
            }
            conn.send(json_answer(200, CHAT));
        }
    });
    let (gateway, good) = falling_back(&limited);
    let began = Instant::now();
    assert_eq!(gateway.chat().ok().header("x-cirque-attempts"), Some("2"));
    let second = gateway.chat().ok();
    // Skipped, not tried: unless this machine took longer than the cool-down.
    if began.elapsed() < Duration::from_millis(600) {
        assert_eq!(second.header("x-cirque-attempts"), Some("1"));
        assert_eq!(second.header("x-cirque-target"), Some("b/spare"));
        assert_eq!((limited.count(), good.count()), (1, 2));
    }
    crate::support::eventually("the first is asked again", || {
        (gateway.chat().ok().header("x-cirque-target") == Some("a/up")).then_some(())
    });
    assert!(began.elapsed() >= Duration::from_millis(650));
}

#[test]
fn the_total_deadline_ends_the_search() {
    let (first, second) = (hanging(), hanging());
    let body = gateway::two(&first.url(), &second.url())
        .replace("connect: 1s", "connect: 500ms")
        .replace("total: 3s", "total: 900ms");
    let gateway = Gateway::with(body);
    let began = Instant::now();
    gateway.chat().expect_error(504, "upstream_error", "provider_timeout");
    assert!(
        (0.9..3.0).contains(&began.elapsed().as_secs_f64()),
        "{:?}",
        began.elapsed()
    );
    gateway.wait_attempts("a", "first_byte_timeout", 1);
    gateway.wait_attempts("b", "total_timeout", 1);
}

#[test]
fn an_answer_larger_than_the_cap_is_502() {
    let big = format!(r#"{{"choices":[],"x":"{}"}}"#, "y".repeat(100_000));
    for upstream in [
        Upstream::always(json_answer(200, &big)),
        Upstream::once_then_close(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{big}"
        )),
    ] {
        let gateway = Builder::new(format!(
            "limits: {{ response_body: 64KiB }}\n{}",
            gateway::one(&upstream)
        ))
        .start();
        gateway
            .chat()
            .expect_error(502, "upstream_error", "provider_bad_response");
    }
}

#[test]
fn informational_responses_are_skipped_but_not_for_ever() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let mut bytes = hints.repeat(2).into_bytes();
    bytes.extend(json_answer(200, CHAT));
    let upstream = Upstream::always(bytes);
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.chat().ok().text(), CHAT);
    let endless = Upstream::once_then_close(hints.repeat(1000));
    let gateway = Gateway::before(&endless);
    gateway
        .chat()
        .expect_error(502, "upstream_error", "provider_bad_response");
}

#[test]
fn a_header_bomb_from_upstream_is_502() {
    let bomb = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n{{}}",
        "x-bomb: yyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(100_000)
    );
    let upstream = Upstream::once_then_close(bomb);
    let gateway = Gateway::before(&upstream);
    let response = gateway.chat();
    assert_eq!(response.status, 502, "{}", response.text());
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = good();
    let upstream = Upstream::always(answer(
        302,
        &format!("location: {}/chat/completions\r\n", elsewhere.url()),
        "",
    ));
    let gateway = Gateway::before(&upstream);
    gateway.chat().expect_error(502, "upstream_error", "provider_error");
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn a_client_that_leaves_while_connecting_ends_the_attempt() {
    // A listener whose queue is full: SYNs are dropped, connecting hangs.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        held.push(stream);
        assert!(held.len() < 100);
    }
    let body = gateway::two(&format!("http://{address}/v1"), &format!("http://{address}/v1"))
        .replace("connect: 1s", "connect: 3s");
    let gateway = Gateway::with(body);
    let mut client = gateway.client();
    client.post("/v1/chat/completions", "", chat("m"));
    gateway.wait_metric("cirque_in_flight_requests", &[], 1.0);
    drop(client);
    let left = Instant::now();
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    assert!(left.elapsed() <= Duration::from_secs(1));
    gateway.wait_metric("cirque_requests_total", &["status=\"499\""], 1.0);
}

#[test]
fn connecting_times_out_and_goes_on() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        held.push(stream);
        assert!(held.len() < 100);
    }
    let good = good();
    let body = gateway::two(&format!("http://{address}/v1"), &good.url())
        .replace("connect: 1s, first_byte: 600ms", "connect: 300ms, first_byte: 2s");
    let gateway = Gateway::with(body);
    assert_eq!(gateway.chat().ok().header("x-cirque-target"), Some("b/spare"));
    gateway.wait_attempts("a", "connect_timeout", 1);
}
