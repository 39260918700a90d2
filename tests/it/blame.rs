//! Whose fault an error is, as clients and operators notice it: refused credentials, limits, requests that are too long or
//! filtered. Which answers mean what is the vendors' tables' (`src/providers/blame`); here what follows from each verdict.

mod in_stream;
mod limits;
mod poison;
mod storm;
mod turned;

use crate::admin::{act, target};
use crate::support::client::{Response, chat};
use crate::support::gateway::Builder;
use crate::support::upstream::{CHAT, answer, error_body, json_answer};
use crate::support::{Gateway, Upstream, eventually};

const CHATS: &str = "/v1/chat/completions";

/// An answer of OpenAI's with this code and message.
fn openai_error(status: u16, code: &str, message: &str) -> Vec<u8> {
    let body = format!(r#"{{"error":{{"message":"{message}","type":"{code}","param":null,"code":"{code}"}}}}"#);
    json_answer(status, &body)
}

/// An answer of Anthropic's.
fn anthropic_error(status: u16, kind: &str, message: &str) -> Vec<u8> {
    let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#);
    json_answer(status, &body)
}

/// An answer of Google's; `details` is a JSON list.
fn google_error(code: u16, status: &str, message: &str, details: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"error":{{"code":{code},"message":"{message}","status":"{status}","details":{details}}}}}"#);
    json_answer(code, &body)
}

/// Models `m` and `n`, each at `bad` first, at `good` when that one cannot be asked.
fn two_models(kind: &str, bad: &Upstream, good: &Upstream) -> String {
    format!(
        "providers:\n  bad: {{ kind: {kind}, base_url: \"{}\", api_key: env:UP_KEY }}\n  good: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n\
         models:\n  m: {{ targets: [ {{ provider: bad, model: up }}, {{ provider: good, model: up, tier: 1 }} ] }}\n  \
         n: {{ targets: [ {{ provider: bad, model: other }}, {{ provider: good, model: other, tier: 1 }} ] }}\n",
        bad.url(),
        good.url()
    )
}

#[track_caller]
fn from(response: Response, target: &str, attempts: &str) {
    let response = response.ok();
    assert_eq!(response.header("x-cirque-target"), Some(target));
    assert_eq!(response.header("x-cirque-attempts"), Some(attempts));
}

/// The credential is at fault: vendor, answer.
fn refused_credentials() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "openai",
            openai_error(401, "invalid_api_key", "Incorrect API key provided: sk-o***urs."),
        ),
        ("openai", json_answer(401, "{}")),
        (
            "openai",
            openai_error(
                429,
                "insufficient_quota",
                "You exceeded your current quota, please check your plan and billing details.",
            ),
        ),
        ("openai", json_answer(402, "")),
        (
            "deepseek",
            json_answer(
                402,
                r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
            ),
        ),
        (
            "anthropic",
            anthropic_error(401, "authentication_error", "invalid x-api-key"),
        ),
        (
            "anthropic",
            anthropic_error(
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
            ),
        ),
        (
            "gemini",
            google_error(
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                r#"[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]"#,
            ),
        ),
    ]
}

#[test]
fn a_refused_credential_takes_all_its_targets_out_and_no_other() {
    for (number, (kind, said)) in refused_credentials().into_iter().enumerate() {
        let (bad, good) = (Upstream::always(said), Upstream::ok());
        let gateway = Gateway::with(two_models(kind, &bad, &good));
        from(gateway.chat(), "good/up", "2");
        for _ in 0..3 {
            from(gateway.post(CHATS, chat("n")), "good/other", "1");
            from(gateway.chat(), "good/up", "1");
        }
        assert_eq!((bad.count(), good.count()), (1, 7), "{number} {kind}");
        for id in ["bad/up", "bad/other"] {
            let shown = target(&gateway, id);
            let left = shown["credential_quarantined_for_ms"].as_u64().unwrap();
            assert!((30_000..=60_000).contains(&left), "{shown}");
            assert_eq!(shown["breaker"], "closed", "no failure of the target's");
        }
        assert!(target(&gateway, "good/up")["credential_quarantined_for_ms"].is_null());
    }
}

