//! The fault table of the resilience design, up to the commit point: every failure here can still go elsewhere.

use crate::support::client::{chat, chat_stream};
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
fn answered_by_the_second(bad: &Upstream, outcome: &str) {
    let (gateway, good) = falling_back(bad);
    for (response, want) in [
        (gateway.chat(), CHAT.to_owned()),
        (gateway.stream(), [CHUNK, FINISH, DONE].concat()),
    ] {
        let response = response.ok();
        assert_eq!(response.text(), want);
        assert_eq!(response.header("x-cirque-target"), Some("b/spare"));
        assert_eq!(response.header("x-cirque-attempts"), Some("2"));
    }
    assert!(good.requests().iter().all(|r| r.text().contains("\"model\":\"spare\"")));
    gateway.wait_attempts("a", outcome, 2);
    gateway.wait_attempts("b", "ok", 2);
}

#[test]
fn a_hang_before_headers_goes_to_the_next_target() {
    let bad = hanging();
    answered_by_the_second(&bad, "first_byte_timeout");
    bad.closed();
}

#[test]
fn a_hang_before_headers_is_504_when_nobody_is_left() {
    let bad = hanging();
    let gateway = Gateway::before(&bad);
    let message = gateway.chat().expect_error(504, "upstream_error", "provider_timeout");
    assert_eq!(message, "the provider did not answer in time");
    gateway.stream().expect_error(504, "upstream_error", "provider_timeout");
}

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
fn a_reset_or_an_end_before_headers_goes_to_the_next_target() {
    answered_by_the_second(
        &Upstream::script(|conn| {
            conn.request();
            conn.reset();
        }),
        "disconnected",
    );
    answered_by_the_second(&Upstream::script(|conn| drop(conn.request())), "disconnected");
}

#[test]
fn garbage_instead_of_http_goes_to_the_next_target() {
    answered_by_the_second(
        &Upstream::once_then_close("SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n"),
        "bad_response",
    );
}

#[test]
fn retryable_statuses_go_to_the_next_target() {
    for status in [408, 425, 500, 502, 503, 504, 529] {
        let bad = Upstream::always(json_answer(status, &error_body("INTERNAL DETAIL")));
        let (gateway, _good) = falling_back(&bad);
        let response = gateway.chat().ok();
        assert_eq!(response.header("x-cirque-target"), Some("b/spare"), "{status}");
        gateway.wait_attempts("a", "server_error", 1);
    }
}

#[test]
fn a_server_error_from_everybody_is_502_and_not_its_body() {
    let bad = Upstream::always(json_answer(500, &error_body("INTERNAL DETAIL")));
    let gateway = Gateway::before(&bad);
    let message = gateway.chat().expect_error(502, "upstream_error", "provider_error");
    assert_eq!(message, "the provider failed on this request");
    assert_eq!(bad.count(), 1);
}

