//! Rate limits: a target is left alone for as long as its vendor says, in each vendor's own form.

use super::{CHATS, from, google_error, two_models};
use crate::admin::target;
use crate::support::client::chat;
use crate::support::upstream::{answer, json_answer};
use crate::support::{Gateway, Upstream};
use std::time::{Duration, SystemTime};

/// An answer with these header lines besides its type.
fn limited(headers: &str, body: &str) -> Vec<u8> {
    answer(429, &format!("content-type: application/json\r\n{headers}"), body)
}

fn openai(message: &str) -> String {
    format!(r#"{{"error":{{"message":"{message}","type":"requests","param":null,"code":"rate_limit_exceeded"}}}}"#)
}

const ANTHROPIC: &str = r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit"}}"#;

fn later(seconds: u64) -> jiff::Timestamp {
    let at = SystemTime::now() + Duration::from_secs(seconds);
    jiff::Timestamp::try_from(at).unwrap()
}

/// Vendor, answer, seconds it is to be left alone.
fn limits() -> Vec<(&'static str, Vec<u8>, u64)> {
    let plain = openai("Rate limit reached");
    let http_date = later(90).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let rfc3339 = later(45).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let retry_info =
        |delay: &str| format!(r#"[{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}]"#);
    vec![
        ("openai", limited("retry-after: 40\r\n", &plain), 40),
        (
            "openai",
            limited("retry-after: 7\r\nretry-after-ms: 25000\r\n", &plain),
            25,
        ),
        ("openai", limited(&format!("retry-after: {http_date}\r\n"), &plain), 90),
        (
            "openai",
            limited(
                "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1m20s\r\nx-ratelimit-remaining-tokens: 9\r\nx-ratelimit-reset-tokens: 6m0s\r\n",
                &plain,
            ),
            80,
        ),
        (
            "openai",
            limited(
                "",
                &openai(
                    "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000. Please try again in 33.5s. Visit https://x",
                ),
            ),
            34,
        ),
        ("anthropic", limited("retry-after: 40\r\n", ANTHROPIC), 40),
        (
            "anthropic",
            limited(
                &format!(
                    "anthropic-ratelimit-input-tokens-remaining: 0\r\nanthropic-ratelimit-input-tokens-reset: {rfc3339}\r\n"
                ),
                ANTHROPIC,
            ),
            45,
        ),
        (
            "gemini",
            google_error(
                429,
                "RESOURCE_EXHAUSTED",
                "Resource has been exhausted (e.g. check quota).",
                &retry_info("34s"),
            ),
            34,
        ),
        (
            "gemini",
            google_error(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota. Please retry in 34.074824224s.",
                &retry_info("34.074824224s"),
            ),
            35,
        ),
        // Said, but not to be believed beyond an hour, and nothing that can be read: five seconds.
        ("openai", limited("retry-after: 86400\r\n", &plain), 3600),
        ("openai", limited("retry-after: -5\r\n", &plain), 5),
        ("openai", limited("retry-after: soon\r\n", "busy"), 5),
        (
            "openai",
            limited("retry-after: 99999999999999999999999\r\n", &plain),
            3600,
        ),
        ("anthropic", limited("", "{}"), 5),
        ("gemini", json_answer(429, ""), 5),
    ]
}

#[test]
fn a_limited_target_is_left_alone_for_the_time_its_vendor_says() {
    for (number, (kind, said, seconds)) in limits().into_iter().enumerate() {
        let (bad, good) = (Upstream::always(said), Upstream::ok());
        let gateway = Gateway::with(two_models(kind, &bad, &good));
        from(gateway.chat(), "good/up", "2");
        let left = target(&gateway, "bad/up")["cooling_for_ms"].as_u64();
        let left = left.unwrap_or_else(|| panic!("{number} {kind}: not cooling"));
        let most = seconds * 1000;
        assert!(
            left <= most && left + 10_000 > most,
            "{number} {kind}: {left} ms of {seconds} s"
        );
        if seconds > 5 {
            from(gateway.chat(), "good/up", "1");
            from(gateway.post(CHATS, chat("n")), "good/other", "2");
            assert_eq!(bad.count(), 2, "{kind}: another model has a limit of its own");
        }
        let shown = target(&gateway, "bad/up");
        assert_eq!(
            (&shown["breaker"], &shown["failures_in_a_row"]),
            (&"closed".into(), &0.into()),
            "no failure"
        );
        assert!(shown["credential_quarantined_for_ms"].is_null());
    }
}

#[test]
fn when_all_are_limited_the_client_hears_the_shortest_time() {
    let (a, b, c) = (
        Upstream::always(limited("retry-after: 50\r\n", &openai("x"))),
        Upstream::always(limited("retry-after: 30\r\n", &openai("x"))),
        Upstream::always(limited("retry-after: 40\r\n", ANTHROPIC)),
    );
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\n  c: {{ kind: anthropic, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ targets: [ {{ provider: a, model: up }}, {{ provider: b, model: up }} ], fallback: [ spare ] }}\n  spare: {{ targets: [ {{ provider: c, model: up }} ] }}\n",
        a.url(),
        b.url(),
        c.url()
    ));
    let ask = [
        (CHATS, chat("m")),
        (
            "/v1/messages",
            r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}"#.to_owned(),
        ),
        (
            "/v1beta/models/m:generateContent",
            r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}]}"#.to_owned(),
        ),
        ("/v1/responses", r#"{"model":"m","input":"x"}"#.to_owned()),
    ];
    for (path, body) in ask {
        let response = gateway.post(path, body);
        assert_eq!(response.status, 429, "{path} {}", response.text());
        let after: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((20..=30).contains(&after), "{path}: {after}");
        let error = &response.json()["error"];
        match path {
            CHATS | "/v1/responses" => assert_eq!(
                (&error["type"], &error["code"]),
                (&"rate_limit_error".into(), &"rate_limit_exceeded".into())
            ),
            "/v1/messages" => assert_eq!(error["type"], "rate_limit_error"),
            _ => assert_eq!(error["status"], "RESOURCE_EXHAUSTED"),
        }
    }
    assert_eq!(
        (a.count(), b.count(), c.count()),
        (1, 1, 1),
        "asked once, then left alone"
    );
    gateway
        .chat()
        .expect_error(429, "rate_limit_error", "rate_limit_exceeded");
    assert_eq!(a.count() + b.count() + c.count(), 3);
}

#[test]
fn a_failure_beside_limits_is_not_called_a_limit() {
    let (a, b) = (
        Upstream::always(limited("retry-after: 50\r\n", &openai("x"))),
        Upstream::always(json_answer(500, "{}")),
    );
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ targets: [ {{ provider: a, model: up }}, {{ provider: b, model: up, tier: 1 }} ] }}\n",
        a.url(),
        b.url()
    ));
    for _ in 0..2 {
        gateway.chat().expect_error(502, "upstream_error", "provider_error");
    }
    assert_eq!((a.count(), b.count()), (1, 2));
}
