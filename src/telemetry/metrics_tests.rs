//! Tests of the metric names and handles, as a scrape shows them.

use super::super::route::{Finished, Outcome};
use super::*;
use crate::units::Usage;
use std::time::Duration;

fn finished(status: u16) -> Finished {
    Finished {
        status,
        duration: Duration::from_millis(120),
        ttft: Some(Duration::from_millis(30)),
        own: Duration::from_micros(40),
        usage: Some(Usage {
            input: 10,
            output: 7,
            ..Usage::default()
        }),
        estimated: false,
    }
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
}

#[test]
fn a_finished_request_shows_in_every_family() {
    let meters = Meters::new().unwrap();
    let route = meters.route("chat", "gpt-4o", "openai");
    route.finish(&finished(200));
    route.finish(&finished(429));
    route.finish(&finished(429));
    route.tokens(
        &Usage {
            output: 3,
            ..Usage::default()
        },
        true,
    );
    let text = meters.render();
    let route = r#"model="gpt-4o",operation="chat",provider="openai""#;
    has(&text, &format!("cirque_requests_total{{{route},status=\"200\"}} 1"));
    has(&text, &format!("cirque_requests_total{{{route},status=\"429\"}} 2"));
    has(&text, &format!("cirque_request_duration_seconds_count{{{route}}} 3"));
    has(
        &text,
        &format!("cirque_request_duration_seconds_bucket{{{route},le=\"0.1\"}} 0"),
    );
    has(
        &text,
        &format!("cirque_request_duration_seconds_bucket{{{route},le=\"0.25\"}} 3"),
    );
    has(&text, &format!("cirque_time_to_first_token_seconds_count{{{route}}} 3"));
    has(
        &text,
        r#"cirque_gateway_duration_seconds_bucket{operation="chat",le="0.00005"} 3"#,
    );
    let tokens = |kind: &str, estimated: bool, value: u64| {
        format!(
            "cirque_tokens_total{{estimated=\"{estimated}\",kind=\"{kind}\",model=\"gpt-4o\",provider=\"openai\"}} {value}"
        )
    };
    has(&text, &tokens("input", false, 30));
    has(&text, &tokens("output", false, 21));
    has(&text, &tokens("output", true, 3));
    assert!(!text.contains("kind=\"reasoning\""), "a zero makes no series");
}

#[test]
fn operations_of_one_model_share_its_token_series() {
    let meters = Meters::new().unwrap();
    meters.route("chat", "m", "p").finish(&finished(200));
    meters.route("completions", "m", "p").finish(&finished(200));
    has(
        &meters.render(),
        r#"cirque_tokens_total{estimated="false",kind="input",model="m",provider="p"} 20"#,
    );
}

#[test]
fn resolving_makes_no_series_and_the_same_route_is_the_same_handle() {
    let meters = Meters::new().unwrap();
    let one = meters.route("chat", "m", "p");
    let _ = meters.attempts("p", "p/m");
    assert!(!meters.render().contains("cirque_requests_total"));
    one.finish(&finished(200));
    meters.route("chat", "m", "p").finish(&finished(200));
    has(
        &meters.render(),
        r#"cirque_requests_total{model="m",operation="chat",provider="p",status="200"} 2"#,
    );
}

#[test]
fn a_made_up_status_makes_no_label() {
    let meters = Meters::new().unwrap();
    let route = meters.route("chat", "m", "p");
    for status in [0, 99, 600, 999, u16::MAX] {
        route.finish(&finished(status));
    }
    has(
        &meters.render(),
        r#"cirque_requests_total{model="m",operation="chat",provider="p",status="other"} 5"#,
    );
}

