//! Retries under failure: no storm, and no error a client notices while somebody can answer.

use crate::support::client::{Client, chat};
use crate::support::upstream::{CHAT, error_body, json_answer};
use crate::support::{Gateway, Upstream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const THREADS: usize = 32;
const REQUESTS: usize = 600;

/// Three targets whose breakers never open.
fn three(upstreams: &[Upstream; 3]) -> Gateway {
    let mut text =
        String::from("breaker: { failures: 1000, failure_percent: 100, min_requests: 100000 }\nproviders:\n");
    for (upstream, name) in upstreams.iter().zip(["a", "b", "c"]) {
        text += &format!("  {name}: {{ kind: openai, base_url: \"{}\" }}\n", upstream.url());
    }
    let targets = ["a", "b", "c"].map(|name| format!("{{ provider: {name}, model: up }}"));
    Gateway::with(format!(
        "{text}models:\n  m: {{ targets: [ {} ] }}\n",
        targets.join(", ")
    ))
}

/// `REQUESTS` requests from `THREADS` clients; statuses in order of arrival.
fn storm(gateway: &Gateway, each: impl Fn(usize) + Sync) -> Vec<u16> {
    let asked = AtomicUsize::new(0);
    let statuses = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut client = Client::connect(gateway.address);
                loop {
                    let number = asked.fetch_add(1, Ordering::SeqCst);
                    if number >= REQUESTS {
                        return;
                    }
                    each(number);
                    client.post("/v1/chat/completions", "", chat("m"));
                    let status = client.response().status;
                    statuses.lock().unwrap().push(status);
                }
            });
        }
    });
    statuses.into_inner().unwrap()
}

/// Answers 200 until told otherwise.
fn failing(fails: &Arc<AtomicBool>) -> Upstream {
    let fails = Arc::clone(fails);
    Upstream::script(move |conn| {
        while conn.request().is_some() {
            let fails = fails.load(Ordering::SeqCst);
            conn.send(if fails {
                json_answer(500, &error_body("x"))
            } else {
                json_answer(200, CHAT)
            });
        }
    })
}

#[test]
fn when_all_targets_fail_retries_stay_within_their_budget() {
    let fails = Arc::new(AtomicBool::new(true));
    let upstreams = [failing(&fails), failing(&fails), failing(&fails)];
    let gateway = three(&upstreams);
    let began = std::time::Instant::now();
    let statuses = storm(&gateway, |_| ());
    // Three a second are always possible, and the first that each target fails is free.
    let possible = 3.0 * (began.elapsed().as_secs_f64() + 1.0) + THREADS as f64;
    assert_eq!(statuses.len(), REQUESTS);
    assert!(statuses.iter().all(|status| *status == 502), "{statuses:?}");
    let calls: usize = upstreams.iter().map(Upstream::count).sum();
    assert!(calls >= REQUESTS, "each asks somebody: {calls}");
    assert!(
        calls as f64 <= 1.2 * REQUESTS as f64 + possible,
        "{calls} calls for {REQUESTS} requests"
    );
    fails.store(false, Ordering::SeqCst);
    gateway.chat().ok();
}

#[test]
fn a_storm_that_begins_at_once_stays_within_it_too() {
    let fails = Arc::new(AtomicBool::new(false));
    let upstreams = [failing(&fails), failing(&fails), failing(&fails)];
    let gateway = three(&upstreams);
    let began = std::time::Instant::now();
    let statuses = storm(&gateway, |number| {
        if number == 100 {
            fails.store(true, Ordering::SeqCst);
        }
    });
    let possible = 3.0 * (began.elapsed().as_secs_f64() + 1.0) + 3.0 * THREADS as f64;
    let calls: usize = upstreams.iter().map(Upstream::count).sum();
    assert!(
        calls as f64 <= 1.2 * REQUESTS as f64 + possible,
        "{calls} calls for {REQUESTS} requests"
    );
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 502)),
        "{statuses:?}"
    );
    assert!(statuses.iter().filter(|status| **status == 502).count() > REQUESTS / 2);
}

#[test]
fn one_dead_target_of_three_is_noticed_by_no_client() {
    let (dead, alive) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let upstreams = [failing(&dead), failing(&alive), failing(&alive)];
    let gateway = three(&upstreams);
    let statuses = storm(&gateway, |_| ());
    let failed = statuses.iter().filter(|status| **status != 200).count();
    assert_eq!(failed, 0, "of {REQUESTS}");
    let calls: usize = upstreams.iter().map(Upstream::count).sum();
    assert_eq!(calls, REQUESTS + upstreams[0].count(), "one more for each that failed");
}
