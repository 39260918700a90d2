//! Streams that break after their beginning was sent, and are gone on with by another target.

use crate::admin::target;
use crate::support::client::{Client, Response, chat, chat_stream, ends_in_error};
use crate::support::upstream::{CHAT, json_answer};
use crate::support::{Gate, Gateway, Upstream};
use serde_json::Value;

const WORDS: [&str; 8] = ["One ", "two ", "three, ", "four ", "five ", "six ", "seven ", "eight."];

fn piece(id: &str, text: &str) -> String {
    let delta = serde_json::json!({"content": text});
    format!(
        "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n"
    )
}

const END: &str = "data: {\"id\":\"chatcmpl-2\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                   data: {\"id\":\"chatcmpl-2\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":4,\"total_tokens\":24}}\n\n\
                   data: [DONE]\n\n";

/// Says the words in order, beginning behind what the last message of the assistant's says; breaks off after `most` of them.
fn speaker(most: usize, reset: bool) -> Upstream {
    let id = format!("chatcmpl-{most}");
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let last = body["messages"].as_array().unwrap().last().unwrap();
            let said = match last["role"].as_str() {
                Some("assistant") => last["content"].as_str().unwrap().to_owned(),
                _ => String::new(),
            };
            conn.stream_head();
            let mut told = String::new();
            let mut left = most;
            for word in WORDS {
                told += word;
                if told.trim_end().len() <= said.len() {
                    continue;
                }
                if left == 0 {
                    if reset {
                        conn.reset();
                    }
                    return;
                }
                left -= 1;
                // What was said ends without its space.
                let rest = if told.len() - word.len() == said.len() + 1 {
                    format!(" {word}")
                } else {
                    word.to_owned()
                };
                conn.chunk(piece(&id, &rest));
            }
            conn.chunk(END.replace("chatcmpl-2", &id));
            conn.send("0\r\n\r\n");
        }
    })
}

fn pool(first: &Upstream, second: &Upstream, kind: &str, continuation: &str) -> Gateway {
    Gateway::with(format!(
        "breaker: {{ failures: 1000, min_requests: 100000 }}\nproviders:\n  a: {{ kind: sglang, base_url: \"{}\" }}\n  b: {{ kind: {kind}, base_url: \"{}\" }}\n\
         models:\n  m: {{ {continuation} targets: [ {{ provider: a, model: up }}, {{ provider: b, model: up, weight: 0 }} ] }}\n",
        first.url(),
        second.url()
    ))
}

/// The text of a chat stream, after checking that it is one.
fn text_of(response: &Response) -> String {
    let body = response.text();
    let mut text = String::new();
    let mut ids = std::collections::BTreeSet::new();
    for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("{data}"));
        ids.insert(chunk["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned());
        if let Some(piece) = chunk["choices"][0]["delta"]["content"].as_str() {
            text += piece;
        }
    }
    assert_eq!(ids.len(), 1, "{body}");
    assert_eq!(body.matches("[DONE]").count(), 1, "{body}");
    assert_eq!(body.matches("\"finish_reason\":\"stop\"").count(), 1, "{body}");
    text
}

#[test]
fn a_hundred_killed_streams_end_whole_with_one_seam_each() {
    for reset in [true, false] {
        let (first, second) = (speaker(3, reset), speaker(100, false));
        let gateway = pool(&first, &second, "sglang", "continuation: {},");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let response = gateway.post("/v1/chat/completions", chat_stream("m")).ok();
                        assert_eq!(text_of(&response), WORDS.concat());
                        assert_eq!(response.text().matches(": cirque seam 1\n").count(), 1);
                    }
                });
            }
        });
        // The breaker of the first opens on the way; what it was asked broke, and was gone on with.
        let seams = gateway.metric("cirque_continuations_total", &["result=\"continued\""]);
        assert!(
            seams >= 3.0 && seams == first.count() as f64,
            "{seams} of {}",
            first.count()
        );
    }
}