#[test]
fn it_is_told_once_and_the_gauge_says_so_until_it_is_taken_again() {
    let works = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let bad = {
        let works = works.clone();
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                let works = works.load(std::sync::atomic::Ordering::SeqCst);
                conn.send(if works {
                    json_answer(200, CHAT)
                } else {
                    openai_error(401, "invalid_api_key", "no")
                });
            }
        })
    };
    let good = Upstream::ok();
    let gateway = Gateway::with(two_models("openai", &bad, &good));
    gateway.wait_metric("cirque_credential_quarantined", &["provider=\"bad\""], 0.0);
    for _ in 0..5 {
        gateway.chat().ok();
        gateway.post(CHATS, chat("n")).ok();
    }
    gateway.wait_metric("cirque_credential_quarantined", &["provider=\"bad\""], 1.0);
    assert_eq!(
        gateway.metric("cirque_credential_quarantined", &["provider=\"good\""]),
        0.0
    );
    let alert = "the provider refuses the gateway's credential";
    eventually("an alert", || gateway.log_has(alert).then_some(()));
    works.store(true, std::sync::atomic::Ordering::SeqCst);
    act(&gateway, "bad/other", "reset").ok();
    from(gateway.chat(), "bad/up", "1");
    gateway.wait_metric("cirque_credential_quarantined", &["provider=\"bad\""], 0.0);
    let log = gateway.stderr.text();
    let alerts: Vec<&str> = log.lines().filter(|line| line.contains(alert)).collect();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(
        alerts[0].contains("\"ERROR\"") && alerts[0].contains("bad"),
        "{}",
        alerts[0]
    );
    assert!(!log.contains("sk-ours"), "the key is in the log");
    eventually("the end of it", || {
        gateway.log_has("takes the gateway's credential again").then_some(())
    });
}

#[test]
fn a_target_that_is_not_allowed_is_left_out_alone() {
    let missing =
        r#"[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"IAM_PERMISSION_DENIED","domain":"x"}]"#;
    for (kind, said) in [
        (
            "openai",
            openai_error(403, "model_not_found", "Project `p` does not have access to model `up`"),
        ),
        (
            "openai",
            openai_error(
                404,
                "model_not_found",
                "The model `up` does not exist or you do not have access to it.",
            ),
        ),
        ("anthropic", anthropic_error(404, "not_found_error", "model: up")),
        (
            "gemini",
            google_error(403, "PERMISSION_DENIED", "Permission denied", missing),
        ),
        (
            "gemini",
            google_error(
                404,
                "NOT_FOUND",
                "models/up is not found for API version v1beta, or is not supported for generateContent.",
                "[]",
            ),
        ),
    ] {
        // Only the first call's model is refused.
        let first = std::sync::atomic::AtomicBool::new(true);
        let bad = Upstream::script(move |conn| {
            while conn.request().is_some() {
                match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                    true => conn.send(&said),
                    false => conn.send(json_answer(500, "{}")),
                };
            }
        });
        let good = Upstream::ok();
        let gateway = Gateway::with(two_models(kind, &bad, &good));
        from(gateway.chat(), "good/up", "2");
        from(gateway.chat(), "good/up", "1");
        assert_eq!(bad.count(), 1, "{kind}");
        from(gateway.post(CHATS, chat("n")), "good/other", "2");
        assert_eq!(
            bad.count(),
            2,
            "{kind}: the other model of the same credential is asked"
        );
        let shown = target(&gateway, "bad/up");
        assert!(shown["quarantined_for_ms"].as_u64() > Some(30_000), "{shown}");
        assert!(shown["credential_quarantined_for_ms"].is_null(), "{shown}");
        assert_eq!(shown["breaker"], "closed", "{shown}");
        assert!(target(&gateway, "bad/other")["quarantined_for_ms"].is_null());
        act(&gateway, "bad/up", "reset").ok();
        from(gateway.chat(), "good/up", "2");
        assert_eq!(bad.count(), 3, "an operator's word lifts it");
    }
}

#[test]
fn a_page_of_a_firewall_is_a_failure_and_no_word_about_the_key() {
    let page = answer(
        403,
        "content-type: text/html\r\n",
        "<html><title>Attention Required!</title></html>",
    );
    let (bad, good) = (Upstream::always(page), Upstream::ok());
    let gateway = Gateway::with(two_models("openai", &bad, &good));
    for _ in 0..3 {
        from(gateway.chat(), "good/up", "2");
        from(gateway.post(CHATS, chat("n")), "good/other", "2");
    }
    let shown = target(&gateway, "bad/up");
    assert!(
        shown["credential_quarantined_for_ms"].is_null() && shown["quarantined_for_ms"].is_null(),
        "{shown}"
    );
    assert_eq!(shown["failures_in_a_row"], 3);
}

