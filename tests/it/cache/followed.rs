//! Identical requests under way share one call, streams included.

use super::{ask, cached, content, whole};
use crate::support::gateway::Builder;
use crate::support::upstream::{CHUNK, DONE, FINISH, USAGE, json_answer};
use crate::support::{Conn, Gate, Gateway, Upstream, eventually};
use serde_json::json;

/// Waits for the gate in the middle of its answer.
fn slow(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::script(move |conn: &mut Conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("\"stream\":true") {
                conn.stream_head();
                conn.chunk(CHUNK);
                gate.wait();
                conn.chunk(FINISH);
                conn.chunk(DONE);
                conn.send("0\r\n\r\n");
            } else {
                gate.wait();
                conn.send(json_answer(200, &whole(1)));
            }
        }
    })
}

fn streamed() -> String {
    let mut body = ask("hello");
    body["stream"] = json!(true);
    body.to_string()
}

fn send(gateway: &Gateway, body: &str) -> crate::support::client::Client {
    let mut client = gateway.client();
    client.post("/v1/chat/completions", "", body);
    client
}

/// Waits until the provider has a request.
fn asked(upstream: &Upstream) {
    for _ in 0..1000 {
        if upstream.count() > 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("nobody was asked");
}

fn wait_followers(gateway: &Gateway, upstream: &Upstream, in_flight: f64) {
    gateway.wait_metric("cirque_in_flight_requests", &[], in_flight);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn whole_answers_are_shared() {
    let gate = Gate::default();
    let upstream = slow(&gate);
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let body = ask("hello").to_string();
    let mut leader = send(&gateway, &body);
    asked(&upstream);
    let mut followers: Vec<_> = (0..5).map(|_| send(&gateway, &body)).collect();
    let mut stream = send(&gateway, &streamed());
    wait_followers(&gateway, &upstream, 7.0);
    gate.open();
    assert_eq!(leader.response().ok().header("x-cirque-cache"), Some("miss"));
    for follower in &mut followers {
        let response = follower.response().ok();
        assert_eq!(response.header("x-cirque-cache"), Some("followed"));
        assert_eq!(content(&response), "answer 1");
    }
    let response = stream.response().ok();
    assert_eq!(response.header("x-cirque-cache"), Some("followed"));
    assert!(response.text().ends_with(DONE), "{}", response.text());
    assert_eq!(upstream.count(), 1);
}

#[test]
fn streams_are_followed_as_they_come() {
    let gate = Gate::default();
    let upstream = slow(&gate);
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let mut leader = send(&gateway, &streamed());
    leader.head();
    leader.until("\n\n");
    let mut follower = send(&gateway, &streamed());
    assert_eq!(follower.head().header("x-cirque-cache"), Some("followed"));
    // It gets what there is while the stream is open.
    assert!(follower.until("Hi").contains("chat.completion.chunk"));
    let mut patient = send(&gateway, &ask("hello").to_string());
    wait_followers(&gateway, &upstream, 3.0);
    gate.open();
    assert!(follower.until("[DONE]\n\n").contains("stop"));
    leader.until("[DONE]\n\n");
    let response = patient.response().ok();
    assert_eq!(content(&response), "Hi");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn the_call_goes_on_for_the_followers_when_its_client_leaves() {
    for (stream, body) in [(false, ask("hello").to_string()), (true, streamed())] {
        let gate = Gate::default();
        let upstream = slow(&gate);
        let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
        let mut leader = send(&gateway, &body);
        asked(&upstream);
        if stream {
            leader.head();
            leader.until("\n\n");
        }
        let mut follower = send(&gateway, &body);
        wait_followers(&gateway, &upstream, 2.0);
        drop(leader);
        gate.open();
        let response = follower.response().ok();
        assert_eq!(response.header("x-cirque-cache"), Some("followed"));
        assert!(
            response.text().contains(if stream { "[DONE]" } else { "answer 1" }),
            "{}",
            response.text()
        );
        assert_eq!(upstream.count(), 1, "stream: {stream}");
        assert!(!upstream.any_closed());
    }
}

#[test]
fn a_call_that_nobody_waits_for_is_given_up() {
    let gate = Gate::default();
    let upstream = slow(&gate);
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let leader = send(&gateway, &ask("hello").to_string());
    asked(&upstream);
    let follower = send(&gateway, &ask("hello").to_string());
    wait_followers(&gateway, &upstream, 2.0);
    drop(leader);
    drop(follower);
    upstream.closed();
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    gate.open();
}

#[test]
fn who_comes_late_gets_the_beginning_though_nothing_is_kept() {
    let gate = Gate::default();
    let upstream = slow(&gate);
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let mut leader = gateway.client();
    leader.post("/v1/chat/completions", "x-cirque-cache: no-store\r\n", streamed());
    leader.head();
    leader.until("\n\n");
    // Nobody followed when the first piece passed.
    let mut follower = send(&gateway, &streamed());
    assert_eq!(follower.head().header("x-cirque-cache"), Some("followed"));
    assert!(follower.until("\n\n").contains("Hi"), "the beginning is missing");
    gate.open();
    assert!(follower.until("[DONE]\n\n").contains("stop"));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn who_waits_less_leads_nobody_and_waits_no_longer_than_it_said() {
    let gate = Gate::default();
    let upstream = slow(&gate);
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let body = ask("hello").to_string();
    let hurried = |time: &str| {
        let mut client = gateway.client();
        let header = format!("x-cirque-timeout-ms: {time}\r\n");
        client.post("/v1/chat/completions", &header, &body);
        client
    };
    let _alone = hurried("600000");
    asked(&upstream);
    let leader = send(&gateway, &body);
    eventually("the other asks for itself", || (upstream.count() == 2).then_some(()));
    let mut follower = hurried("100");
    follower
        .response()
        .expect_error(504, "upstream_error", "provider_timeout");
    assert_eq!(upstream.count(), 2);
    drop(leader);
    gate.open();
}

#[test]
fn usage_is_told_to_who_asks_for_it_though_the_leader_did_not() {
    let gate = Gate::default();
    let upstream = {
        let gate = gate.clone();
        Upstream::script(move |conn: &mut Conn| {
            while conn.request().is_some() {
                conn.stream_head();
                conn.chunk(CHUNK);
                gate.wait();
                conn.chunk(FINISH);
                conn.chunk(USAGE);
                conn.chunk(DONE);
                conn.send("0\r\n\r\n");
            }
        })
    };
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let mut leader = send(&gateway, &streamed());
    leader.head();
    leader.until("\n\n");
    let mut wants = ask("hello");
    wants["stream"] = json!(true);
    wants["stream_options"] = json!({"include_usage": true});
    let mut stream = send(&gateway, &wants.to_string());
    let mut patient = send(&gateway, &ask("hello").to_string());
    wait_followers(&gateway, &upstream, 3.0);
    gate.open();
    assert!(!leader.until("[DONE]\n\n").contains("prompt_tokens"));
    let told = stream.response().ok();
    assert_eq!(told.header("x-cirque-cache"), Some("followed"));
    assert_eq!(told.header("x-cirque-cost-usd"), Some("0"));
    assert!(told.text().contains("\"prompt_tokens\""), "{}", told.text());
    let whole = patient.response().ok();
    assert!(
        whole.json()["usage"]["prompt_tokens"].as_u64() > Some(0),
        "{}",
        whole.text()
    );
}

#[test]
fn who_may_not_use_every_provider_follows_nobody() {
    let gate = Gate::default();
    let (a, b) = (slow(&gate), Upstream::ok());
    let mut builder = Builder::new("")
        .env("BOUND", "a-key-that-is-bound-to-little")
        .env("FREE", "a-key-that-may-use-everything");
    builder.body = format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\n\
         models:\n  m: {{ targets: [ {{ provider: a, model: up, weight: 3 }}, {{ provider: b, model: up }} ], \
         cache: {{ mode: exact, scope: team }} }}\n\
         teams: {{ t: {{}} }}\n\
         keys:\n  bound: {{ secret: env:BOUND, team: t, providers: [ b ] }}\n  free: {{ secret: env:FREE, team: t }}\n",
        a.url(),
        b.url()
    );
    let gateway = builder.start();
    let by = |key: &str| {
        let mut client = gateway.client();
        let header = format!("authorization: Bearer {key}\r\n");
        client.post("/v1/chat/completions", &header, ask("hello").to_string());
        client
    };
    let mut leader = by("a-key-that-may-use-everything");
    asked(&a);
    let response = by("a-key-that-is-bound-to-little").response().ok();
    assert_eq!(response.header("x-cirque-target"), Some("b/up"));
    assert_eq!((a.count(), b.count()), (1, 1));
    gate.open();
    leader.response().ok();
}
