//! Limits: of requests, tokens, concurrency; what headers say of them; what is given back.

use super::*;
use crate::support::Gate;
use crate::support::upstream::{CHUNK, error_body, json_answer};

const CHAT: &str = "/v1/chat/completions";

/// A key `k` with these limits.
fn limited(upstream: &Upstream, limits: &str) -> Gateway {
    gateway(
        upstream,
        &format!("keys: {{ k: {{ secret: env:KEY, limits: [ {limits} ] }} }}"),
    )
}

#[track_caller]
fn refused(answer: &Response) -> String {
    answer.expect_error(429, "rate_limit_error", "rate_limit_exceeded")
}

fn figure(answer: &Response, name: &str) -> Option<u64> {
    answer.header(name).map(|value| value.parse().unwrap())
}

#[test]
fn requests_are_counted_told_and_refused_and_refusals_are_not() {
    let upstream = Upstream::ok();
    let gateway = limited(&upstream, "{ requests: 5, per: 1h }");
    for left in (0..5).rev() {
        let answer = chat_as(&gateway, KEY).ok();
        assert_eq!(figure(&answer, "x-ratelimit-limit-requests"), Some(5));
        assert_eq!(figure(&answer, "x-ratelimit-remaining-requests"), Some(left));
        assert!(answer.header("x-ratelimit-reset-requests").is_some());
        assert!(answer.header("x-ratelimit-limit-tokens").is_none());
    }
    for _ in 0..20 {
        let answer = chat_as(&gateway, KEY);
        let text = refused(&answer);
        assert!(
            text.contains("5 requests in 60 min") && text.contains("key `k`"),
            "{text}"
        );
        assert_eq!(figure(&answer, "x-ratelimit-remaining-requests"), Some(0));
        let after = figure(&answer, "retry-after").unwrap();
        // An hour, and the stretch by which the count is coarse.
        assert!((3500..=3780).contains(&after), "{after}");
    }
    assert_eq!(upstream.count(), 5);
    let standing = read(&gateway, "/admin/v1/limits?scope=key&name=k");
    assert_eq!(standing["items"][0]["used"], 5, "{standing}");
    assert_eq!(
        gateway.metric("cirque_limit_refusals_total", &["measure=\"requests\""]),
        20.0
    );
    // Refused requests are on record all the same, and cost nothing.
    let rows = records(&gateway, 25, "");
    let cost = rows
        .iter()
        .filter(|row| row["status"] == 429)
        .map(|row| row["tokens"]["input"].as_u64());
    assert_eq!(cost.collect::<Vec<_>>(), [Some(0); 20]);
}

#[test]
fn time_brings_requests_back() {
    let upstream = Upstream::ok();
    let gateway = limited(&upstream, "{ requests: 1, per: 1s }");
    chat_as(&gateway, KEY).ok();
    let after = chat_as(&gateway, KEY);
    if after.status == 429 {
        assert!(
            matches!(figure(&after, "retry-after"), Some(1 | 2)),
            "{:?}",
            after.headers
        );
    }
    crate::support::eventually("there is room again", || {
        (chat_as(&gateway, KEY).status == 200).then_some(())
    });
}

#[test]
fn tokens_are_taken_in_advance_and_given_back_when_the_figure_is_known() {
    let upstream = Upstream::ok();
    let gateway = limited(&upstream, "{ tokens: 10000, per: 24h }");
    let ask = |most: u64| gateway.post_with(CHAT, &bearer(KEY), body(json!({"max_tokens": most})));
    let standing = || read(&gateway, "/admin/v1/limits?scope=key&name=k")["items"][0].clone();
    for round in 0..4_u64 {
        let answer = ask(1000).ok();
        let left = figure(&answer, "x-ratelimit-remaining-tokens").unwrap();
        let most = 10_000 - 21 * round - 1000;
        assert!(left <= most && left > most - 300, "{left} of {most}");
        crate::support::eventually("it is settled", || (standing()["reserved"] == 0).then_some(()));
    }
    let answer = ask(9_990);
    let text = refused(&answer);
    assert!(text.contains("10000 tokens") && text.contains("max_tokens"), "{text}");
    assert!(figure(&answer, "x-ratelimit-remaining-tokens").unwrap() >= 9_900);
    let used = standing();
    assert_eq!((&used["used"], &used["reserved"]), (&json!(84), &json!(0)), "{used}");
    assert_eq!(upstream.count(), 4);
}

