//! The operator's API over the running gateway, and `cirque route explain`: targets shown and changed, explanations that are what
//! then happens.

mod explain;

use crate::support::client::{Client, Response, chat};
use crate::support::upstream::{error_body, json_answer};
use crate::support::{Gateway, Upstream};
use serde_json::{Value, json};

/// A request to the admin listener, as a tool would send it.
pub fn ask(gateway: &Gateway, method: &str, path: &str, body: &str) -> Response {
    let headers = "content-type: application/json\r\n";
    ask_with(gateway, method, path, headers, body)
}

/// As [`ask`], with these headers.
pub fn ask_with(gateway: &Gateway, method: &str, path: &str, headers: &str, body: &str) -> Response {
    let mut client = Client::connect(gateway.admin);
    let host = if headers.contains("host:") {
        String::new()
    } else {
        format!("host: {}\r\n", gateway.admin)
    };
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ));
    client.response()
}

/// What is shown of a target.
#[track_caller]
pub fn target(gateway: &Gateway, id: &str) -> Value {
    ask(gateway, "GET", &format!("/admin/v1/targets/{id}"), "").ok().json()
}

/// `reset` or `isolate`.
pub fn act(gateway: &Gateway, id: &str, action: &str) -> Response {
    ask(gateway, "POST", &format!("/admin/v1/targets/{id}/{action}"), "")
}

#[test]
fn every_target_is_shown_once_with_its_state_and_without_secrets() {
    let (bad, good) = (Upstream::always(json_answer(500, &error_body("x"))), Upstream::ok());
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n  b: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\nmodels:\n  \
         m: {{ strategy: peak-ewma, targets: [ {{ provider: a, model: up, weight: 3 }}, {{ provider: b, model: up, tier: 1, max_in_flight: 9 }} ], fallback: [ n ] }}\n  \
         n: {{ targets: [ {{ provider: b, model: up }}, {{ provider: a, model: x/y }} ] }}\n  d: {{ targets: [ {{ provider: demo }} ] }}\n",
        bad.url(),
        good.url()
    )
    .replace("models:", "  demo: { kind: demo }\nmodels:"));
    for _ in 0..60 {
        gateway.chat().ok();
    }
    let text = ask(&gateway, "GET", "/admin/v1/targets", "").ok();
    assert!(
        !text.text().contains("sk-ours") && !text.text().contains("UP_KEY"),
        "{}",
        text.text()
    );
    let targets = text.json()["targets"].as_array().unwrap().clone();
    let mut ids: Vec<&str> = targets.iter().map(|target| target["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a/up", "a/x/y", "b/up", "demo/d"]);
    for shown in &targets {
        let mut keys: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "answer_ms",
                "breaker",
                "cooling_for_ms",
                "credential_quarantined_for_ms",
                "failures_in_a_row",
                "first_token_ms",
                "id",
                "in_flight",
                "isolated",
                "isolated_for_ms",
                "max_in_flight",
                "open_for_ms",
                "provider",
                "quarantined_for_ms",
                "tier",
                "times_opened",
                "weight",
                "window",
            ]
        );
        assert_eq!(shown["in_flight"], 0, "{shown}");
        assert_eq!(target(&gateway, shown["id"].as_str().unwrap())["id"], shown["id"]);
    }
    let shown = |id: &str| targets.iter().find(|target| target["id"] == id).unwrap();
    let a = shown("a/up");
    assert_eq!(
        (&a["breaker"], &a["times_opened"], &a["weight"]),
        (&"open".into(), &1.into(), &3.into())
    );
    assert!((1..=33_000).contains(&a["open_for_ms"].as_u64().unwrap()), "{a}");
    let b = shown("b/up");
    assert_eq!(
        (&b["breaker"], &b["tier"], &b["max_in_flight"]),
        (&"closed".into(), &1.into(), &9.into())
    );
    assert!(b["answer_ms"]["p50"].is_number(), "{b}");
    assert_eq!(b["open_for_ms"], Value::Null);
}

#[test]
fn unknown_targets_and_actions_are_told_apart() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let error = |response: Response, status: u16, code: &str| {
        assert_eq!(response.status, status, "{}", response.text());
        let json = response.json();
        assert_eq!(json["error"]["code"], code, "{json}");
        json["error"]["message"].as_str().unwrap().to_owned()
    };
    let said = error(
        ask(&gateway, "GET", "/admin/v1/targets/p/ip", ""),
        404,
        "unknown_target",
    );
    assert!(said.contains("p/up"), "{said}");
    error(act(&gateway, "p/nothing-like-it", "reset"), 404, "unknown_target");
    error(act(&gateway, "p/up", "explode"), 404, "not_found");
    error(ask(&gateway, "POST", "/admin/v1/targets/reset", ""), 404, "not_found");
    error(
        ask(&gateway, "POST", "/admin/v1/targets/p/up/reset", "{\"x\":1}"),
        400,
        "invalid_request",
    );
    error(
        ask(&gateway, "POST", "/admin/v1/targets/p/up/reset", "{"),
        400,
        "invalid_request",
    );
    act(&gateway, "p%2Fup", "reset").ok();
    ask(&gateway, "POST", "/admin/v1/targets/p/up/reset", " { } ").ok();
    let long = format!("/admin/v1/targets/{}", "x".repeat(5000));
    error(ask(&gateway, "GET", &long, ""), 404, "unknown_target");
    for hostile in ["p/up%00", "%ff%fe", "..%2f..%2fup", "p/up%0d%0ax: y"] {
        let response = ask(&gateway, "GET", &format!("/admin/v1/targets/{hostile}"), "");
        assert!(matches!(response.status, 400 | 404), "{hostile}: {}", response.status);
    }
    gateway.chat().ok();
}

#[test]
fn a_web_page_cannot_change_anything() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let path = "/admin/v1/targets/p/up/isolate";
    let json = "content-type: application/json\r\n";
    for (headers, status) in [
        (format!("{json}origin: http://localhost\r\n"), 403),
        (format!("{json}origin: null\r\n"), 403),
        (format!("{json}host: gateway.example\r\n"), 403),
        (format!("{json}host: 127.0.0.1.evil.example\r\n"), 403),
        (format!("{json}host: user@127.0.0.1\r\n"), 403),
        ("content-type: text/plain\r\n".to_owned(), 415),
        ("content-type: application/x-www-form-urlencoded\r\n".to_owned(), 415),
        (String::new(), 415),
    ] {
        let response = ask_with(&gateway, "POST", path, &headers, "");
        assert_eq!(response.status, status, "{headers}");
        assert_eq!(target(&gateway, "p/up")["isolated"], false, "{headers}");
    }
    for host in ["localhost", "[::1]:9", "127.0.0.1"] {
        let headers = format!("{json}host: {host}\r\n");
        assert_eq!(ask_with(&gateway, "POST", path, &headers, "").status, 200, "{host}");
        act(&gateway, "p/up", "reset").ok();
    }
    gateway.post("/v1/chat/completions", chat("m")).ok();
}

#[test]
fn resets_and_isolations_are_in_the_log() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let shown = act(&gateway, "p/up", "isolate").ok().json();
    assert_eq!(shown["isolated"], json!(true));
    let shown = act(&gateway, "p/up", "reset").ok().json();
    assert_eq!(
        (&shown["isolated"], &shown["breaker"]),
        (&json!(false), &json!("closed"))
    );
    for action in ["Isolate", "Reset"] {
        crate::support::eventually(action, || {
            let log = gateway.stderr.text();
            log.lines()
                .any(|line| line.contains(action) && line.contains("p/up"))
                .then_some(())
        });
    }
}
