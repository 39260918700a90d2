//! Kept answers as streams: in every dialect, over HTTP/1.1 and HTTP/2, framed as a model's own would be.

use super::{cached, until_hit};
use crate::support::client::Response;
use crate::support::gateway::Builder;
use crate::support::upstream::json_answer;
use crate::support::{Gateway, Upstream, http2};
use serde_json::{Value, json};

/// What the model says: lines, quotes, other alphabets, what looks like framing.
const SAID: &str = "First line,\nsecond \"line\" with \\ and \u{1F600}\u{200d}\u{1F4BB}.\n\ndata: not an event\n\nÄpfel, 東京, naïve — and \
                    then a good many more words, so that there is something to be cut into pieces: one two three four five six seven.";

fn provider() -> Upstream {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39}
    });
    Upstream::always(json_answer(200, &body.to_string()))
}

/// A stream is cut as the standard says: each event's name and data.
#[track_caller]
fn frames(text: &str) -> Vec<(Option<String>, String)> {
    assert!(
        text.ends_with("\n\n") || text.ends_with("\r\n\r\n"),
        "no empty line at the end: {text}"
    );
    let text = text.replace("\r\n", "\n");
    let frame = |frame: &str| {
        let (mut name, mut data) = (None, Vec::new());
        for line in frame.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => assert!(name.replace(value.to_owned()).is_none(), "{frame}"),
                Some(("data", value)) => data.push(value),
                _ => panic!("a line that is neither event nor data: {line:?}"),
            }
        }
        assert_eq!(data.len(), 1, "{frame}");
        (name, data.concat())
    };
    text.trim_end_matches('\n').split("\n\n").map(frame).collect()
}

fn json_of(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"))
}

/// Pieces of the text, of a stream whose end is right.
type Read = fn(&str) -> Vec<String>;

fn chat(text: &str) -> Vec<String> {
    let frames = frames(text);
    assert_eq!(frames.last().unwrap().1, "[DONE]");
    let chunks: Vec<Value> = frames[..frames.len() - 1]
        .iter()
        .map(|(_, data)| json_of(data))
        .collect();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"])
    );
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let finished: Vec<_> = chunks
        .iter()
        .filter(|c| !c["choices"][0]["finish_reason"].is_null())
        .collect();
    assert!(
        finished.len() == 1 && finished[0]["choices"][0]["finish_reason"] == "stop",
        "{text}"
    );
    assert_eq!(text.contains("\"usage\":{"), text.contains("\"choices\":[]"), "{text}");
    pieces(chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["content"]))
}

fn legacy(text: &str) -> Vec<String> {
    let frames = frames(text);
    assert_eq!(frames.last().unwrap().1, "[DONE]");
    let chunks: Vec<Value> = frames[..frames.len() - 1]
        .iter()
        .map(|(_, data)| json_of(data))
        .collect();
    assert!(
        chunks.iter().all(|chunk| chunk["object"] == "text_completion"),
        "{text}"
    );
    pieces(chunks.iter().map(|chunk| &chunk["choices"][0]["text"]))
}

fn messages(text: &str) -> Vec<String> {
    let frames = frames(text);
    let kinds: Vec<&str> = frames.iter().map(|(name, _)| name.as_deref().unwrap()).collect();
    assert!(
        kinds.starts_with(&["message_start"])
            && kinds.ends_with(&["content_block_stop", "message_delta", "message_stop"]),
        "{kinds:?}"
    );
    let all: Vec<Value> = frames.iter().map(|(_, data)| json_of(data)).collect();
    assert!(all.iter().zip(&kinds).all(|(event, kind)| event["type"] == *kind));
    assert_eq!(all[all.len() - 2]["delta"]["stop_reason"], "end_turn");
    assert_eq!(all[all.len() - 2]["usage"]["output_tokens"], 30);
    pieces(all.iter().map(|event| &event["delta"]["text"]))
}

fn responses(text: &str) -> Vec<String> {
    let frames = frames(text);
    let all: Vec<Value> = frames.iter().map(|(_, data)| json_of(data)).collect();
    assert!(
        all.iter()
            .zip(&frames)
            .all(|(event, (name, _))| event["type"].as_str() == name.as_deref()),
        "{text}"
    );
    let numbers: Vec<u64> = all
        .iter()
        .map(|event| event["sequence_number"].as_u64().unwrap())
        .collect();
    assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
    assert_eq!(
        (&all[0]["type"], &all[all.len() - 1]["type"]),
        (&json!("response.created"), &json!("response.completed"))
    );
    assert_eq!(all[all.len() - 1]["response"]["usage"]["output_tokens"], 30);
    let deltas = all.iter().filter(|event| event["type"] == "response.output_text.delta");
    pieces(deltas.map(|event| &event["delta"]))
}

