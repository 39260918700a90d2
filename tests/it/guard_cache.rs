//! Guardrails with the cache: what is kept has passed them, and is found by nobody whose guardrails are others.

use crate::accounts::{bearer, builder};
use crate::cache::{ask, cached, content, kept};
use crate::support::client::{Client, Response};
use crate::support::upstream::{DONE, FINISH, json_answer};
use crate::support::{Conn, Gate, Gateway, Upstream, eventually};
use serde_json::{Value, json};

const CHATS: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const PERSONAL: &str = "personal: { kind: pii, action: redact, always: true }";
/// What the provider says, in the middle of which it waits if it streams, and what may be known of it.
const SAID: [&str; 2] = ["Ask for zelda.qu", "ux@parcel.org now"];
const REDACTED: &str = "Ask for [EMAIL] now";

fn chunk(text: &str) -> String {
    let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
    let data = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]});
    format!("data: {data}\n\n")
}

/// Says it, whole or in two pieces, with the gate between them.
fn speaker(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::script(move |conn: &mut Conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("\"stream\":true") {
                conn.stream_head();
                conn.chunk(chunk(SAID[0]));
                gate.wait();
                conn.chunk(chunk(SAID[1]));
                conn.chunk(FINISH);
                conn.chunk(DONE);
                conn.send("0\r\n\r\n");
            } else {
                gate.wait();
                conn.send(json_answer(
                    200,
                    &crate::cache::whole(1).replace("answer 1", &SAID.concat()),
                ));
            }
        }
    })
}

/// One that does not wait.
fn ready() -> Upstream {
    let gate = Gate::default();
    gate.open();
    speaker(&gate)
}

fn guarded(upstream: &Upstream, guardrails: &str) -> Gateway {
    Gateway::with(format!(
        "{}guardrails:\n  {guardrails}\n",
        cached(upstream, "{ mode: exact }")
    ))
}

fn streamed(text: &str) -> Value {
    let mut body = ask(text);
    body["stream"] = json!(true);
    body
}

/// The text of a chat stream, and why it ended.
fn read(response: &Response) -> (String, Value) {
    let text = response.text();
    assert!(text.ends_with(DONE), "{text}");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    let data = data.map(|data| serde_json::from_str::<Value>(&format!("{{{data}")).unwrap());
    let (mut said, mut end) = (String::new(), Value::Null);
    for data in data {
        let choice = &data["choices"][0];
        said += choice["delta"]["content"].as_str().unwrap_or_default();
        if !choice["finish_reason"].is_null() {
            end = choice["finish_reason"].clone();
        }
    }
    (said, end)
}

fn result(response: &Response) -> &str {
    response.header("x-cirque-cache").unwrap_or("none")
}

fn send(gateway: &Gateway, path: &str, body: &Value) -> Client {
    let mut client = gateway.client();
    client.post(path, "", body.to_string());
    client
}

#[test]
fn a_redacted_answer_is_kept_redacted() {
    for first in [ask("hello"), streamed("hello")] {
        let upstream = ready();
        let gateway = guarded(&upstream, PERSONAL);
        assert_eq!(result(&gateway.post(CHATS, first.to_string()).ok()), "miss");
        let hit = kept(&gateway, CHATS, &ask("hello"));
        assert_eq!(content(&hit), REDACTED);
        let hit = kept(&gateway, CHATS, &streamed("hello"));
        assert_eq!(read(&hit), (REDACTED.to_owned(), json!("stop")));
        for body in [
            json!({"model": "m", "input": "hello"}),
            json!({"model": "m", "input": "hello", "stream": true}),
        ] {
            let text = kept(&gateway, RESPONSES, &body).text();
            assert!(text.contains(REDACTED) && !text.contains("parcel"), "{text}");
        }
    }
}

#[test]
fn who_changes_a_guardrail_gets_no_answer_of_before() {
    let upstream = ready();
    let gateway = guarded(&upstream, PERSONAL);
    let all = format!("guardrails:\n  {PERSONAL}\n");
    // What a guardrail does to requests only is no part of it.
    for (guardrails, expected, says) in [
        (all.clone(), "miss", REDACTED),
        (
            all.replace("always", "replacement: '[who]', always"),
            "miss",
            "Ask for [who] now",
        ),
        (
            format!("{all}  words: {{ kind: keywords, words: [now], always: true }}\n"),
            "miss",
            REDACTED,
        ),
        (
            format!("{all}  words: {{ kind: keywords, words: [now], on: [input], always: true }}\n"),
            "hit",
            REDACTED,
        ),
        (String::new(), "miss", "Ask for zelda.quux@parcel.org now"),
        (all.clone(), "hit", REDACTED),
    ] {
        gateway.edit(|text| {
            let before = text.find("guardrails:\n").unwrap_or(text.len());
            format!("{}{guardrails}", &text[..before])
        });
        gateway.reload();
        assert_eq!(
            gateway.metric("cirque_config_last_reload_success", &[]),
            1.0,
            "{guardrails}"
        );
        let response = gateway.post(CHATS, ask("hello").to_string()).ok();
        assert_eq!(
            (result(&response), content(&response).as_str()),
            (expected, says),
            "{guardrails}"
        );
        assert_eq!(content(&kept(&gateway, CHATS, &ask("hello"))), says, "{guardrails}");
    }
}

