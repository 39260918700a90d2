//! How a pool chooses, seen from outside. The strategies themselves are simulated in `balance/simulation.rs`.

use crate::support::client::chat;
use crate::support::upstream::{CHAT, json_answer};
use crate::support::{Gateway, Upstream};

/// A model `m` over these upstreams, `a`, `b`, …, with this strategy and what more each target says.
fn pool(upstreams: &[&Upstream], strategy: &str, each: &[&str]) -> Gateway {
    let mut providers = String::from("providers:\n");
    let mut targets = String::new();
    for ((upstream, more), name) in upstreams.iter().zip(each).zip(["a", "b", "c", "d"]) {
        providers += &format!("  {name}: {{ kind: openai, base_url: \"{}\" }}\n", upstream.url());
        targets += &format!("{{ provider: {name}, model: up{more} }}, ");
    }
    Gateway::with(format!(
        "{providers}models:\n  m: {{ {strategy}, targets: [ {targets} ] }}\n"
    ))
}

fn session(gateway: &Gateway, id: &str) -> String {
    let response = gateway.post_with("/v1/chat/completions", &format!("x-session-id: {id}\r\n"), chat("m"));
    response.ok().header("x-cirque-target").unwrap().to_owned()
}

#[test]
fn a_session_stays_with_its_target_and_sessions_are_spread() {
    let upstreams = [Upstream::ok(), Upstream::ok(), Upstream::ok()];
    let all: Vec<&Upstream> = upstreams.iter().collect();
    let gateway = pool(&all, "strategy: sticky, sticky: { by: session-header }", &["", "", ""]);
    let mut used = std::collections::BTreeSet::new();
    for number in 0..24 {
        let id = format!("session-{number}");
        let first = session(&gateway, &id);
        for _ in 0..3 {
            assert_eq!(session(&gateway, &id), first);
        }
        used.insert(first);
    }
    assert_eq!(used.len(), 3);
}

#[test]
fn a_conversation_that_grows_stays_with_its_target() {
    let upstreams = [Upstream::ok(), Upstream::ok(), Upstream::ok()];
    let all: Vec<&Upstream> = upstreams.iter().collect();
    let gateway = pool(&all, "strategy: sticky", &["", "", ""]);
    let mut used = std::collections::BTreeSet::new();
    for number in 0..12 {
        let mut turns =
            format!(r#"{{"role":"system","content":"Be kind"}},{{"role":"user","content":"Topic {number}"}}"#);
        let mut targets = std::collections::BTreeSet::new();
        for turn in 0..4 {
            let body = format!(r#"{{"temperature":0.{turn},"messages":[{turns}],"model":"m"}}"#);
            let response = gateway.post("/v1/chat/completions", body).ok();
            targets.insert(response.header("x-cirque-target").unwrap().to_owned());
            turns += &format!(r#",{{"role":"assistant","content":"A{turn}"}},{{"role":"user","content":"Q{turn}"}}"#);
        }
        assert_eq!(targets.len(), 1, "{targets:?}");
        used.extend(targets);
    }
    assert!(used.len() > 1);
}

#[test]
fn a_lower_tier_answers_only_while_the_first_cannot() {
    let (first, second) = (Upstream::always(json_answer(503, "{}")), Upstream::ok());
    let gateway = pool(&[&first, &second], "strategy: least-busy", &["", ", tier: 1"]);
    let response = gateway.chat().ok();
    assert_eq!(response.header("x-cirque-target"), Some("b/up"));
    assert_eq!(response.header("x-cirque-attempts"), Some("2"));

    let (first, second) = (Upstream::ok(), Upstream::ok());
    let gateway = pool(&[&second, &first], "strategy: weighted", &[", tier: 1", ""]);
    for _ in 0..10 {
        gateway.chat().ok();
    }
    assert_eq!((first.count(), second.count()), (10, 0));
}

#[test]
fn the_less_busy_and_the_quicker_target_are_preferred() {
    for strategy in ["least-busy", "peak-ewma"] {
        let slow = Upstream::script(|conn| {
            while conn.request().is_some() {
                std::thread::sleep(std::time::Duration::from_millis(150));
                conn.send(json_answer(200, CHAT));
            }
        });
        let quick = Upstream::ok();
        let gateway = pool(&[&slow, &quick], &format!("strategy: {strategy}"), &["", ""]);
        let done = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..15 {
                        gateway.chat().ok();
                        done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 60);
        assert!(
            quick.count() > 2 * slow.count(),
            "{strategy}: quick {}, slow {}",
            quick.count(),
            slow.count()
        );
    }
}
