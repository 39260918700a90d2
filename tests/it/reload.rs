//! SIGHUP: new requests see the new file, running ones keep theirs, a broken file changes nothing, nobody notices.

use crate::support::client::{chat, post};
use crate::support::gateway;
use crate::support::upstream::{CHUNK, DONE, FINISH, error_body, json_answer};
use crate::support::{Client, Gate, Gateway, Upstream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn fifty_reloads_under_load_fail_no_request() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, served, address) = (stop.clone(), served.clone(), gateway.address);
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut failed = 0;
                while !stop.load(Ordering::Relaxed) {
                    client.send(post("/v1/chat/completions", "", chat("m")));
                    let response = client.response();
                    failed += usize::from(response.status != 200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
                failed
            })
        })
        .collect();
    for round in 1..=50 {
        gateway.edit(|text| format!("{text}# round {round}\n"));
        let before = served.load(Ordering::Relaxed);
        gateway.signal("HUP");
        gateway.wait_metric("cirque_config_reloads_total", &["success"], f64::from(round));
        crate::support::eventually("requests go on", || {
            (served.load(Ordering::Relaxed) > before).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    let failed: usize = clients.into_iter().map(|c| c.join().unwrap()).sum();
    assert_eq!(failed, 0, "of {}", served.load(Ordering::Relaxed));
    assert_eq!(gateway.metric("cirque_config_reloads_total", &["failure"]), 0.0);
    assert_eq!(upstream.count(), served.load(Ordering::Relaxed));
}

#[test]
fn new_requests_see_the_new_file() {
    let (first, second) = (Upstream::ok(), Upstream::ok());
    let gateway = Gateway::before(&first);
    gateway.chat().ok();
    gateway.edit(|text| {
        text.replace(&first.url(), &second.url())
            .replace("model: up", "model: newer")
    });
    gateway.reload();
    gateway.chat().ok();
    assert_eq!((first.count(), second.count()), (1, 1));
    assert_eq!(second.request().text(), chat("newer"));
}

#[test]
fn a_missing_or_half_written_file_changes_nothing() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let good = std::fs::read(&gateway.config).unwrap();
    std::fs::remove_file(&gateway.config).unwrap();
    gateway.reload();
    gateway.chat().ok();
    for bytes in [&good[..good.len() / 2], b"", b"\xff\xfe\0", b"listen: [\n"] {
        std::fs::write(&gateway.config, bytes).unwrap();
        gateway.reload();
        assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 0.0);
        gateway.chat().ok();
    }
}

#[test]
fn a_running_stream_outlives_a_reload_that_removes_its_model() {
    let gate = Gate::default();
    let upstream = Upstream::script({
        let gate = gate.clone();
        move |conn| {
            conn.request();
            conn.stream_head();
            conn.chunk(CHUNK);
            gate.wait();
            conn.chunk(FINISH);
            conn.chunk(DONE);
            conn.send("0\r\n\r\n");
        }
    });
    let gateway = Gateway::with(gateway::one(&upstream).replace("idle: 400ms", "idle: 5s"));
    let mut client = gateway.open_stream();
    client.until("\n\n");
    gateway.edit(|text| text.replace("  m: {", "  other: {"));
    gateway.reload();
    gateway
        .post("/v1/chat/completions", chat("m"))
        .expect_error(404, "invalid_request_error", "model_not_found");
    gate.open();
    assert_eq!(client.until("[DONE]\n\n"), [FINISH, DONE].concat());
    assert!(client.chunk().is_none());
}

#[test]
fn breakers_and_counters_survive() {
    let (bad, good) = (Upstream::always(json_answer(500, &error_body("x"))), Upstream::ok());
    let gateway = Gateway::with(gateway::two(&bad.url(), &good.url()));
    for _ in 0..5 {
        gateway.chat().ok();
    }
    // A request is counted after its answer is sent.
    gateway.wait_metric("cirque_requests_total", &[], 5.0);
    gateway.edit(|text| format!("{text}# changed\n"));
    gateway.reload();
    assert_eq!(gateway.chat().ok().header("x-cirque-attempts"), Some("1"), "still open");
    assert_eq!(bad.count(), 5);
    gateway.wait_metric("cirque_breaker_state", &["target=\"a/up\""], 2.0);
    gateway.wait_metric("cirque_requests_total", &[], 6.0);
}

#[test]
fn a_changed_listener_is_named_and_the_old_one_stays() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let other = gateway::free_port();
    gateway.edit(|text| text.replacen(&gateway.address.to_string(), &format!("127.0.0.1:{other}"), 1));
    gateway.reload();
    crate::support::eventually("a warning", || gateway.log_has("restart").then_some(()));
    gateway.chat().ok();
}
