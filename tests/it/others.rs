//! What one client does must not take targets from the others; and a line moves on whoever leaves it.

use crate::support::client::{chat, post};
use crate::support::gateway::{self, Builder};
use crate::support::upstream::{CHAT, answer, error_body, json_answer, stream_answer};
use crate::support::{Gateway, Upstream, eventually};

/// Answers, unless the body says what else to do.
fn obedient() -> Upstream {
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            match request.text() {
                text if text.contains("hang") => conn.wait_closed(),
                text if text.contains("limited") => {
                    conn.send(answer(429, "retry-after: 60\r\n", "{}"));
                }
                _ => {
                    conn.send(json_answer(200, CHAT));
                }
            }
        }
    })
}

#[test]
fn a_client_in_a_hurry_opens_no_breaker() {
    let (first, second) = (obedient(), Upstream::ok());
    let gateway = Gateway::with(gateway::two(&first.url(), &second.url()));
    for _ in 0..8 {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hang"}]}"#;
        gateway
            .post_with("/v1/chat/completions", "x-cirque-timeout-ms: 20\r\n", body)
            .expect_error(504, "upstream_error", "provider_timeout");
    }
    gateway.wait_attempts("a", "total_timeout", 8);
    assert_eq!(gateway.chat().ok().header("x-cirque-target"), Some("a/up"));
    assert_eq!(second.count(), 0);
}

#[test]
fn an_answer_that_breaks_its_clients_schema_opens_no_breaker() {
    let message = r#"{"id":"m1","type":"message","role":"assistant","model":"claude","content":[{"type":"tool_use","id":"t","name":"structured_answer","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let (first, second) = (Upstream::always(json_answer(200, message)), Upstream::ok());
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: anthropic, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\n\
         models:\n  m: {{ targets: [ {{ provider: a, model: claude-3-5-haiku-20241022 }} ], fallback: [ s ] }}\n  s: {{ targets: [ {{ provider: b, model: up }} ] }}\n",
        first.url(),
        second.url()
    ));
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false}}}}"#;
    for _ in 0..8 {
        let response = gateway.post("/v1/chat/completions", body).ok();
        assert_eq!(
            response.header("x-cirque-attempts"),
            Some("2"),
            "the first broke the schema"
        );
    }
    let before = first.count();
    gateway.chat().ok();
    assert_eq!(first.count(), before + 1, "it is still asked first");
}

#[test]
fn under_a_pattern_the_limit_of_one_model_does_not_cool_the_others() {
    let upstream = obedient();
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  up-*: {{ targets: [ {{ provider: a }} ] }}\n",
        upstream.url()
    ));
    let refused = gateway.post("/v1/chat/completions", chat("up-limited"));
    refused.expect_error(429, "rate_limit_error", "rate_limit_exceeded");
    gateway.post("/v1/chat/completions", chat("up-other")).ok();
    let long = format!("up-{}", "x".repeat(600));
    assert_eq!(gateway.post("/v1/chat/completions", chat(&long)).status, 404);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn targets_that_fail_are_no_reason_to_leave_the_fallbacks_out_of_a_line_that_comes_first() {
    let (bad, good) = (Upstream::always(json_answer(500, &error_body("x"))), Upstream::ok());
    let config = gateway::two(&bad.url(), &good.url()).replace(
        "fallback: [ backup ]",
        "fallback: [ backup ], queue: { wait: 20s, before_fallback: true }",
    );
    let gateway = Gateway::with(config);
    // Failing, and then open.
    for _ in 0..8 {
        assert_eq!(gateway.chat().ok().header("x-cirque-target"), Some("b/spare"));
    }
    assert_eq!(bad.count(), 5);
}

#[test]
fn a_line_notices_the_end_of_a_cool_down_although_who_knew_of_it_has_left() {
    let upstream = {
        let first = std::sync::atomic::AtomicBool::new(true);
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                    true => conn.send(answer(429, "retry-after-ms: 1500\r\n", "{}")),
                    false => conn.send(json_answer(200, CHAT)),
                };
            }
        })
    };
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  m: {{ queue: {{ wait: 400ms }}, targets: [ {{ provider: a, model: up }} ] }}\n",
        upstream.url()
    ));
    let hurried = gateway.post_with("/v1/chat/completions", "x-cirque-timeout-ms: 50\r\n", chat("m"));
    assert_eq!(hurried.status, 429, "{}", hurried.text());
    // Longer than anybody waits; and somebody always waits, so that nobody finds the line empty.
    std::thread::scope(|scope| {
        for patience in [130, 170, 230, 290, 370, 390] {
            let gateway = &gateway;
            let header = format!("x-cirque-timeout-ms: {patience}\r\n");
            let ask = move || gateway.post_with("/v1/chat/completions", &header, chat("m"));
            scope.spawn(move || eventually("an answer", || (ask().status == 200).then_some(())));
        }
    });
}