/// Behind a key in a file: refused unless it is `two`.
fn rotated(upstream: &Upstream, good: &Upstream) -> (Gateway, std::path::PathBuf) {
    let mut builder = Builder::new("");
    let key = builder.file("key", "one");
    builder.body = two_models("openai", upstream, good).replacen(
        "api_key: env:UP_KEY",
        &format!("api_key: \"file:{}\"", key.display()),
        1,
    );
    (builder.start(), key)
}

#[test]
fn a_rotated_key_starts_free_and_a_reload_alone_forgives_nothing() {
    let bad = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let known = request.header("authorization") == Some("Bearer two");
            conn.send(if known {
                json_answer(200, CHAT)
            } else {
                openai_error(401, "invalid_api_key", "no")
            });
        }
    });
    let good = Upstream::ok();
    let (gateway, key) = rotated(&bad, &good);
    from(gateway.chat(), "good/up", "2");
    gateway.edit(|text| format!("{text}# changed\n"));
    gateway.reload();
    from(gateway.chat(), "good/up", "1");
    from(gateway.post(CHATS, chat("n")), "good/other", "1");
    std::fs::write(&key, "three").unwrap();
    gateway.reload();
    from(gateway.chat(), "good/up", "2");
    from(gateway.chat(), "good/up", "1");
    std::fs::write(&key, "two").unwrap();
    gateway.reload();
    from(gateway.chat(), "bad/up", "1");
    from(gateway.post(CHATS, chat("n")), "bad/other", "1");
    gateway.wait_metric("cirque_credential_quarantined", &["provider=\"bad\""], 0.0);
    // Back to one that was refused: nobody remembers it, so it is asked once.
    std::fs::write(&key, "one").unwrap();
    gateway.reload();
    let before = bad.count();
    from(gateway.chat(), "good/up", "2");
    from(gateway.post(CHATS, chat("n")), "good/other", "1");
    assert_eq!(bad.count(), before + 1);
}

#[test]
fn a_pool_without_a_good_credential_is_asked_once_a_request_and_comes_back_by_itself() {
    let works = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let refusing = || {
        let works = works.clone();
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                let works = works.load(std::sync::atomic::Ordering::SeqCst);
                conn.send(if works {
                    json_answer(200, CHAT)
                } else {
                    openai_error(401, "invalid_api_key", "no")
                });
            }
        })
    };
    let (a, b) = (refusing(), refusing());
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n  b: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\nmodels:\n  \
         m: {{ targets: [ {{ provider: a, model: up }}, {{ provider: a, model: two }}, {{ provider: b, model: up, tier: 1 }} ] }}\n",
        a.url(),
        b.url()
    ));
    let refused = |response: Response| {
        let said = response.expect_error(502, "upstream_error", "provider_auth_failed");
        assert!(!said.contains("sk-"), "{said}");
    };
    refused(gateway.chat());
    assert_eq!(
        (a.count(), b.count()),
        (1, 1),
        "one for each credential, not for each target"
    );
    for _ in 0..5 {
        refused(gateway.chat());
    }
    assert_eq!(a.count() + b.count(), 7, "one for each request");
    works.store(true, std::sync::atomic::Ordering::SeqCst);
    let answered = gateway.chat().ok();
    let provider = &answered.header("x-cirque-target").unwrap()[..2];
    for _ in 0..3 {
        let response = gateway.chat().ok();
        assert!(
            response.header("x-cirque-target").unwrap().starts_with(provider),
            "only the one that answered is free"
        );
        assert_eq!(response.header("x-cirque-attempts"), Some("1"));
    }
    let free = |id: &str| target(&gateway, id)["credential_quarantined_for_ms"].is_null();
    assert!(free("a/up") != free("b/up"));
}