#[test]
fn what_was_redacted_in_a_request_is_asked_for_once() {
    let upstream = ready();
    let gateway = guarded(&upstream, PERSONAL);
    gateway.post(CHATS, ask("from ann@example.org").to_string()).ok();
    // It is the same question to the provider.
    kept(&gateway, CHATS, &ask("from bob@example.net"));
    let asked = upstream.requests();
    assert!(asked.iter().all(|request| request.text().contains("from [EMAIL]")));
}

#[test]
fn followers_of_a_stream_get_what_may_pass() {
    let gate = Gate::default();
    let upstream = speaker(&gate);
    let gateway = guarded(&upstream, PERSONAL);
    let mut leader = send(&gateway, CHATS, &streamed("hello"));
    leader.head();
    leader.until("Ask for ");
    let mut follower = send(&gateway, CHATS, &streamed("hello"));
    let head = follower.head();
    assert_eq!(result(&head), "followed");
    let early = follower.until("Ask for ");
    assert!(!early.contains("zelda"), "{early}");
    let mut patient = send(&gateway, CHATS, &ask("hello"));
    let mut other = send(
        &gateway,
        RESPONSES,
        &json!({"model": "m", "input": "hello", "stream": true}),
    );
    gateway.wait_metric("cirque_in_flight_requests", &[], 4.0);
    gate.open();
    for mut client in [leader, follower] {
        let rest = client.until("[DONE]\n\n");
        assert!(
            rest.contains("[EMAIL]") && !rest.contains("parcel") && !rest.contains("quux"),
            "{rest}"
        );
    }
    let patient = patient.response().ok();
    assert_eq!(content(&patient), REDACTED);
    let other = other.response().ok();
    let text = other.text();
    assert!(
        text.contains(REDACTED) && !text.contains("parcel") && !text.contains("zelda"),
        "{text}"
    );
    assert_ne!(result(&other), "miss");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_blocked_answer_is_not_kept_and_those_that_follow_it_get_its_end() {
    for first in [ask("hello"), streamed("hello")] {
        let gate = Gate::default();
        let upstream = speaker(&gate);
        let gateway = guarded(&upstream, &PERSONAL.replace("redact", "block"));
        let mut leader = send(&gateway, CHATS, &first);
        eventually("the provider is asked", || (upstream.count() == 1).then_some(()));
        let mut follower = send(&gateway, CHATS, &first);
        gateway.wait_metric("cirque_in_flight_requests", &[], 2.0);
        gate.open();
        for client in [&mut leader, &mut follower] {
            let response = client.response().ok();
            let text = response.text();
            assert!(
                !text.contains("quux") && !text.contains("zelda") && !text.contains("now"),
                "{text}"
            );
            assert!(text.contains("\"finish_reason\":\"content_filter\""), "{text}");
        }
        gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
        let asked = upstream.count();
        for body in [ask("hello"), streamed("hello")] {
            let again = gateway.post(CHATS, body.to_string()).ok();
            assert_eq!(result(&again), "miss", "{first}");
            assert!(!again.text().contains("quux"), "{}", again.text());
        }
        assert_eq!(upstream.count(), asked + 2, "{first}");
    }
}

#[test]
fn keys_of_a_team_with_other_guardrails_share_nothing() {
    const A: &str = "secret-of-a-0123456789-0123456789";
    const B: &str = "secret-of-b-0123456789-0123456789";
    let gate = Gate::default();
    let upstream = speaker(&gate);
    let config = format!(
        "{}teams: {{ t: {{}} }}\nkeys:\n  a: {{ secret: env:A, team: t, guardrails: [personal] }}\n  b: {{ secret: env:B, team: t }}\n  \
         c: {{ secret: env:C, team: t, guardrails: [personal] }}\nguardrails:\n  {}\n",
        cached(&upstream, "{ mode: exact, scope: team }"),
        PERSONAL.replace(", always: true", "")
    );
    let c = A.replace("of-a", "of-c");
    let gateway = builder(config).env("A", A).env("B", B).env("C", &*c).start();
    let post = |secret: &str, body: &Value| gateway.post_with(CHATS, &bearer(secret), body.to_string()).ok();
    // Neither does one follow the other's call.
    let mut both: Vec<Client> = Vec::new();
    for secret in [B, A] {
        let mut client = gateway.client();
        client.post(CHATS, &bearer(secret), streamed("hello").to_string());
        both.push(client);
        eventually("both are asked", || (upstream.count() == both.len()).then_some(()));
    }
    gate.open();
    let said: Vec<_> = both.iter_mut().map(|client| read(&client.response().ok()).0).collect();
    assert_eq!(said, ["Ask for zelda.quux@parcel.org now", REDACTED]);
    for (secret, says) in [(A, REDACTED), (&c, REDACTED), (B, "Ask for zelda.quux@parcel.org now")] {
        let hit = eventually("it is kept", || {
            let response = post(secret, &ask("hello"));
            (result(&response) == "hit").then_some(response)
        });
        assert_eq!(content(&hit), says);
    }
}