fn of_gemini(all: &[Value]) -> Vec<String> {
    assert_eq!(all[all.len() - 1]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(
        all.iter()
            .filter(|one| !one["candidates"][0]["finishReason"].is_null())
            .count(),
        1
    );
    pieces(
        all.iter()
            .map(|one| &one["candidates"][0]["content"]["parts"][0]["text"]),
    )
}

fn gemini(text: &str) -> Vec<String> {
    of_gemini(&frames(text).iter().map(|(_, data)| json_of(data)).collect::<Vec<_>>())
}

fn gemini_list(text: &str) -> Vec<String> {
    of_gemini(json_of(text).as_array().unwrap())
}

fn pieces<'a>(texts: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let texts = texts.filter_map(Value::as_str).filter(|text| !text.is_empty());
    texts.map(str::to_owned).collect()
}

struct Case {
    name: &'static str,
    whole: (&'static str, Value),
    streamed: (&'static str, Value),
    kind: &'static str,
    read: Read,
}

fn cases() -> Vec<Case> {
    let streaming = |mut body: Value| {
        body["stream"] = json!(true);
        body
    };
    let user = json!([{"role": "user", "content": "hello"}]);
    let chat_body = json!({"model": "m", "messages": user});
    let mut with_usage = streaming(chat_body.clone());
    with_usage["stream_options"] = json!({"include_usage": true});
    let message = json!({"model": "m", "max_tokens": 100, "messages": user});
    let input = json!({"model": "m", "input": "hello"});
    let prompt = json!({"model": "m", "prompt": "hello"});
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]});
    let sse = "text/event-stream";
    let case = |name, path, whole: Value, to, streamed, kind, read| Case {
        name,
        whole: (path, whole),
        streamed: (to, streamed),
        kind,
        read,
    };
    let (c, l, m, r) = (
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/messages",
        "/v1/responses",
    );
    let g = "/v1beta/models/m:generateContent";
    vec![
        case(
            "chat",
            c,
            chat_body.clone(),
            c,
            streaming(chat_body.clone()),
            sse,
            chat as Read,
        ),
        case("chat with usage", c, chat_body, c, with_usage, sse, chat),
        case("completions", l, prompt.clone(), l, streaming(prompt), sse, legacy),
        case("messages", m, message.clone(), m, streaming(message), sse, messages),
        case("responses", r, input.clone(), r, streaming(input), sse, responses),
        case(
            "gemini",
            g,
            contents.clone(),
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            contents.clone(),
            sse,
            gemini,
        ),
        case(
            "gemini, a list",
            g,
            contents.clone(),
            "/v1beta/models/m:streamGenerateContent",
            contents,
            "application/json",
            gemini_list,
        ),
    ]
}

fn gateway(upstream: &Upstream, policy: &str) -> Gateway {
    Builder::new(cached(upstream, policy))
        .listen("{ address: ADDRESS, h2c: true }")
        .start()
}

#[track_caller]
fn many_and_all(name: &str, pieces: &[String]) {
    assert_eq!(pieces.concat(), SAID, "{name}");
    assert!(pieces.len() > 20, "{name}: {} pieces", pieces.len());
}

#[test]
fn a_replayed_stream_has_many_events_and_right_frames_in_every_dialect() {
    let upstream = provider();
    let gateway = gateway(&upstream, "{ mode: exact }");
    for case in cases() {
        // Legacy completions are answered by the provider in its own form.
        if case.name == "completions" {
            continue;
        }
        until_hit(&gateway, case.whole.0, &case.whole.1);
        let asked = upstream.count();
        let response = gateway.post(case.streamed.0, case.streamed.1.to_string()).ok();
        assert_eq!(response.header("x-cirque-cache"), Some("hit"), "{}", case.name);
        let kind = response.header("content-type").unwrap();
        assert!(kind.starts_with(case.kind), "{}: {kind}", case.name);
        many_and_all(case.name, &(case.read)(&response.text()));
        let shown = response.text().contains("\"prompt_tokens\"");
        assert_eq!(
            shown,
            case.name == "chat with usage",
            "usage where it was asked for: {}",
            case.name
        );
        let (status, headers, text) = http2::block_on(async {
            let mut sender = http2::plain(gateway.address).await;
            http2::exchange(&mut sender, "POST", case.streamed.0, &case.streamed.1.to_string()).await
        });
        assert_eq!(
            (status, headers["x-cirque-cache"].as_bytes()),
            (200, &b"hit"[..]),
            "{}",
            case.name
        );
        assert!(!headers.contains_key("transfer-encoding"));
        many_and_all(case.name, &(case.read)(&text));
        assert_eq!(upstream.count(), asked, "{}", case.name);
    }
}