#[test]
fn what_a_client_names_itself_is_the_clients_mistake() {
    let bad = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            match request.text().contains("gpt-9") {
                true => conn.send(openai_error(404, "model_not_found", "The model `gpt-9` does not exist")),
                false => conn.send(json_answer(200, CHAT)),
            };
        }
    });
    let good = Upstream::ok();
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n  b: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\nmodels:\n  \
         gpt-*: {{ targets: [ {{ provider: a }} ], fallback: [ spare ] }}\n  their/*: {{ targets: [ {{ provider: a, model: \"*\" }} ] }}\n  \
         spare: {{ targets: [ {{ provider: b, model: up }} ] }}\n",
        bad.url(),
        good.url()
    ));
    for model in ["gpt-9", "their/gpt-9"] {
        for _ in 0..3 {
            let response = gateway.post(CHATS, chat(model));
            response.expect_error(404, "model_not_found", "model_not_found");
            assert_eq!(response.header("x-cirque-attempts"), Some("1"));
        }
    }
    gateway.post(CHATS, chat("gpt-4o")).ok();
    gateway.post(CHATS, chat("their/gpt-4o")).ok();
    assert_eq!((bad.count(), good.count()), (8, 0));
    let shown = target(&gateway, "a/gpt-*");
    assert!(
        shown["quarantined_for_ms"].is_null() && shown["failures_in_a_row"] == 0,
        "{shown}"
    );
}

#[test]
fn an_isolated_target_is_asked_by_nobody_until_it_is_reset() {
    let (bad, good) = (Upstream::ok(), Upstream::ok());
    let gateway = Gateway::with(two_models("openai", &bad, &good));
    from(gateway.chat(), "bad/up", "1");
    let shown = act(&gateway, "bad/up", "isolate").ok().json();
    assert_eq!((&shown["id"], &shown["isolated"]), (&"bad/up".into(), &true.into()));
    for _ in 0..5 {
        from(gateway.chat(), "good/up", "1");
    }
    gateway.edit(|text| format!("{text}# changed\n"));
    gateway.reload();
    from(gateway.chat(), "good/up", "1");
    assert_eq!(bad.count(), 1);
    // Not even as a last resort.
    act(&gateway, "good/up", "isolate").ok();
    let response = gateway.chat();
    response.expect_error(503, "upstream_error", "no_healthy_target");
    assert!(response.header("retry-after").is_some());
    assert_eq!((bad.count(), good.count()), (1, 6));
    from(gateway.post(CHATS, chat("n")), "bad/other", "1");
    act(&gateway, "bad/up", "reset").ok();
    from(gateway.chat(), "bad/up", "1");
}

#[test]
fn what_is_known_of_a_target_outlives_a_reload_and_new_terms() {
    let (bad, good) = (Upstream::always(json_answer(500, &error_body("x"))), Upstream::ok());
    let gateway = Gateway::with(two_models("openai", &bad, &good));
    for _ in 0..5 {
        from(gateway.chat(), "good/up", "2");
    }
    for _ in 0..3 {
        from(gateway.post(CHATS, chat("n")), "good/other", "2");
    }
    gateway.edit(|text| format!("{text}breaker: {{ failures: 4, open: 60s }}\n"));
    gateway.reload();
    from(gateway.chat(), "good/up", "1");
    assert_eq!(target(&gateway, "bad/up")["breaker"], "open");
    let shown = target(&gateway, "bad/other");
    assert_eq!(
        (&shown["breaker"], &shown["failures_in_a_row"]),
        (&"closed".into(), &3.into())
    );
    from(gateway.post(CHATS, chat("n")), "good/other", "2");
    from(gateway.post(CHATS, chat("n")), "good/other", "1");
    assert_eq!(target(&gateway, "bad/other")["breaker"], "open", "by the new terms");
    let shown = act(&gateway, "bad/other", "reset").ok().json();
    assert_eq!(
        (&shown["breaker"], &shown["failures_in_a_row"]),
        (&"closed".into(), &0.into())
    );
    from(gateway.post(CHATS, chat("n")), "good/other", "2");
}

#[test]
fn a_provider_that_is_gone_is_not_told_to_be_refused() {
    let (bad, good) = (Upstream::always(json_answer(401, "{}")), Upstream::ok());
    let gateway = Gateway::with(two_models("openai", &bad, &good));
    gateway.chat().ok();
    gateway.wait_metric("cirque_credential_quarantined", &["provider=\"bad\""], 1.0);
    gateway.edit(|text| {
        text.replace("{ provider: bad, model: up }, ", "")
            .replace("{ provider: bad, model: other }, ", "")
    });
    gateway.reload();
    from(gateway.chat(), "good/up", "1");
    gateway.wait_metric("cirque_credential_quarantined", &[], 0.0);
}
