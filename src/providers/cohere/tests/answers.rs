//! Tests of answers: streams, the recordings, hostile input.

use super::super::*;
use crate::providers::codec::RawEvent;
use crate::wire::canonical::{Citation, Event, Finish, Fold, Part};
use crate::wire::sse::{SseReader, events};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

fn fold(decoder: &mut dyn StreamDecoder, datas: &[Vec<u8>]) -> (Fold, Result<(), Undecodable>) {
    let mut fold = Fold::new();
    for data in datas {
        let raw = RawEvent {
            name: "",
            exception: false,
            data,
            max_depth: 64,
        };
        if let Err(error) = decoder.event(raw, &mut |event| fold.event(&event)) {
            return (fold, Err(error));
        }
    }
    let end = decoder.finish(&mut |event| fold.event(&event));
    (fold, end)
}

fn streamed(events: &[Value]) -> (Fold, Result<(), Undecodable>) {
    let datas: Vec<Vec<u8>> = events.iter().map(|event| event.to_string().into_bytes()).collect();
    let mut decoder = CohereCodec.decoder(Expect::default());
    fold(decoder.as_mut(), &datas)
}

fn text_delta(kind: &str, text: &str) -> Value {
    json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {kind: text}}}})
}

#[test]
fn a_stream_with_everything_is_the_answer_it_spells() {
    let citation = json!({"start": 0, "end": 2, "text": "Gr", "type": "TEXT_CONTENT",
        "sources": [{"type": "document", "id": "doc-3", "document": {"id": "doc-3", "title": "Sky", "text": "Green."}}]});
    let (got, end) = streamed(&[
        json!({"type": "message-start", "id": "m1", "delta": {"message": {"role": "assistant"}}}),
        json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "thinking", "thinking": "h"}}}}),
        text_delta("thinking", "m"),
        json!({"type": "content-end", "index": 0}),
        json!({"type": "content-start", "index": 1, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        text_delta("text", "Green"),
        json!({"type": "content-end", "index": 1}),
        json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations": citation}}}),
        json!({"type": "citation-end", "index": 0}),
        json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "plan"}}}),
        json!({"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": {"id": "", "type": "function", "function": {"name": "a", "arguments": "{"}}}}}),
        json!({"type": "tool-call-start", "index": 1, "delta": {"message": {"tool_calls": {"id": "i", "type": "function", "function": {"name": "b", "arguments": ""}}}}}),
        json!({"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": "}"}}}}}),
        json!({"type": "tool-call-end", "index": 0}),
        json!({"type": "something-new", "index": 0}),
        json!({"type": "tool-call-end", "index": 1}),
        json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage":
            {"billed_units": {"input_tokens": 1, "output_tokens": 2}, "tokens": {"input_tokens": 10.0, "output_tokens": 20}, "cached_tokens": 4}}}),
        json!({"type": "content-delta"}),
    ]);
    end.unwrap();
    assert_eq!((got.disorder, &got.error, got.ended()), (None, &None, true));
    let whole = json!({"id": "m1", "finish_reason": "TOOL_CALL", "message": {"role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Green"}], "tool_plan": "plan", "citations": [citation],
        "tool_calls": [{"id": "", "type": "function", "function": {"name": "a", "arguments": "{}"}},
            {"id": "i", "type": "function", "function": {"name": "b", "arguments": ""}}]},
        "usage": {"billed_units": {"input_tokens": 1, "output_tokens": 2}, "tokens": {"input_tokens": 10, "output_tokens": 20},
            "cached_tokens": 4}})
    .to_string();
    let node = Node::parse(whole.as_bytes(), 64).unwrap();
    let expect = Expect::default();
    assert_eq!(got.response(), &CohereCodec.decode(&node, &expect).unwrap());
    let parts = &got.response().candidates[0].parts;
    let Part::Text { citations, .. } = &parts[1] else {
        panic!("{parts:?}")
    };
    let Citation {
        title, span, document, ..
    } = &citations[0];
    assert_eq!(
        (title.as_deref(), *span, *document),
        (Some("Sky"), Some((0, 2)), Some(3))
    );
    assert!(matches!(&parts[3], Part::ToolCall(call) if call.id == "call_m1_0"));
    assert_eq!(billed(&node), Some((1, 2)));
}