#[test]
fn the_next_target_is_told_what_was_said_and_the_record_names_both() {
    let (first, second) = (speaker(3, true), speaker(100, false));
    let gateway = pool(&first, &second, "sglang", "continuation: {},");
    let response = gateway.stream().ok();
    assert_eq!(response.text().matches(": cirque seam 1").count(), 1);
    let asked = second.request();
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let last = body["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["role"], "assistant");
    assert_eq!(last["content"], "One two three,");
    assert_eq!(body["continue_final_message"], true, "{body}");
    let line = gateway.access(response.header("x-request-id").unwrap());
    assert_eq!((&line["seams"], &line["purpose"]), (&1.into(), &"continuation".into()));
    assert_eq!(line["target"], "b/up");
    assert_eq!(line["tries"][0]["target"], "a/up");
    assert_eq!(line["tries"][0]["outcome"], "disconnected");
    assert!(line["tries"][0]["output_tokens"].as_u64() > Some(0), "{line}");
    assert!(line["tries"][0]["input_tokens"].as_u64() > Some(0), "{line}");
    assert_eq!(line["attempts"], 2);
}

#[test]
fn clients_of_other_dialects_are_gone_on_with_as_well() {
    let bodies = [
        (
            "/v1/messages",
            r#"{"model":"m","max_tokens":500,"stream":true,"messages":[{"role":"user","content":"count"}]}"#,
        ),
        ("/v1/responses", r#"{"model":"m","stream":true,"input":"count"}"#),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            r#"{"contents":[{"role":"user","parts":[{"text":"count"}]}]}"#,
        ),
    ];
    for (path, body) in bodies {
        let (first, second) = (speaker(3, true), speaker(100, false));
        let gateway = pool(&first, &second, "sglang", "continuation: {},");
        let response = gateway.post(path, body).ok();
        let text = response.text();
        let mut said = String::new();
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let event: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("{path}: {data}"));
            let pieces = [
                &event["delta"]["text"],
                if event["type"] == "response.output_text.delta" {
                    &event["delta"]
                } else {
                    &Value::Null
                },
                &event["candidates"][0]["content"]["parts"][0]["text"],
            ];
            said.extend(pieces.iter().filter_map(|piece| piece.as_str()));
        }
        assert_eq!(said, WORDS.concat(), "{path}: {text}");
        assert!(!text.contains("\"error\":{"), "{path}: {text}");
    }
}

#[test]
fn a_tool_call_is_never_gone_on_with() {
    let call = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\"}}]}}]}\n\n";
    let first = Upstream::script(move |conn| {
        if conn.request().is_some() {
            conn.stream_head();
            conn.chunk(call);
        }
    });
    let second = speaker(100, false);
    let gateway = pool(&first, &second, "sglang", "continuation: {},");
    ends_in_error(&gateway.stream(), "upstream_error", "provider_error");
    assert_eq!(second.count(), 0);
    gateway.wait_metric("cirque_continuations_total", &["result=\"tool_call\""], 1.0);
}

#[test]
fn without_a_target_that_goes_on_it_ends_in_the_error_it_would_have() {
    let (first, second) = (speaker(3, true), speaker(100, false));
    let gateway = pool(&first, &second, "openai", "continuation: {},");
    ends_in_error(&gateway.stream(), "upstream_error", "provider_error");
    assert_eq!(second.count(), 0, "OpenAI's API does not go on");
    let (first, second) = (speaker(3, true), Upstream::always(json_answer(400, "{}")));
    let gateway = pool(&first, &second, "sglang", "continuation: {},");
    ends_in_error(&gateway.stream(), "upstream_error", "provider_error");
    assert_eq!(second.count(), 1);
    let (first, second) = (speaker(3, true), speaker(100, false));
    let gateway = pool(&first, &second, "sglang", "");
    ends_in_error(&gateway.stream(), "upstream_error", "provider_error");
    assert_eq!(second.count(), 0, "the pool does not say so");
}

#[test]
fn a_target_can_be_told_to_go_on() {
    let first = speaker(3, true);
    let second = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let turns = body["messages"].as_array().unwrap();
            assert_eq!(turns[turns.len() - 2]["role"], "assistant");
            assert_eq!(turns[turns.len() - 1]["role"], "user");
            conn.stream_head();
            for word in [" four ", "five ", "six ", "seven ", "eight."] {
                conn.chunk(piece("chatcmpl-9", word));
            }
            conn.chunk(END);
            conn.send("0\r\n\r\n");
        }
    });
    let gateway = pool(&first, &second, "openai", "continuation: { by: instruction },");
    assert_eq!(text_of(&gateway.stream().ok()), WORDS.concat());
}

#[test]
fn a_second_break_needs_a_second_seam() {
    let (first, second) = (speaker(3, true), speaker(2, true));
    let gateway = pool(&first, &second, "sglang", "continuation: { seams: 1 },");
    ends_in_error(&gateway.stream(), "upstream_error", "provider_error");
}

/// Targets `a` and `b` of `m`, whose breakers open at once.
fn touchy(first: &Upstream, second: &Upstream) -> Gateway {
    Gateway::with(format!(
        "breaker: {{ failures: 1, open: 100ms }}\nproviders:\n  a: {{ kind: sglang, base_url: \"{}\" }}\n  b: {{ kind: sglang, base_url: \"{}\" }}\n\
         models:\n  m: {{ continuation: {{}}, targets: [ {{ provider: a, model: up }}, {{ provider: b, model: up, weight: 0 }} ] }}\n  \
         only: {{ targets: [ {{ provider: b, model: up }} ] }}\n",
        first.url(),
        second.url()
    ))
}

#[test]
fn a_target_that_calls_a_tool_instead_of_going_on_has_not_failed() {
    let call = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n";
    let second = Upstream::script(move |conn| {
        if conn.request().is_some() {
            conn.stream_head();
            conn.chunk(call);
        }
    });
    let first = speaker(3, true);
    let gateway = touchy(&first, &second);
    ends_in_error(&gateway.stream(), "upstream_error", "provider_bad_response");
    assert_eq!(second.count(), 1);
    assert_eq!(target(&gateway, "a/up")["failures_in_a_row"], 1);
    assert_eq!(target(&gateway, "b/up")["failures_in_a_row"], 0);
}

