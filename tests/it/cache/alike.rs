//! The semantic tier in the walk, with the model files that `make models` makes.

use super::{ask, content, counting, until_hit};
use crate::support::{Gateway, Upstream};
use std::path::{Path, PathBuf};

/// Where the model files are; nothing: they were not made, which is said.
fn models() -> Option<PathBuf> {
    let named = std::env::var_os("CIRQUE_TEST_MODELS").map(PathBuf::from);
    let dir = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("models"));
    if dir.join("manifest.json").exists() {
        return Some(dir);
    }
    eprintln!(
        "skipped: {} has no model files; `make models` makes them",
        dir.display()
    );
    None
}

fn gateway(upstream: &Upstream, models: &Path, policy: &str) -> Gateway {
    Gateway::with(format!(
        "{}cache: {{ semantic: {{ models: \"{}\" }} }}\n",
        super::cached(upstream, policy),
        models.display()
    ))
}

/// Asks in other words until it is found: a question is learned after it was answered.
fn until_alike(gateway: &Gateway, text: &str) -> crate::support::client::Response {
    for n in 0..100 {
        // Not the same request twice: that would be an exact hit.
        let response = gateway
            .post(
                "/v1/chat/completions",
                ask(&format!("{text}{}", " ".repeat(n))).to_string(),
            )
            .ok();
        if response.header("x-cirque-cache") == Some("semantic") {
            return response;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("never found: {text}");
}

#[test]
fn a_question_in_other_words_is_answered_and_another_one_is_not() {
    let Some(models) = models() else { return };
    let upstream = counting();
    let gateway = gateway(&upstream, &models, "{ mode: semantic, time_limit: 1s }");
    until_hit(&gateway, "/v1/chat/completions", &ask("What is the capital of France?"));
    let alike = until_alike(&gateway, "Tell me the capital of France");
    assert!(content(&alike).starts_with("answer"));
    let id = alike.header("x-cirque-cache-id").unwrap().to_owned();
    assert!(
        id.contains('.') && alike.header("x-cirque-cache-score").is_some(),
        "{id}"
    );
    for other in [
        "What is the capital of Germany?",
        "What is not the capital of France?",
        "What is the population of France?",
        "What was the capital of France in 1942?",
        "Was ist die Hauptstadt von Frankreich?",
    ] {
        let response = gateway.post("/v1/chat/completions", ask(other).to_string()).ok();
        assert_eq!(response.header("x-cirque-cache"), Some("miss"), "{other}");
    }
    // Reported as wrong, it is served to that question no more.
    let report = format!("{{\"id\":\"{id}\"}}");
    gateway.post("/cirque/v1/cache/feedback", &report).ok();
    assert!(gateway.metric("cirque_cache_wrong_hits_total", &["client"]) >= 1.0);
}

#[test]
fn in_shadow_nothing_is_served() {
    let Some(models) = models() else { return };
    let upstream = counting();
    let gateway = gateway(&upstream, &models, "{ mode: shadow, sample: 1, time_limit: 1s }");
    until_hit(&gateway, "/v1/chat/completions", &ask("What is the capital of France?"));
    for n in 0..50 {
        let text = format!("Tell me the capital of France{}", " ".repeat(n));
        let response = gateway.post("/v1/chat/completions", ask(&text).to_string()).ok();
        assert_ne!(response.header("x-cirque-cache"), Some("semantic"));
        if gateway.metric("cirque_cache_semantic_total", &["shadow"]) > 0.0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("nothing was noted");
}
