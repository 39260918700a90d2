//! What the operator sees: metrics, the access log, ids; and what must never be in them.

use crate::support::client::{chat, chat_stream};
use crate::support::gateway;
use crate::support::upstream::{CHAT, CHUNK, DONE, FINISH, answer, error_body, json_answer, stream_answer};
use crate::support::{Gateway, Upstream, eventually};

#[test]
fn tokens_are_the_providers() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    client.post("/v1/chat/completions", "x-request-id: tokens-1\r\n", chat("m"));
    client.response().ok();
    for (kind, count) in [("input", 9.0), ("output", 12.0), ("cached", 3.0), ("reasoning", 5.0)] {
        let kind = format!("kind=\"{kind}\"");
        gateway.wait_metric(
            "cirque_tokens_total",
            &[&kind, "estimated=\"false\"", "model=\"m\"", "provider=\"p\""],
            count,
        );
    }
    let line = gateway.access("tokens-1");
    assert_eq!(
        (line["input_tokens"].as_u64(), line["output_tokens"].as_u64()),
        (Some(9), Some(12))
    );
    assert_eq!(
        (line["attempts"].as_u64(), line["status"].as_u64()),
        (Some(1), Some(200))
    );
    assert_eq!(
        (line["model"].as_str(), line["target"].as_str()),
        (Some("m"), Some("p/up"))
    );
    assert_eq!(line["bytes_in"].as_u64(), Some(chat("m").len() as u64));
    assert_eq!(line["bytes_out"].as_u64(), Some(CHAT.len() as u64));
    gateway.wait_metric("cirque_requests_total", &["operation=\"chat\"", "status=\"200\""], 1.0);
    gateway.wait_metric("cirque_request_duration_seconds_count", &["operation=\"chat\""], 1.0);
}

#[test]
fn tokens_of_a_stream_are_the_providers_and_the_first_event_is_timed() {
    let upstream = Upstream::streaming();
    let gateway = Gateway::before(&upstream);
    gateway.stream().ok();
    gateway.wait_metric("cirque_tokens_total", &["kind=\"output\"", "estimated=\"false\""], 12.0);
    gateway.wait_metric("cirque_time_to_first_token_seconds_count", &[], 1.0);
}