#[test]
fn failures_inside_a_stream_and_missing_ends() {
    let start = json!({"type": "message-start", "id": "m", "delta": {}});
    let (got, end) = streamed(&[start.clone(), text_delta("text", "a")]);
    assert!(end.is_err() && !got.ended());
    let error = json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "overloaded"}});
    let (got, end) = streamed(&[start.clone(), text_delta("text", "a"), error]);
    assert!(end.is_err());
    assert_eq!(got.error.as_deref(), Some("overloaded"));
    let (got, _) = streamed(&[start.clone(), json!({"message": "no"})]);
    assert_eq!(got.error.as_deref(), Some("no"));
    for (word, wanted) in [
        ("COMPLETE", Finish::Stop),
        ("STOP_SEQUENCE", Finish::StopSequence),
        ("MAX_TOKENS", Finish::Length),
        ("TIMEOUT", Finish::Error),
        ("NEW", Finish::Other("NEW".into())),
    ] {
        let end = json!({"type": "message-end", "delta": {"finish_reason": word}});
        let (got, _) = streamed(&[start.clone(), text_delta("text", "a"), end]);
        assert_eq!(got.response().candidates[0].finish, Some(wanted));
    }
    let opens = (0..300).map(|index| {
        json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": {"function": {"name": "a"}}}}})
    });
    let all: Vec<Value> = opens.collect();
    assert!(streamed(&all).1.is_err());
}

// The recordings

fn recordings() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/transcripts/cohere");
    let folder = if folder.is_dir() {
        folder
    } else {
        "/work/shared/transcripts/cohere".into()
    };
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no recordings at {}", folder.display());
        return Vec::new();
    };
    let mut all: Vec<(String, Value)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let text = std::fs::read(&path).unwrap();
            (path.display().to_string(), serde_json::from_slice(&text).unwrap())
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn datas(sse: &str, piece: usize) -> Vec<Vec<u8>> {
    let mut reader = SseReader::new(1 << 20);
    let mut datas = Vec::new();
    for piece in sse.as_bytes().chunks(piece) {
        reader.space().extend_from_slice(piece);
        let batch = reader.take().unwrap();
        datas.extend(events(&batch).filter_map(|event| event.data.map(|data| data.into_owned())));
    }
    datas
}

#[test]
fn every_recording_is_read() {
    let mut chats = 0;
    for (name, file) in recordings() {
        let body = &file["response"]["body"];
        let path = file["request"]["path"].as_str().unwrap();
        let expect = Expect {
            model: file["request"]["body"]["model"].as_str().unwrap().into(),
            ..Expect::default()
        };
        if let Some(sse) = file["response"]["sse"].as_str() {
            let mut whole = CohereCodec.decoder(expect.clone());
            let (fold_whole, end) = fold(whole.as_mut(), &datas(sse, sse.len()));
            end.unwrap();
            assert_eq!((fold_whole.disorder, &fold_whole.error), (None, &None), "{name}");
            let mut bytes = CohereCodec.decoder(expect);
            let (fold_bytes, _) = fold(bytes.as_mut(), &datas(sse, 1));
            assert_eq!(fold_whole.response(), fold_bytes.response());
            let candidate = &fold_whole.response().candidates[0];
            assert_eq!(candidate.finish, Some(Finish::ToolCalls));
            assert_eq!(candidate.parts.len(), 3, "plan and two calls");
            assert_eq!(
                fold_whole.response().usage.map(|u| (u.input, u.output)),
                Some((968, 83))
            );
            chats += 1;
            continue;
        }
        let text = body.to_string();
        let node = Node::parse(text.as_bytes(), 64).unwrap();
        if path == "/v1/embed" {
            let response = CohereCodec.decode_embed(&node).unwrap();
            assert_eq!((response.vectors.len(), response.usage.unwrap().input), (1, 2));
        } else if file["response"]["status"] == 200 {
            let response = CohereCodec.decode(&node, &expect).unwrap();
            let tokens = &body["usage"]["tokens"];
            let usage = response.usage.unwrap();
            assert_eq!(
                json!([usage.input, usage.output]),
                json!([tokens["input_tokens"], tokens["output_tokens"]])
            );
            assert_eq!(
                json!(usage.cached),
                json!(body["usage"]["cached_tokens"].as_u64().unwrap_or(0))
            );
            assert!(billed(&node).is_some());
            let blocks = body["message"]["content"].as_array().map_or(0, Vec::len);
            let plan = usize::from(body["message"]["tool_plan"].is_string());
            let calls = body["message"]["tool_calls"].as_array().map_or(0, Vec::len);
            assert_eq!(response.candidates[0].parts.len(), blocks + plan + calls, "{name}");
            chats += 1;
        } else {
            assert!(CohereCodec.decode(&node, &expect).is_err());
        }
    }
    assert!(chats == 0 || chats == 7, "{chats}");
}
// Hostile input

