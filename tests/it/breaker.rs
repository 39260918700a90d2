//! The breaker and weights as clients notice them.

use crate::support::client::chat;
use crate::support::gateway;
use crate::support::upstream::{CHAT, error_body, json_answer};
use crate::support::{Gateway, Upstream};

#[test]
fn the_last_resort_is_asked_although_its_breaker_is_open() {
    let bad = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("recover") {
                conn.send(json_answer(200, CHAT));
            } else {
                conn.send(json_answer(500, &error_body("x")));
            }
        }
    });
    let gateway = Gateway::before(&bad);
    for _ in 0..7 {
        gateway.chat().expect_error(502, "upstream_error", "provider_error");
    }
    assert_eq!(bad.count(), 7);
    gateway
        .post("/v1/chat/completions", r#"{"model":"m","recover":true}"#)
        .ok();
    gateway.wait_metric("cirque_breaker_state", &["target=\"p/up\""], 0.0);
}

#[test]
fn weights_share_the_requests_exactly() {
    let (first, second, standby) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let body = format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\n  c: {{ kind: openai, base_url: \"{}\" }}\n\
         models:\n  m: {{ targets: [ {{ provider: a, weight: 3 }}, {{ provider: b, weight: 1 }}, {{ provider: c, weight: 0 }} ] }}\n",
        first.url(),
        second.url(),
        standby.url()
    );
    let gateway = Gateway::with(body);
    for _ in 0..20 {
        gateway.post("/v1/chat/completions", chat("m")).ok();
    }
    assert_eq!((first.count(), second.count(), standby.count()), (15, 5, 0));
}

#[test]
fn a_loop_of_fallbacks_ends() {
    let bad = Upstream::always(json_answer(500, &error_body("x")));
    let body =
        gateway::two(&bad.url(), &bad.url()).replace("model: spare } ] }", "model: spare } ], fallback: [ m ] }");
    // Either the file is refused, or a request ends.
    let directory = gateway::Builder::new(body.clone());
    let file = directory.file(
        "loop.yaml",
        &format!("listen: 127.0.0.1:1\ninsecure: {{ open_access: true }}\n{body}"),
    );
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_cirque"))
        .arg("check")
        .arg(file)
        .env("UP_KEY", "x")
        .output()
        .unwrap();
    if checked.status.success() {
        let gateway = directory.start();
        gateway.chat().expect_error(502, "upstream_error", "provider_error");
        assert_eq!(bad.count(), 2);
    } else {
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(said.contains("fallback"), "{said}");
    }
}