fn lane(providers: &[(&str, &Upstream, u32)]) -> Gateway {
    let mut body = format!("{}providers:\n", gateway::TIMEOUTS);
    let mut targets = String::new();
    for (name, upstream, weight) in providers {
        body += &format!(
            "  {name}: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n",
            upstream.url()
        );
        targets += &format!("{{ provider: {name}, model: up, weight: {weight} }}, ");
    }
    body += &format!("models:\n  m: {{ targets: [ {targets} ] }}\npassthrough:\n  - {{ path: /v1/files, pool: m }}\n");
    Builder::new(body).start()
}

#[test]
fn in_the_passthrough_lane_a_refused_key_is_left_alone_and_a_forbidden_path_is_not_held_against_it() {
    let (refusing, good) = (Upstream::always(json_answer(401, "{}")), Upstream::ok());
    let gateway = lane(&[("a", &refusing, 100), ("b", &good, 1)]);
    gateway
        .get("/v1/files")
        .expect_error(502, "upstream_error", "provider_auth_failed");
    for _ in 0..3 {
        assert_eq!(gateway.get("/v1/files").ok().header("x-cirque-target"), Some("b/up"));
    }
    assert_eq!(refusing.count(), 1);

    for status in [403, 408, 410, 501] {
        let (odd, good) = (Upstream::always(json_answer(status, "{}")), Upstream::ok());
        let gateway = lane(&[("a", &odd, 1), ("b", &good, 0)]);
        for _ in 0..7 {
            gateway.get("/v1/files/x");
        }
        assert_eq!((odd.count(), good.count()), (7, 0), "{status}");
    }
}

#[test]
fn in_the_passthrough_lane_a_limited_pool_answers_429_with_the_time() {
    let limited = Upstream::always(answer(429, "retry-after: 40\r\n", "{}"));
    let gateway = lane(&[("a", &limited, 1)]);
    assert_eq!(gateway.get("/v1/files").status, 429);
    let response = gateway.get("/v1/files");
    response.expect_error(429, "rate_limit_error", "rate_limit_exceeded");
    let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=40).contains(&seconds), "{seconds}");
    assert_eq!(limited.count(), 1);
}

#[test]
fn uploads_that_are_too_slow_are_not_the_targets_failures() {
    let upstream = Upstream::script(|conn| {
        while let Some(head) = conn.head() {
            if head.line.starts_with("POST") {
                return conn.wait_closed();
            }
            conn.send(json_answer(200, "{}"));
        }
    });
    let good = Upstream::ok();
    let gateway = lane(&[("a", &upstream, 1), ("b", &good, 0)]);
    std::thread::scope(|scope| {
        for _ in 0..7 {
            scope.spawn(|| {
                let mut client = gateway.client();
                let whole = post("/v1/files", "", "a body of some length");
                client.send(&whole[..whole.len() - 5]);
                assert_eq!(client.head().status, 504);
            });
        }
    });
    gateway.wait_attempts("a", "abandoned", 7);
    assert_eq!(gateway.get("/v1/files").ok().header("x-cirque-target"), Some("a/up"));
}

#[test]
fn an_error_inside_a_stream_is_judged_by_what_it_says() {
    // The client's: before anything, and after the beginning.
    let early =
        r#"data: {"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
    let late = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\",\"status\":\"failed\",\"error\":{\"code\":\"invalid_prompt\",\"message\":\"no\"}}}\n\n";
    let begun = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"status\":\"in_progress\"}}\n\n";
    let whole = format!("{early}\n\n");
    for (path, events, status) in [
        ("/v1/chat/completions", vec![whole.as_str()], 400),
        ("/v1/responses", vec![begun, late], 200),
    ] {
        let first = Upstream::always(stream_answer(&events));
        let second = Upstream::ok();
        let gateway = Gateway::with(gateway::two(&first.url(), &second.url()));
        let body = r#"{"model":"m","stream":true,"input":"x","messages":[{"role":"user","content":"x"}]}"#;
        for _ in 0..7 {
            let response = gateway.post(path, body);
            assert_eq!(response.status, status, "{}", response.text());
        }
        assert_eq!((first.count(), second.count()), (7, 0), "{path}");
    }
    // A rate limit cools, and the next target answers.
    let limited = r#"data: {"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#;
    let (first, second) = (
        Upstream::always(stream_answer(&[&format!("{limited}\n\n")])),
        Upstream::streaming(),
    );
    let gateway = Gateway::with(gateway::two(&first.url(), &second.url()));
    for _ in 0..3 {
        assert_eq!(gateway.stream().ok().header("x-cirque-target"), Some("b/spare"));
    }
    assert_eq!(first.count(), 1);
}