#[test]
fn each_speaker_counts_with_its_own_words() {
    let (first, second, third) = (speaker(3, true), speaker(2, true), speaker(100, false));
    let gateway = Gateway::with(format!(
        "providers:\n  a: {{ kind: sglang, base_url: \"{}\" }}\n  b: {{ kind: sglang, base_url: \"{}\" }}\n  c: {{ kind: sglang, base_url: \"{}\" }}\n\
         models:\n  m: {{ continuation: {{ seams: 2 }}, fallback: [ n ], targets: [ {{ provider: a, model: up }}, {{ provider: b, model: up, weight: 0 }} ] }}\n  \
         n: {{ targets: [ {{ provider: c, model: up }} ] }}\n",
        first.url(),
        second.url(),
        third.url()
    ));
    let response = gateway.stream().ok();
    assert_eq!(text_of(&response), WORDS.concat());
    let line = gateway.access(response.header("x-request-id").unwrap());
    let output = |at: usize| line["tries"][at]["output_tokens"].as_u64();
    // "One two three, " and "four five ", a token for four letters.
    assert_eq!((output(0), output(1)), (Some(4), Some(3)), "{line}");
}

#[test]
fn a_probe_that_goes_on_leaves_the_next_one_its_place() {
    let end = Gate::default();
    let ends = end.clone();
    let second = Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            let text = request.text();
            if text.contains("bad") {
                conn.send(json_answer(500, "{}"));
            } else if text.contains("\"assistant\"") {
                conn.stream_head();
                conn.chunk(piece("chatcmpl-9", " four "));
                ends.wait();
                return;
            } else {
                conn.send(json_answer(200, CHAT));
            }
        }
    });
    let first = speaker(3, true);
    let gateway = touchy(&first, &second);
    let bad = r#"{"model":"only","messages":[{"role":"user","content":"bad"}]}"#;
    gateway.post("/v1/chat/completions", bad);
    gateway.wait_metric("cirque_breaker_state", &["target=\"b/up\""], 1.0);
    let mut client = Client::connect(gateway.address);
    client.post("/v1/chat/completions", "", chat_stream("m"));
    client.head();
    client.until("four");
    let response = gateway.post("/v1/chat/completions", chat("only")).ok();
    end.open();
    let line = gateway.access(response.header("x-request-id").unwrap());
    assert!(line["purpose"].is_null(), "{line}");
}

/// `m` at these, one after the other.
fn in_turn(upstreams: &[&Upstream], more: &str) -> Gateway {
    let (mut providers, mut targets) = (String::new(), String::new());
    for (at, upstream) in upstreams.iter().enumerate() {
        providers += &format!("  p{at}: {{ kind: sglang, base_url: \"{}\" }}\n", upstream.url());
        targets += &format!("{{ provider: p{at}, model: up, tier: {at} }}, ");
    }
    Gateway::with(format!(
        "{more}providers:\n{providers}models:\n  m: {{ continuation: {{}}, targets: [ {targets} ] }}\n"
    ))
}

#[test]
fn when_its_time_is_up_nobody_else_is_asked() {
    let first = speaker(3, true);
    let silent = || {
        Upstream::script(|conn| {
            conn.request();
            conn.wait_closed();
        })
    };
    let (second, third) = (silent(), silent());
    let gateway = in_turn(&[&first, &second, &third], "timeouts: { stream_total: 600ms }\n");
    let response = gateway.stream();
    let line = gateway.access(response.header("x-request-id").unwrap());
    assert_eq!((&line["attempts"], second.count()), (&2.into(), 1), "{line}");
}

#[test]
fn the_second_body_counts_as_held() {
    let (first, second) = (speaker(3, true), speaker(100, false));
    let gateway = in_turn(
        &[&first, &second],
        "limits: { request_body: 1MiB, response_body: 1MiB, buffered_bytes: 2MiB }\n",
    );
    let body = chat_stream("m").replace("Hello", &"x".repeat(1_000_000));
    let response = gateway.post("/v1/chat/completions", body).ok();
    assert_eq!(text_of(&response), WORDS.concat());
    let body = chat_stream("m").replace("Hello", &"x".repeat(600_000));
    let gateway = in_turn(
        &[&first, &second],
        "limits: { request_body: 1MiB, response_body: 1MiB, buffered_bytes: 1MiB }\n",
    );
    let before = second.count();
    ends_in_error(
        &gateway.post("/v1/chat/completions", body),
        "upstream_error",
        "provider_error",
    );
    assert_eq!(second.count(), before);
}

#[test]
fn instead_of_one_that_calls_a_tool_the_next_goes_on() {
    let call = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n";
    let second = Upstream::script(move |conn| {
        if conn.request().is_some() {
            conn.stream_head();
            conn.chunk(call);
        }
    });
    let (first, third) = (speaker(3, true), speaker(100, false));
    let gateway = in_turn(&[&first, &second, &third], "");
    let response = gateway.stream().ok();
    assert_eq!(text_of(&response), WORDS.concat());
    assert_eq!((second.count(), third.count()), (1, 1));
}