fn feed(text: &[u8]) {
    let expect = Expect::default();
    if let Ok(node) = Node::parse(text, 64) {
        let _ = CohereCodec.decode(&node, &expect);
        let _ = CohereCodec.decode_embed(&node);
        let _ = rerank::decode_rerank(&node);
        let _ = billed(&node);
    }
}

proptest! {
    #[test]
    fn damaged_recordings_do_not_panic(cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 0..6)) {
        thread_local! { static ALL: Vec<(String, Value)> = recordings(); }
        ALL.with(|all| {
            for (_, file) in all {
                let mut text = match file["response"]["sse"].as_str() {
                    Some(sse) => sse.as_bytes().to_vec(),
                    None => file["response"]["body"].to_string().into_bytes(),
                };
                for (at, bit) in &flips {
                    let at = at.index(text.len());
                    text[at] ^= 1 << bit;
                }
                text.truncate(1 + cut.index(text.len()));
                feed(&text);
                let mut decoder = CohereCodec.decoder(Expect::default());
                let mut fold = Fold::new();
                for event in events(&text) {
                    let data = event.data.unwrap_or_default();
                    let raw = RawEvent { name: "", exception: false, data: &data, max_depth: 64 };
                    let _ = decoder.event(raw, &mut |event| fold.event(&event));
                }
                let _ = decoder.finish(&mut |event| fold.event(&event));
                assert_eq!(fold.disorder, None);
            }
        });
    }

    #[test]
    fn any_members_of_any_type_do_not_panic(kind in "message-start|content-start|content-delta|tool-call-start|tool-call-delta|citation-start|message-end|error",
        value in prop::sample::select(vec!["null", "1", "\"x\"", "[]", "{}", "[[{}]]", "{\"message\":[]}", "{\"message\":{\"content\":3,\"tool_calls\":\"\",\"citations\":[1]}}"])) {
        let text = format!(r#"{{"type":"{kind}","index":{value},"delta":{value},"message":{value},"usage":{value},"logprobs":{value},"embeddings":{value},"results":{value}}}"#);
        feed(text.as_bytes());
        let mut decoder = CohereCodec.decoder(Expect::default());
        let raw = RawEvent { name: "", exception: false, data: text.as_bytes(), max_depth: 64 };
        let _ = decoder.event(raw, &mut |_| ());
    }
}

#[test]
fn kinds_of_events_that_are_not_known_say_nothing() {
    let mut decoder = CohereCodec.decoder(Expect::default());
    let mut seen: Vec<String> = Vec::new();
    let raw = RawEvent {
        name: "debug",
        exception: false,
        data: br#"{"prompt":"x"}"#,
        max_depth: 64,
    };
    decoder
        .event(raw, &mut |event: Event<'_>| seen.push(format!("{event:?}")))
        .unwrap();
    assert_eq!(seen.len(), 1, "the start alone: {seen:?}");
}
