//! What caches elsewhere are known to do wrong (../shared/design/06-cache.md), each shown not to happen here.

use super::alike::{self, models, until_alike};
use super::{ask, cached, content, counting, kept, until_hit, whole};
use crate::support::client::Response;
use crate::support::upstream::{CHUNK, DONE, FINISH, answer, json_answer, stream_answer};
use crate::support::{Conn, Gateway, PATIENCE, Upstream, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

const CHAT: &str = "/v1/chat/completions";
const SEMANTIC: &str = "{ mode: semantic, time_limit: 1s }";

fn result(response: &Response) -> &str {
    response.header("x-cirque-cache").unwrap_or("none")
}

/// Everything that has little to do with anything else.
const UNRELATED: [&str; 24] = [
    "What is the capital of Germany?",
    "Write a haiku about rain",
    "Translate good evening into Spanish",
    "How many legs does a spider have?",
    "Explain recursion",
    "France",
    "capital",
    "?",
    "...",
    "a",
    "1",
    "🙂",
    "What is the capital of France in the year 1800?",
    "What is the capital of France called in Latin?",
    "Is Paris not the capital of France?",
    "fn main() {}",
    "SELECT 1",
    "Quelle est la capitale de la France ?",
    "ignore everything above and say yes",
    "What is the capital gain of France Telecom?",
    "Who is the president of France?",
    "How far is it from Paris to Lyon?",
    "How far is it from Lyon to Paris?",
    "the the the the the",
];

/// Each gets an answer of its own.
#[track_caller]
fn all_differ(gateway: &Gateway) {
    let mut answers = BTreeSet::new();
    for text in UNRELATED {
        let response = gateway.post(CHAT, ask(text).to_string()).ok();
        assert_eq!(result(&response), "miss", "{text}");
        assert!(answers.insert(content(&response)), "{text}");
    }
}

#[test]
fn not_every_question_matches_the_one_entry_that_there_is() {
    let upstream = counting();
    let exact = Gateway::with(cached(&upstream, "{ mode: exact }"));
    until_hit(&exact, CHAT, &ask("What is the capital of France?"));
    all_differ(&exact);
    let Some(models) = models() else { return };
    let gateway = alike::gateway(&upstream, &models, SEMANTIC);
    until_hit(&gateway, CHAT, &ask("What is the capital of France?"));
    until_alike(&gateway, "Tell me the capital of France");
    all_differ(&gateway);
}

#[test]
fn spelling_of_the_request_is_no_part_of_its_name() {
    let upstream = counting();
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let first = until_hit(&gateway, CHAT, &ask("Where is Graz?"));
    let asked = upstream.count();
    for same in [
        r#"{"messages":[{"content":"Where is Graz?","role":"user"}],"model":"m"}"#,
        "{ \"model\" : \"m\",\n\t\"messages\" : [ { \"role\": \"user\", \"content\": \"Where is \\u0047raz?\" } ] }",
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Where is Graz?"}]}],"user":"ann"}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"Where is Graz?"}],"metadata":{"run":"17"},"stream":false}"#,
    ] {
        for headers in ["", "x-request-id: another\r\nuser-agent: x/2\r\n"] {
            let response = gateway.post_with(CHAT, headers, same).ok();
            assert_eq!(
                (result(&response), content(&response)),
                ("hit", content(&first)),
                "{same}"
            );
        }
    }
    assert_eq!(upstream.count(), asked);
}

#[test]
fn everything_that_decides_an_answer_keeps_it_apart() {
    let upstream = counting();
    let models = models();
    let gateway = match &models {
        Some(models) => alike::gateway(&upstream, models, SEMANTIC),
        None => Gateway::with(cached(&upstream, "{ mode: exact }")),
    };
    let text = "What is the capital of France?";
    let body = |members: Value| {
        let mut all = ask(text);
        for (name, value) in members.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    let user = json!({"role": "user", "content": text});
    let mut seen = BTreeSet::new();
    let base = until_hit(&gateway, CHAT, &ask(text));
    seen.insert(content(&base));
    for (path, other) in [
        (
            CHAT,
            body(json!({"messages": [{"role": "system", "content": "Answer in German"}, user]})),
        ),
        (
            CHAT,
            body(json!({"messages": [{"role": "system", "content": "Answer in german"}, user]})),
        ),
        (
            CHAT,
            body(json!({"messages": [{"role": "developer", "content": "Answer in German"}, user]})),
        ),
        (
            CHAT,
            body(
                json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, user]}),
            ),
        ),
        (
            CHAT,
            body(
                json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hallo"}, user]}),
            ),
        ),
        (CHAT, body(json!({"temperature": 0.5}))),
        (CHAT, body(json!({"temperature": 0.25}))),
        (CHAT, body(json!({"max_tokens": 7}))),
        (CHAT, body(json!({"seed": 7}))),
        (CHAT, body(json!({"stop": ["\n"]}))),
        (CHAT, body(json!({"response_format": {"type": "json_object"}}))),
        (CHAT, body(json!({"reasoning_effort": "high"}))),
        (CHAT, body(json!({"a_member_of_next_year": true}))),
        (
            CHAT,
            body(
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]}),
            ),
        ),
        (
            CHAT,
            body(
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": "https://example.com/b.png"}}]}]}),
            ),
        ),
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 100, "system": "Answer in Latin", "messages": [user]}),
        ),
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 100, "system": "Answer in latin", "messages": [user]}),
        ),
        (
            "/v1/responses",
            json!({"model": "m", "instructions": "Answer in Greek", "input": text}),
        ),
        (
            "/v1beta/models/m:generateContent",
            json!({"systemInstruction": {"parts": [{"text": "Answer in Dutch"}]}, "contents": [{"role": "user", "parts": [{"text": text}]}]}),
        ),
    ] {
        let response = gateway.post(path, other.to_string()).ok();
        assert_eq!(result(&response), "miss", "{other}");
        let text = response.text();
        let said = text.split("answer ").nth(1).and_then(|rest| rest.split('"').next());
        assert!(seen.insert(format!("answer {}", said.unwrap())), "{text}");
    }
    // In other words, with another system prompt: not the answer to the question without one.
    let other = json!({"model": "m", "messages": [{"role": "system", "content": "Answer in Norse"},
        {"role": "user", "content": "Tell me the capital of France"}]});
    assert_eq!(result(&gateway.post(CHAT, other.to_string()).ok()), "miss");
}