#[test]
fn tokens_are_estimated_when_the_provider_says_nothing() {
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("\"stream\":true") {
                conn.send(stream_answer(&[CHUNK, FINISH, DONE]));
            } else {
                conn.send(json_answer(
                    200,
                    r#"{"choices":[{"message":{"role":"assistant","content":"Hello to you"},"finish_reason":"stop"}]}"#,
                ));
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    for request in [chat("m"), chat_stream("m")] {
        let before = gateway.metric("cirque_tokens_total", &["kind=\"output\"", "estimated=\"true\""]);
        gateway.post("/v1/chat/completions", request).ok();
        // The vocabulary is built at its first use, unoptimised here.
        let deadline = std::time::Instant::now() + 3 * crate::support::PATIENCE;
        while gateway.metric("cirque_tokens_total", &["kind=\"output\"", "estimated=\"true\""]) <= before {
            assert!(std::time::Instant::now() < deadline, "no estimate");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    assert!(gateway.metric("cirque_tokens_total", &["kind=\"input\"", "estimated=\"true\""]) > 0.0);
    assert_eq!(gateway.metric("cirque_tokens_total", &["estimated=\"false\""]), 0.0);
}

#[test]
fn statuses_are_labels() {
    let upstream = Upstream::always(json_answer(422, &error_body("no")));
    let gateway = Gateway::before(&upstream);
    gateway.chat();
    gateway.post("/v1/chat/completions", "{");
    gateway.post("/v1/chat/completions", chat("unheard-of"));
    gateway.get("/nowhere");
    for status in ["422", "400"] {
        gateway.wait_metric("cirque_requests_total", &[&format!("status=\"{status}\"")], 1.0);
    }
    gateway.wait_metric("cirque_requests_total", &["status=\"404\""], 2.0);
    let metrics = gateway.metrics();
    assert!(
        !metrics.contains("unheard-of") && !metrics.contains("nowhere"),
        "a client's string is a label"
    );
}

#[test]
fn a_request_id_is_echoed_when_sane_and_replaced_otherwise() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let id_of = |header: &str| {
        let mut client = gateway.client();
        client.post("/v1/chat/completions", header, chat("m"));
        client.response().ok().header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id_of("x-request-id: mine-123_A.b\r\n"), "mine-123_A.b");
    let long = format!("x-request-id: {}\r\n", "y".repeat(5000));
    for header in [
        "",
        "x-request-id: with space\r\n",
        "x-request-id: \"quoted\"\r\n",
        "x-request-id: \r\n",
        long.as_str(),
    ] {
        let id = id_of(header);
        assert!(
            !id.is_empty() && id.len() <= 128 && !id.contains([' ', '"']),
            "{header:?}: {id}"
        );
    }
    assert_ne!(id_of(""), id_of(""));
}

#[test]
fn errors_carry_the_gateways_headers_too() {
    let bad = Upstream::always(json_answer(500, &error_body("x")));
    let gateway = Gateway::with(gateway::two(&bad.url(), &bad.url()));
    let response = gateway.chat();
    assert_eq!(response.status, 502);
    assert_eq!(response.header("x-cirque-attempts"), Some("2"));
    assert_eq!(response.header("x-cirque-target"), Some("b/spare"));
    assert_eq!(response.header("x-cirque-model"), Some("m"));
}

#[test]
fn no_secret_prompt_or_header_of_a_client_is_logged() {
    let upstream = Upstream::script(|conn| {
        if let Some(request) = conn.request() {
            let error = error_body("UPSTREAMTEXT sk-ours");
            let status = [200, 400, 401, 429, 500][conn.index % 5];
            if status == 200 && !request.text().contains("\"stream\":true") {
                conn.send(json_answer(200, &CHAT.replace("Hi", "COMPLETION")));
            } else if status == 200 {
                conn.send(stream_answer(&[
                    &CHUNK.replace("Hi", "COMPLETION"),
                    "data: GARBAGE\n\n",
                ]));
            } else {
                conn.send(answer(status, "connection: close\r\nretry-after: 0\r\n", &error));
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    let headers = "authorization: Bearer CLIENTKEY\r\ncookie: COOKIE=1\r\nx-forwarded-for: 10.9.8.7\r\nuser-agent: AGENT\r\nx-else: ELSE\r\n";
    for round in 0..10 {
        let body = format!(
            r#"{{"model":"m","stream":{},"user":"someone@example.com","messages":[{{"role":"user","content":"PROMPT"}}]}}"#,
            round % 2 == 0
        );
        gateway.post_with("/v1/chat/completions", headers, body);
    }
    gateway.post_with(
        "/v1/chat/completions",
        headers,
        r#"{"model":"PROMPT","messages":"PROMPT""#,
    );
    gateway.post_with(
        "/v1/chat/completions?key=CLIENTKEY",
        headers,
        r#"{"model":"MODELNAME","messages":"PROMPT"}"#,
    );
    eventually("twelve access lines", || {
        (gateway
            .stdout
            .text()
            .lines()
            .filter(|l| l.contains("\"operation\""))
            .count()
            >= 12)
            .then_some(())
    });
    let logged = format!(
        "{}{}{}",
        gateway.stdout.text(),
        gateway.stderr.text(),
        gateway.metrics()
    );
    for secret in [
        "sk-ours",
        "CLIENTKEY",
        "COOKIE",
        "10.9.8.7",
        "AGENT",
        "ELSE",
        "PROMPT",
        "COMPLETION",
        "UPSTREAMTEXT",
        "someone@",
        "GARBAGE",
        "MODELNAME",
    ] {
        assert!(!logged.contains(secret), "{secret} was logged: {logged}");
    }
}

#[test]
fn a_retry_shows_in_the_access_line() {
    let (bad, good) = (Upstream::always(json_answer(500, &error_body("x"))), Upstream::ok());
    let gateway = Gateway::with(gateway::two(&bad.url(), &good.url()));
    let mut client = gateway.client();
    client.post("/v1/chat/completions", "x-request-id: retried-1\r\n", chat("m"));
    client.response().ok();
    let line = gateway.access("retried-1");
    assert_eq!(
        (line["attempts"].as_u64(), line["target"].as_str()),
        (Some(2), Some("b/spare"))
    );
    assert_eq!(line.get("error"), None);
}

#[test]
fn the_admin_listener_answers_health_and_nothing_else() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let ready = gateway.ready().unwrap();
    assert_eq!((ready.status, ready.text().contains("true")), (200, true));
    assert!(gateway.metrics().contains("cirque_build_info{version="));
    // The clients' listener shows neither.
    gateway
        .get("/metrics")
        .expect_error(404, "invalid_request_error", "unknown_path");
    gateway
        .get("/healthz")
        .expect_error(404, "invalid_request_error", "unknown_path");
}