#[test]
fn at_a_pace_each_event_leaves_by_itself() {
    let upstream = provider();
    let gateway = gateway(&upstream, "{ mode: exact, tokens_per_second: 500 }");
    let case = &cases()[0];
    until_hit(&gateway, case.whole.0, &case.whole.1);
    let mut client = gateway.client();
    client.post(case.streamed.0, "", case.streamed.1.to_string());
    let head = client.head();
    assert_eq!(head.header("x-cirque-cache"), Some("hit"));
    let mut chunks = Vec::new();
    while let Some(chunk) = client.chunk() {
        chunks.push(String::from_utf8(chunk.unwrap()).unwrap());
    }
    assert!(chunks.len() > 20, "{} chunks", chunks.len());
    assert!(
        chunks.iter().all(|chunk| chunk.ends_with("\n\n")),
        "an event is never cut: {chunks:?}"
    );
    many_and_all("paced", &chat(&chunks.concat()));
}

#[test]
fn one_stored_answer_serves_every_dialect() {
    let upstream = provider();
    let gateway = Gateway::with(cached(&upstream, "{ mode: exact }"));
    let user = json!([{"role": "user", "content": "hello"}]);
    until_hit(
        &gateway,
        "/v1/chat/completions",
        &json!({"model": "m", "max_tokens": 100, "messages": user}),
    );
    let asked = upstream.count();
    let message = json!({"model": "m", "max_tokens": 100, "messages": user});
    // As SDKs send it: with the version.
    let said = |response: &Response, at: &str| {
        assert_eq!(
            response.header("x-cirque-cache"),
            Some("hit"),
            "{at} {}",
            response.text()
        );
        assert_eq!(response.json().pointer(at).unwrap(), SAID);
    };
    for version in ["2023-06-01", "2026-10-21"] {
        let version = format!("anthropic-version: {version}\r\n");
        let response = gateway.post_with("/v1/messages", &version, message.to_string());
        said(&response.ok(), "/content/0/text");
    }
    let input = json!({"model": "m", "max_output_tokens": 100, "input": "hello"});
    said(
        &gateway.post("/v1/responses", input.to_string()).ok(),
        "/output/0/content/0/text",
    );
    let contents = json!({"generationConfig": {"maxOutputTokens": 100}, "contents": [{"role": "user", "parts": [{"text": "hello"}]}]});
    said(
        &gateway
            .post("/v1beta/models/m:generateContent", contents.to_string())
            .ok(),
        "/candidates/0/content/parts/0/text",
    );
    // Another version, or a beta, may be answered otherwise.
    for header in ["anthropic-version: 2099-01-01", "anthropic-beta: x"] {
        let newer = gateway.post_with("/v1/messages", &format!("{header}\r\n"), message.to_string());
        assert_eq!(newer.ok().header("x-cirque-cache"), Some("miss"), "{header}");
    }
    assert_eq!(upstream.count(), asked + 2);
}

#[test]
fn legacy_completions_are_kept_whole_and_streamed() {
    let body = json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "up",
        "choices": [{"index": 0, "text": SAID, "finish_reason": "stop", "logprobs": null}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39}});
    let upstream = Upstream::always(json_answer(200, &body.to_string()));
    let gateway = gateway(&upstream, "{ mode: exact }");
    let case = cases().into_iter().find(|case| case.name == "completions").unwrap();
    let hit = until_hit(&gateway, case.whole.0, &case.whole.1);
    assert_eq!(hit.json()["choices"][0]["text"], SAID);
    assert_ne!(hit.json()["id"], "cmpl-1");
    let asked = upstream.count();
    let response = gateway.post(case.streamed.0, case.streamed.1.to_string()).ok();
    assert_eq!(response.header("x-cirque-cache"), Some("hit"));
    many_and_all(case.name, &legacy(&response.text()));
    assert_eq!(upstream.count(), asked);
}
