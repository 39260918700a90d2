//! The client side of the dialect (`wire::responses`), tested here because its answers are read back by this codec: what its
//! tests share, passing facts, counts, damaged requests.

mod codex;
mod reading;
mod writing;

use crate::error::{ErrorKind, GatewayError};
use crate::providers::codec::{Aim, Codec, Expect, RawEvent};
use crate::providers::responses::ResponsesCodec;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Builtin, Cache, Candidate, Citation, Delta, Effort, Event, Finish, Fold, Format, Logprob, MediaKind, Part,
    PartStart, Request, Response, Role, Signature, Source, Thinking, Tool, ToolCall, ToolCallKind, ToolChoice,
};
use crate::wire::client::{ClientDialect, Reply, ReplyWriter};
use crate::wire::json::Node;
use crate::wire::responses::{Responses, facts, needs_state};
use crate::wire::sse::events;
use proptest::prelude::*;
use serde_json::{Value, json};

fn reply() -> Reply {
    Reply {
        id: "abc".to_owned(),
        created: 7,
        model: "claude".to_owned(),
        json_array: false,
    }
}

/// Read a request and look at it.
fn read<T>(body: &Value, look: impl FnOnce(Request<'_>) -> T) -> T {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    look(Responses.read(&node, false).unwrap())
}

/// An answer with something of everything.
fn answer() -> Response<'static> {
    let citation = |raw| Citation {
        url: Some("https://x.org".into()),
        title: Some("X".into()),
        span: Some((0, 2)),
        raw,
        ..Citation::default()
    };
    let written = r#"{"type":"url_citation","start_index":0,"end_index":2,"title":"X","url":"https://x.org"}"#;
    let text = |text: &'static str| Part::Text {
        text: text.into(),
        cache: None,
        citations: vec![citation(Some((Dialect::Responses, written.into())))],
        signature: None,
    };
    let call = |id: &'static str, name: &'static str, arguments: &'static str, kind| {
        Part::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            kind,
            signature: None,
            cache: None,
        })
    };
    let thinking = |text: &'static str, id: Option<&'static str>| {
        Part::Thinking(Thinking {
            text: text.into(),
            signature: Some(Signature::new(Dialect::Responses, "proof")),
            redacted: text.is_empty(),
            id: id.map(Into::into),
        })
    };
    Response {
        id: "resp_vendor".into(),
        model: "claude".into(),
        created: Some(7),
        candidates: vec![Candidate {
            parts: vec![
                thinking("hmm\n\"", Some("rs_0")),
                text("héllo"),
                text("two"),
                Part::Refusal("but no".into()),
                thinking("", Some("rs_1")),
                Part::Opaque {
                    dialect: Dialect::Responses,
                    kind: "web_search_call".into(),
                    raw: r#"{"type":"web_search_call","id":"ws_1","status":"completed"}"#.into(),
                },
                call("c1", "f", r#"{"a":"\n"}"#, ToolCallKind::Function),
                call("c2", "g", "free text", ToolCallKind::Custom),
            ],
            finish: Some(Finish::ToolCalls),
            logprobs: vec![Logprob {
                token: "hé".into(),
                logprob: -0.5,
                top: vec![("x".into(), -1.5)],
            }],
            ..Candidate::default()
        }],
        usage: Some(Usage {
            input: 9,
            output: 4,
            cached: 3,
            cache_write: 2,
            reasoning: 1,
            ..Usage::default()
        }),
        service_tier: Some("default".into()),
        fingerprint: None,
    }
}