#[test]
fn every_outcome_has_its_own_label_and_slot() {
    let meters = Meters::new().unwrap();
    let attempts = meters.attempts("openai", "openai/gpt-4o");
    for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, index);
        attempts.count(outcome);
    }
    meters.attempts("openai", "openai/gpt-4o").count(Outcome::Ok);
    let text = meters.render();
    let line = |outcome: &str, count: u32| {
        format!(
            "cirque_upstream_attempts_total{{outcome=\"{outcome}\",provider=\"openai\",target=\"openai/gpt-4o\"}} {count}"
        )
    };
    has(&text, &line("ok", 2));
    has(&text, &line("abandoned", 1));
    assert_eq!(
        text.matches("cirque_upstream_attempts_total{").count(),
        Outcome::ALL.len()
    );
}

#[test]
fn in_flight_follows_the_guard() {
    let meters = Meters::new().unwrap();
    let guard = meters.enter();
    assert_eq!(meters.in_flight(), 1);
    has(&meters.render(), "cirque_in_flight_requests 1");
    drop(guard);
    assert_eq!(meters.in_flight(), 0);
}

#[test]
fn reloads_are_counted_and_the_first_load_is_not_one() {
    let meters = Meters::new().unwrap();
    meters.config_loaded(true, true);
    meters.config_loaded(false, false);
    let text = meters.render();
    has(&text, r#"cirque_config_reloads_total{result="success"} 0"#);
    has(&text, r#"cirque_config_reloads_total{result="failure"} 1"#);
    has(&text, "cirque_config_last_reload_success 0");
    assert!(!text.contains("cirque_config_last_reload_timestamp_seconds 0\n"));
}

#[test]
fn series_of_removed_models_and_targets_go() {
    let meters = Meters::new().unwrap();
    for model in ["old", "new", NONE] {
        meters.route("chat", model, "p").finish(&finished(200));
    }
    for target in ["p/old", "p/new"] {
        meters.attempts("p", target).count(Outcome::Ok);
        meters.breaker(target, BreakerLevel::Open);
    }
    meters.retain(|model| model == "new", |target| target == "p/new");
    let text = meters.render();
    assert!(!text.contains("\"old\"") && !text.contains("p/old"), "{text}");
    has(&text, r#"cirque_breaker_state{target="p/new"} 2"#);
    has(
        &text,
        r#"cirque_requests_total{model="none",operation="chat",provider="p",status="200"} 1"#,
    );
}

#[test]
fn label_values_are_escaped_and_every_family_is_prefixed_and_described() {
    let meters = Meters::new().unwrap();
    meters.route("chat", "we\"ird\n\\model", "p").finish(&finished(200));
    let text = meters.render();
    assert!(text.contains(r#"model="we\"ird\n\\model""#), "{text}");
    for line in text.lines() {
        let name = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "))
            .unwrap_or(line);
        assert!(name.starts_with("cirque_"), "{line}");
    }
    has(
        &text,
        concat!(r#"cirque_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    );
    assert!(text.contains("cirque_process_resident_memory_bytes "));
}

#[test]
fn counts_from_many_threads_add_up() {
    let meters = Meters::new().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let route = meters.route("chat", "m", "p");
                for status in [200, 500].repeat(500) {
                    route.finish(&finished(status));
                }
            });
        }
    });
    let text = meters.render();
    has(
        &text,
        r#"cirque_requests_total{model="m",operation="chat",provider="p",status="200"} 2000"#,
    );
    has(
        &text,
        r#"cirque_requests_total{model="m",operation="chat",provider="p",status="500"} 2000"#,
    );
}

#[test]
fn figures_kept_elsewhere_are_read_at_every_scrape() {
    let meters = Meters::new().unwrap();
    let held = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let seen = Arc::clone(&held);
    meters.before_scrape(move |meters| {
        meters
            .buffered_bytes
            .set(seen.fetch_add(7, std::sync::atomic::Ordering::Relaxed));
        meters.breaker("p/m", BreakerLevel::HalfOpen);
    });
    has(&meters.render(), "cirque_buffered_bytes 0");
    let text = meters.render();
    has(&text, "cirque_buffered_bytes 7");
    has(&text, r#"cirque_breaker_state{target="p/m"} 1"#);
}