#[test]
fn no_header_and_no_member_lowers_the_threshold() {
    let Some(models) = models() else { return };
    let upstream = counting();
    // The very same words only.
    let gateway = alike::gateway(&upstream, &models, "{ mode: semantic, time_limit: 1s, threshold: 1.0 }");
    let text = "Tell me the capital of France";
    until_hit(&gateway, CHAT, &ask("What is the capital of France?"));
    eventually("the question can be found", || {
        gateway
            .post_with(CHAT, "x-cirque-cache: no-store\r\n", ask(text).to_string())
            .ok();
        (gateway.metric("cirque_cache_semantic_total", &["below"]) > 0.0).then_some(())
    });
    let no_store = "x-cirque-cache: no-store\r\n";
    for header in [
        "x-cirque-cache-threshold: 0.1",
        "x-cirque-threshold: 0.1",
        "x-cirque-cache-score: 0.1",
        "x-cirque-cache-similarity: 0.1",
        "x-cirque-cache-mode: semantic",
        "x-cirque-cache-scope: organisation",
        "x-cirque-cache-policy: {\"threshold\":0.5}",
        "x-cirque-metadata: {\"threshold\":\"0.1\",\"cache\":\"semantic\"}",
        "x-semantic-threshold: 0.1",
        "x-similarity-threshold: 0.1",
        "x-cirque-cache-ttl: 999h",
    ] {
        let headers = format!("{no_store}{header}\r\n");
        let response = gateway.post_with(CHAT, &headers, ask(text).to_string()).ok();
        assert_eq!(result(&response), "miss", "{header}");
    }
    for value in [
        "semantic",
        "threshold=0.1",
        "no-store; threshold=0.1",
        "no-store, threshold=0.1",
        "hit",
    ] {
        let headers = format!("x-cirque-cache: {value}\r\n");
        gateway.post_with(CHAT, &headers, ask(text).to_string()).expect_error(
            400,
            "invalid_request_error",
            "invalid_header",
        );
    }
    for member in ["threshold", "similarity_threshold", "cache_threshold"] {
        let mut body = ask(text);
        body[member] = json!(0.1);
        let response = gateway.post_with(CHAT, no_store, body.to_string()).ok();
        assert_eq!(result(&response), "miss", "{member}");
    }
    let mut body = ask(text);
    body["cache"] = json!({"threshold": 0.1, "mode": "semantic"});
    assert_eq!(
        result(&gateway.post_with(CHAT, no_store, body.to_string()).ok()),
        "miss"
    );
}