#[test]
fn what_is_the_clients_fault_is_passed_on_and_asked_once() {
    for status in [400, 404, 409, 413, 422] {
        let body = error_body("your fault");
        let bad = Upstream::always(json_answer(status, &body));
        let (gateway, good) = falling_back(&bad);
        for response in [gateway.chat(), gateway.stream()] {
            assert_eq!((response.status, response.text()), (status, body.clone()));
            assert_eq!(response.header("content-type"), Some("application/json"));
            assert_eq!(response.header("x-cirque-target"), Some("a/up"));
        }
        assert_eq!(good.count(), 0, "{status}");
        gateway.wait_attempts("a", "client_error", 2);
    }
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
fn a_refused_credential_goes_to_the_next_target() {
    for status in [401, 403] {
        let bad = Upstream::always(json_answer(status, &error_body("Incorrect API key provided: sk-ours")));
        answered_by_the_second(&bad, "auth_failed");
    }
}

#[test]
fn a_refused_credential_is_502_when_nobody_is_left() {
    for status in [401, 402, 403] {
        let bad = Upstream::always(json_answer(status, &error_body("Incorrect API key provided: sk-ours")));
        let gateway = Gateway::before(&bad);
        let message = gateway
            .chat()
            .expect_error(502, "upstream_error", "provider_auth_failed");
        assert!(!message.contains("sk-ours"));
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
fn an_account_without_money_is_the_credentials_fault() {
    let body = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let bad = Upstream::always(json_answer(429, body));
    let gateway = Gateway::before(&bad);
    gateway
        .chat()
        .expect_error(502, "upstream_error", "provider_auth_failed");
}

#[test]
fn what_is_no_answer_on_a_200_is_asked_for_elsewhere() {
    for (kind, body) in [
        ("application/json", "{\"choices\":[{\"mess"),
        ("text/html", "<html>login</html>"),
        ("application/json", "null"),
        ("application/json", ""),
    ] {
        let bad = Upstream::always(answer(200, &format!("content-type: {kind}\r\n"), body));
        answered_by_the_second(&bad, "bad_response");
    }
}

#[test]
fn what_is_no_answer_is_502_after_one_more_try_and_never_shown() {
    let garbage = || {
        Upstream::always(answer(
            200,
            "content-type: text/html\r\n",
            "<html>INTERNAL DETAIL</html>",
        ))
    };
    let (first, second, third) = (garbage(), garbage(), garbage());
    let mut config = gateway::two(&first.url(), &second.url()).replace("[ backup ]", "[ backup, third ]");
    config += "  third: { targets: [ { provider: c } ] }\n";
    config = config.replace(
        "models:\n",
        &format!("  c: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n", third.url()),
    );
    let gateway = Gateway::with(config);
    for response in [gateway.chat(), gateway.stream()] {
        response.expect_error(502, "upstream_error", "provider_bad_response");
        assert!(!response.text().contains("INTERNAL") && !response.text().contains("html"));
    }
    assert_eq!(
        (first.count(), second.count(), third.count()),
        (2, 2, 0),
        "asked elsewhere once"
    );
}

#[test]
fn an_error_object_on_a_200_is_a_failure() {
    answered_by_the_second(
        &Upstream::always(json_answer(200, &error_body("overloaded"))).streaming_errors(),
        "server_error",
    );
}

impl Upstream {
    /// Error object for whole answers, error event for streams.
    fn streaming_errors(self) -> Self {
        drop(self);
        Self::script(|conn| {
            while let Some(request) = conn.request() {
                let error = error_body("overloaded");
                if request.text().contains("\"stream\":true") {
                    conn.send(stream_answer(&[": hello\n\n", &format!("data: {error}\n\n")]));
                } else {
                    conn.send(json_answer(200, &error));
                }
            }
        })
    }
}

#[test]
fn an_end_before_any_event_on_a_200_goes_to_the_next_target() {
    let bad = Upstream::always(stream_answer(&[]));
    let (gateway, _good) = falling_back(&bad);
    let response = gateway.stream().ok();
    assert_eq!(response.header("x-cirque-target"), Some("b/spare"));
    gateway.wait_attempts("a", "bad_response", 1);

    let reset = Upstream::script(|conn| {
        conn.request();
        conn.stream_head();
        conn.chunk(&CHUNK[..20]);
        conn.reset();
    });
    let (gateway, _good) = falling_back(&reset);
    let response = gateway.stream().ok();
    assert_eq!(response.text(), [CHUNK, FINISH, DONE].concat(), "the fragment is gone");
    gateway.wait_attempts("a", "disconnected", 1);
}

#[test]
fn a_stream_that_never_begins_times_out_and_goes_to_the_next_target() {
    // Comments are no events.
    let bad = Upstream::script(|conn| {
        conn.request();
        conn.stream_head();
        let until = Instant::now() + crate::support::PATIENCE;
        while Instant::now() < until && conn.chunk(": ping\n\n") {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let (gateway, _good) = falling_back(&bad);
    let response = gateway.stream().ok();
    assert_eq!(response.header("x-cirque-target"), Some("b/spare"));
    assert!(!response.text().contains("ping"));
    gateway.wait_attempts("a", "first_event_timeout", 1);
}

#[test]
fn a_short_body_is_502_and_the_fragment_is_not_shown() {
    let bad = Upstream::once_then_close(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        CHAT.len(),
        &CHAT[..40]
    ));
    let gateway = Gateway::before(&bad);
    let response = gateway.chat();
    response.expect_error(502, "upstream_error", "provider_error");
    assert!(!response.text().contains("chat.completion"));
    let (gateway, _good) = falling_back(&bad);
    gateway.chat().ok();
}

#[test]
fn chunks_without_a_terminator_are_502() {
    let bad = Upstream::once_then_close(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{CHAT}\r\n",
        CHAT.len()
    ));
    let gateway = Gateway::before(&bad);
    gateway.chat().expect_error(502, "upstream_error", "provider_error");
}

#[test]
fn bytes_beyond_the_content_length_are_dropped_with_their_connection() {
    let upstream = Upstream::script(|conn| {
        while conn.request().is_some() {
            let mut answer = json_answer(200, CHAT);
            answer.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nSMUGGLED!");
            conn.send(answer);
        }
    });
    let gateway = Gateway::before(&upstream);
    for _ in 0..3 {
        assert_eq!(gateway.chat().ok().text(), CHAT);
    }
    assert_eq!(
        upstream.connections(),
        3,
        "a connection with surplus bytes is not used again"
    );
}

#[test]
fn a_whole_answer_that_drips_is_cut_at_the_total_deadline() {
    let bad = Upstream::script(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n");
        let until = Instant::now() + crate::support::PATIENCE;
        while Instant::now() < until && conn.send(" ") {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let body = gateway::one(&bad).replace("total: 3s", "total: 1s");
    let gateway = Gateway::with(body);
    let began = Instant::now();
    gateway.chat().expect_error(504, "upstream_error", "provider_timeout");
    assert!((1.0..4.0).contains(&began.elapsed().as_secs_f64()));
    gateway.wait_attempts("p", "total_timeout", 1);
}

#[test]
fn a_whole_answer_that_stalls_is_cut_at_the_idle_deadline() {
    let bad = Upstream::script(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{");
        conn.wait_closed();
    });
    let gateway = Gateway::before(&bad);
    gateway.chat().expect_error(504, "upstream_error", "provider_timeout");
    gateway.wait_attempts("p", "idle_timeout", 1);
    bad.closed();
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
fn a_client_that_leaves_before_the_headers_closes_the_upstream() {
    let upstream = hanging();
    let body = gateway::one(&upstream).replace("first_byte: 600ms", "first_byte: 3s");
    let gateway = Gateway::with(body);
    for (nth, sent) in [chat("m"), chat_stream("m")].into_iter().enumerate() {
        let upstream_before = upstream.count();
        let mut client = gateway.client();
        client.post("/v1/chat/completions", "", sent);
        crate::support::eventually("the request arrives", || {
            (upstream.count() > upstream_before).then_some(())
        });
        drop(client);
        let left = Instant::now();
        let closed = upstream.closed_nth(nth);
        assert!(closed.saturating_duration_since(left) <= Duration::from_secs(1));
    }
    gateway.wait_attempts("p", "cancelled", 2);
    gateway.wait_metric("cirque_requests_total", &["status=\"499\""], 2.0);
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
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