#[test]
fn input_and_output_tokens_are_counted_apart() {
    let upstream = Upstream::ok();
    let gateway = limited(
        &upstream,
        "{ input_tokens: 5000, per: 1h, name: in }, { output_tokens: 100, per: 1h, name: out }",
    );
    let ask = |members: Value| gateway.post_with(CHAT, &bearer(KEY), body(members));
    ask(json!({"max_tokens": 50})).ok();
    let text = refused(&ask(json!({"max_tokens": 101})));
    assert!(text.contains("`out`"), "{text}");
    let long = "word ".repeat(6_000);
    let text = refused(&ask(
        json!({"max_tokens": 5, "messages": [{"role": "user", "content": long}]}),
    ));
    assert!(text.contains("`in`"), "{text}");
    let standing = read(&gateway, "/admin/v1/limits?scope=key&name=k");
    let used: Vec<_> = standing["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["used"])
        .collect();
    assert_eq!(used, [&json!(9), &json!(12)], "{standing}");
}

#[test]
fn a_limit_may_be_for_some_models_and_apart_for_each() {
    let upstream = Upstream::ok();
    let url = upstream.url();
    let text = format!(
        "{TIMEOUTS}providers: {{ p: {{ kind: openai, base_url: \"{url}\", api_key: env:UP_KEY }} }}\nmodels:\n  \
         a-1: {{ targets: [ {{ provider: p }} ] }}\n  a-2: {{ targets: [ {{ provider: p }} ] }}\n  \
         b: {{ targets: [ {{ provider: p }} ], limits: [ {{ requests: 3, per: 1h, each: key }} ] }}\n\
         teams: {{ t: {{ limits: [ {{ requests: 2, per: 1h, models: [ \"a-*\" ], each: model }} ] }} }}\n\
         keys: {{ k: {{ secret: env:KEY, team: t }} }}\n"
    );
    let gateway = builder(text).start();
    let second = make_key(&gateway, "second", json!({"team": "t"}));
    let ask = |key: &str, model: &str| gateway.post_with(CHAT, &bearer(key), chat(model)).status;
    let told = |key: &str, model: &str| (0..4).map(|_| ask(key, model)).collect::<Vec<_>>();
    assert_eq!(told(KEY, "a-1"), [200, 200, 429, 429]);
    assert_eq!(ask(&second, "a-1"), 429, "the team's");
    assert_eq!(told(&second, "a-2"), [200, 200, 429, 429]);
    assert_eq!(told(KEY, "b"), [200, 200, 200, 429]);
    assert_eq!(told(&second, "b"), [200, 200, 200, 429]);
}

#[test]
fn the_first_request_of_a_limit_of_nothing_is_refused() {
    let upstream = Upstream::ok();
    let gateway = limited(&upstream, "{ requests: 0, per: 1m }");
    let answer = chat_as(&gateway, KEY);
    assert!(refused(&answer).contains("nothing is allowed"));
    assert_eq!(answer.header("retry-after"), None, "it would be of no use");
    assert_eq!(upstream.count(), 0);
}

/// A provider that begins to answer, and goes on when it may.
fn slow(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("\"stream\":true") {
                conn.stream_head();
                conn.chunk(CHUNK);
                conn.wait_closed();
                return;
            }
            gate.wait();
            conn.send(json_answer(200, crate::support::upstream::CHAT));
        }
    })
}