/// The events an answer would have come by, in pieces.
fn events_of(response: &Response<'static>) -> Vec<Event<'static>> {
    let candidate = &response.candidates[0];
    let mut all = vec![Event::Start {
        id: response.id.clone(),
        model: response.model.clone(),
        created: response.created,
        usage: None,
        service_tier: response.service_tier.clone(),
        fingerprint: None,
    }];
    let mut logprobs = candidate.logprobs.clone();
    for (part, said) in (0..).zip(&candidate.parts) {
        let mut deltas = Vec::new();
        let cut = |text: &str| -> Vec<String> { text.chars().map(String::from).collect() };
        let start = match said {
            Part::Text {
                text,
                citations,
                signature,
                ..
            } => {
                deltas.extend(cut(text).into_iter().map(|t| Delta::Text(t.into())));
                deltas.extend(citations.iter().map(|c| Delta::Citation(Box::new(c.clone()))));
                deltas.extend(signature.clone().map(Delta::Signature));
                if !logprobs.is_empty() {
                    deltas.push(Delta::Logprobs(std::mem::take(&mut logprobs)));
                }
                PartStart::Text
            }
            Part::Refusal(text) => {
                deltas.extend(cut(text).into_iter().map(|t| Delta::Text(t.into())));
                PartStart::Refusal
            }
            Part::Thinking(thinking) if !thinking.redacted => {
                deltas.extend(cut(&thinking.text).into_iter().map(|t| Delta::Thinking(t.into())));
                deltas.extend(thinking.signature.clone().map(Delta::Signature));
                PartStart::Thinking {
                    id: thinking.id.clone(),
                }
            }
            Part::ToolCall(call) => {
                deltas.extend(cut(&call.arguments).into_iter().map(|t| Delta::Arguments(t.into())));
                PartStart::ToolCall {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    kind: call.kind,
                    signature: call.signature.clone(),
                }
            }
            other => PartStart::Whole(Box::new(other.clone())),
        };
        let candidate = 0;
        all.push(Event::PartStart { candidate, part, start });
        all.extend(deltas.into_iter().map(|delta| Event::Delta { candidate, part, delta }));
        all.push(Event::PartEnd { candidate, part });
    }
    all.push(Event::Finish {
        candidate: 0,
        finish: candidate.finish.clone().unwrap(),
        stop_sequence: None,
    });
    all.extend(response.usage.map(Event::Usage));
    all.push(Event::End);
    all
}

fn writer(request: &Request<'_>) -> Box<dyn ReplyWriter> {
    Responses.writer(request, reply())
}

fn streamed(writer: &mut dyn ReplyWriter, events: &[Event<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let before = out.len();
        writer.event(event, &mut out);
        assert!(out.len() == before || out.ends_with(b"\n\n"));
    }
    out
}

/// The documents of a stream, after checking what every stream must keep.
fn documents(sse: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(sse).unwrap();
    let mut all = Vec::new();
    for block in text.split_terminator("\n\n") {
        let (name, data) = block.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        assert_eq!(data["sequence_number"], all.len());
        all.push(data);
    }
    all
}

fn fold(sse: &[u8]) -> Fold {
    let mut decoder = ResponsesCodec.decoder(Expect::default());
    let mut fold = Fold::new();
    for event in events(sse) {
        let raw = RawEvent {
            name: "",
            exception: false,
            data: &event.data.unwrap(),
            max_depth: 64,
        };
        decoder.event(raw, &mut |event| fold.event(&event)).unwrap();
    }
    decoder.finish(&mut |event| fold.event(&event)).unwrap();
    fold
}

#[test]
fn facts_are_read_in_passing() {
    let answer = answer();
    let mut out = Vec::new();
    writer(&Request::default()).whole(&answer, &mut out);
    let whole = facts::facts(&out, 64).unwrap();
    assert_eq!(
        (whole.usage, whole.finished, whole.done, whole.error),
        (answer.usage, true, false, false)
    );
    let sse = streamed(&mut *writer(&Request::default()), &events_of(&answer));
    let all: Vec<_> = events(&sse)
        .map(|event| facts::facts(&event.data.unwrap(), 64).unwrap())
        .collect();
    let (last, rest) = all.split_last().unwrap();
    assert!(rest.iter().all(|facts| facts == &Default::default()));
    assert_eq!((last.usage, last.done, last.error), (answer.usage, true, false));
    for error in [
        json!({"type": "error", "message": "x"}),
        json!({"type": "response.failed", "response": {"usage": null}}),
        json!({"error": {"message": "x"}}),
        json!({"object": "response", "status": "failed", "error": null}),
    ] {
        let facts = facts::facts(error.to_string().as_bytes(), 64).unwrap();
        assert!(facts.error && !facts.done, "{error}");
    }
    assert!(facts::facts(b"<html>", 64).is_err());
}

#[test]
fn counts_are_written() {
    let mut out = Vec::new();
    let count = crate::wire::canonical::aux::TokenCount { input: 3, cached: None };
    Responses.write_count(&count, &mut out);
    assert_eq!(out, br#"{"object":"response.input_tokens","input_tokens":3}"#);
}

proptest! {
    /// Any body is read or refused; what is read can be written for a target and answered.
    #[test]
    fn damaged_requests_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), truncate: bool) {
        let body = json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]}, {"type": "reasoning", "summary": [], "encrypted_content": "cirque:gemini:x#call"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "x"}],
            "tools": [{"type": "function", "name": "f", "parameters": {}}], "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]});
        let mut bytes = body.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if truncate {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(node) = Node::parse(&bytes, 64) && let Ok(request) = Responses.read(&node, true) {
            let made = ResponsesCodec.encode(&request, Aim { model: "gpt-5", stream_usage: true });
            if let Ok(made) = made {
                prop_assert!(serde_json::from_slice::<Value>(&made.body).is_ok());
            }
            documents(&streamed(&mut *writer(&request), &events_of(&answer())));
        }
    }
}