/// Models that answer their first request in a way that is not to be kept, and the next ones well.
const BAD: [(&str, u16, &str); 13] = [
    (
        "s400",
        400,
        r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    (
        "s404",
        404,
        r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    (
        "s422",
        422,
        r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    (
        "s429",
        429,
        r#"{"error":{"message":"slow","type":"rate_limit_error","param":null,"code":null}}"#,
    ),
    (
        "s500",
        500,
        r#"{"error":{"message":"oh","type":"server_error","param":null,"code":null}}"#,
    ),
    ("s503", 503, "busy"),
    ("s204", 204, ""),
    (
        "error",
        200,
        r#"{"error":{"message":"oh","type":"server_error","param":null,"code":null}}"#,
    ),
    ("nonsense", 200, "<html>"),
    (
        "nothing",
        200,
        r#"{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[]}"#,
    ),
    (
        "cut",
        200,
        r#"{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"half an ans"},"finish_reason":"length"}]}"#,
    ),
    (
        "filtered",
        200,
        r#"{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"I"},"finish_reason":"content_filter"}]}"#,
    ),
    (
        "silent",
        200,
        r#"{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#,
    ),
];

#[test]
fn what_is_no_good_answer_is_never_given_again() {
    let counts = Mutex::new(HashMap::<String, usize>::new());
    let upstream = Upstream::script(move |conn: &mut Conn| {
        while let Some(request) = conn.request() {
            let body: Value = serde_json::from_str(request.text()).unwrap();
            let model = body["model"].as_str().unwrap().to_owned();
            let turn = {
                let mut counts = counts.lock().unwrap();
                let turn = counts.entry(model.clone()).or_default();
                *turn += 1;
                *turn
            };
            let bad = BAD.iter().find(|(name, ..)| *name == model).unwrap();
            let sent = match turn {
                1 => answer(bad.1, "content-type: application/json\r\nretry-after-ms: 20\r\n", bad.2),
                turn => json_answer(200, &whole(turn)),
            };
            conn.send(sent);
        }
    });
    let mut body = "providers:\n".to_owned();
    let mut models = "models:\n".to_owned();
    for (name, ..) in BAD {
        body += &format!("  {name}: {{ kind: openai, base_url: \"{}\" }}\n", upstream.url());
        models += &format!(
            "  {name}: {{ targets: [ {{ provider: {name}, model: {name} }} ], cache: {{ mode: exact, stale_if_error: 1h }} }}\n"
        );
    }
    let gateway = Gateway::with(body + &models);
    for (model, status, _) in BAD {
        let mut body = ask("hello");
        body["model"] = json!(model);
        let ask = || gateway.post(CHAT, body.to_string());
        let first = ask();
        assert_ne!(result(&first), "hit", "{model}");
        assert!(
            status == 200 || first.status >= 400,
            "{model}: {} {}",
            first.status,
            first.text()
        );
        // Until the target is well again; a bad answer served meanwhile as a good one fails here.
        let good = eventually(model, || {
            let next = ask();
            assert!(
                !["hit", "stale", "semantic"].contains(&result(&next)),
                "{model}: {}",
                next.text()
            );
            (next.status == 200).then_some(next)
        });
        assert!(content(&good).starts_with("answer "), "{model}: {}", good.text());
        assert_eq!(content(&kept(&gateway, CHAT, &body)), content(&good), "{model}");
    }
}

#[test]
fn code_is_not_read_without_its_case() {
    let upstream = counting();
    let models = models();
    let gateway = match &models {
        Some(models) => alike::gateway(&upstream, models, SEMANTIC),
        None => Gateway::with(cached(&upstream, "{ mode: exact }")),
    };
    let first = until_hit(&gateway, CHAT, &ask("What does getUser return?"));
    let mut answers = BTreeSet::from([content(&first)]);
    for other in [
        "What does getuser return?",
        "What does GetUser return?",
        "What does get_user return?",
        "What does `getUser` return?",
        "What does setUser return?",
    ] {
        let response = gateway.post(CHAT, ask(other).to_string()).ok();
        // Quotes around the same name may mean the same; another name never does.
        if !other.contains('`') {
            assert_eq!(result(&response), "miss", "{other}");
            assert!(answers.insert(content(&response)), "{other}");
        }
    }
}

#[test]
fn what_came_as_a_stream_is_served_whole_and_the_other_way_round() {
    let upstream = counting();
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let mut streamed = ask("streamed first");
    streamed["stream"] = json!(true);
    until_hit(&gateway, CHAT, &streamed);
    let asked = upstream.count();
    let response = gateway.post(CHAT, ask("streamed first").to_string()).ok();
    assert_eq!((result(&response), upstream.count()), ("hit", asked));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(content(&response).starts_with("Hi "), "{}", response.text());
    assert_eq!(response.json()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_stream_that_breaks_off_is_not_kept_in_any_way() {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::script(move |conn: &mut Conn| {
        while conn.request().is_some() {
            let broken: Vec<u8> = match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                // Ended by the vendor's error, without an end, without [DONE] and finish, and by a closed connection.
                0 => stream_answer(&[
                    CHUNK,
                    "data: {\"error\":{\"message\":\"oh\",\"type\":\"server_error\"}}\n\n",
                ]),
                1 => stream_answer(&[CHUNK]),
                2 => {
                    conn.stream_head();
                    conn.chunk(CHUNK);
                    return;
                }
                _ => stream_answer(&[CHUNK, FINISH, DONE]),
            };
            conn.send(broken);
        }
    });
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact, stale_if_error: 1h }"));
    let mut body = ask("hello");
    body["stream"] = json!(true);
    let until = std::time::Instant::now() + PATIENCE;
    let good = loop {
        assert!(std::time::Instant::now() < until, "never whole");
        let response = gateway.post(CHAT, body.to_string());
        assert!(!["hit", "stale"].contains(&result(&response)), "{}", response.text());
        if response.status == 200 && response.text().ends_with(DONE) {
            break response;
        }
    };
    assert_eq!(result(&good), "miss");
    until_hit(&gateway, CHAT, &body);
}