#[test]
fn room_for_concurrent_requests_comes_back_however_they_end() {
    let gate = Gate::default();
    let upstream = slow(&gate);
    let gateway = limited(&upstream, "{ concurrent: 1 }");
    let standing = || read(&gateway, "/admin/v1/limits?scope=key&name=k")["items"][0].clone();
    let idle = |what: &str| {
        crate::support::eventually(what, || (standing()["remaining"] == 1).then_some(()));
    };
    // The client leaves in the middle of a stream.
    let mut client = gateway.client();
    client.post(CHAT, &bearer(KEY), body(json!({"stream": true})));
    assert_eq!(client.head().status, 200);
    let answer = chat_as(&gateway, KEY);
    let text = refused(&answer);
    assert!(text.contains("1 requests at one time"), "{text}");
    assert_eq!(figure(&answer, "retry-after"), Some(1));
    drop(client);
    idle("room of a stream that was left");
    // The client leaves before there is an answer.
    let asked = upstream.count();
    let mut client = gateway.client();
    client.post(CHAT, &bearer(KEY), chat("m"));
    crate::support::eventually("it is asked", || (upstream.count() > asked).then_some(()));
    assert_eq!(chat_as(&gateway, KEY).status, 429);
    drop(client);
    idle("room of a request that was left");
    // The request is none.
    for wrong in ["{", "{\"model\":\"nothing\",\"messages\":[]}"] {
        assert!(gateway.post_with(CHAT, &bearer(KEY), wrong).status < 429);
    }
    idle("room of what was never asked");
    gate.open();
    chat_as(&gateway, KEY).ok();
    idle("room of an answer");
}

#[test]
fn room_comes_back_from_failures_and_from_paths_that_are_passed_through() {
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            match request.line.split(' ').nth(1).unwrap() {
                "/v1/files" => conn.send(json_answer(200, "{\"ok\":true}")),
                "/v1/files/cut" => return,
                _ => conn.send(json_answer(500, &error_body("broken"))),
            };
        }
    });
    let more = "passthrough: [ { path: /v1/files, pool: m } ]\nkeys: { k: { secret: env:KEY, limits: [ { concurrent: 1 }, { requests: 100, per: 24h } ] } }";
    let gateway = gateway(&upstream, more);
    let idle = || {
        crate::support::eventually("all room is back", || {
            let standing = read(&gateway, "/admin/v1/limits?scope=key&name=k");
            let mut all = standing["items"].as_array().unwrap().iter();
            let concurrent = all.find(|item| item["measure"] == "concurrent").unwrap();
            (concurrent["remaining"] == 1).then_some(())
        });
    };
    for _ in 0..3 {
        assert_eq!(chat_as(&gateway, KEY).status, 502);
        idle();
    }
    let answer = gateway.post_with("/v1/files", &bearer(KEY), "{}").ok();
    assert_eq!(figure(&answer, "x-ratelimit-limit-requests"), Some(100));
    assert_eq!(figure(&answer, "x-ratelimit-remaining-requests"), Some(96));
    idle();
    assert_eq!(gateway.post_with("/v1/files/cut", &bearer(KEY), "{}").status, 502);
    idle();
    let mut client = gateway.client();
    client.send(format!(
        "POST /v1/files HTTP/1.1\r\nhost: x\r\n{}content-length: 99\r\n\r\nhalf",
        bearer(KEY)
    ));
    drop(client);
    idle();
}

#[test]
fn streams_and_refusals_in_every_dialect_say_how_limits_stand() {
    let upstream = Upstream::streaming();
    let gateway = limited(
        &upstream,
        "{ requests: 3, per: 1h }, { tokens: 100000, per: 1h, name: tight }",
    );
    let answer = stream_as(&gateway, KEY).ok();
    assert_eq!(figure(&answer, "x-ratelimit-remaining-requests"), Some(2));
    assert_eq!(figure(&answer, "x-ratelimit-limit-tokens"), Some(100_000));
    // A list costs no tokens, and a request of one is a request.
    let answer = get_as(&gateway, KEY, "/v1/models").ok();
    assert_eq!(figure(&answer, "x-ratelimit-remaining-requests"), Some(1));
    stream_as(&gateway, KEY).ok();
    let message = body(json!({"max_tokens": 5}));
    let answer = gateway.post_with("/v1/messages", &bearer(KEY), message);
    assert_eq!(
        (answer.status, &answer.json()["error"]["type"]),
        (429, &json!("rate_limit_error"))
    );
    assert!(answer.header("retry-after").is_some());
    assert_eq!(figure(&answer, "x-ratelimit-remaining-requests"), Some(0));
    let content = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}).to_string();
    let answer = gateway.post_with("/v1beta/models/m:generateContent", &bearer(KEY), content);
    assert_eq!(
        (answer.status, &answer.json()["error"]["status"]),
        (429, &json!("RESOURCE_EXHAUSTED"))
    );
    assert!(answer.header("retry-after").is_some());
}
