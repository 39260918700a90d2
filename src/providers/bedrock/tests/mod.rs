//! Tests of the Bedrock dialect.

mod encode;
mod fields;
mod hostile;
mod recorded;
mod streams;
mod tools;

use super::ConverseCodec;
use crate::providers::codec::{Aim, Codec, Encoding, Expect, RawEvent};
use crate::wire::canonical::{
    Cache, Fold, Function, Media, MediaKind, Message, Part, Request, Response, Role, Source, Tool, ToolCall,
    ToolCallKind, ToolResult,
};
use crate::wire::eventstream::Message as Frame;
use crate::wire::json::Node;
use serde_json::Value;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "eu.amazon.nova-pro-v1:0";
const LLAMA: &str = "meta.llama3-3-70b-instruct-v1:0";

fn aim(model: &str) -> Aim<'_> {
    Aim {
        model,
        stream_usage: false,
    }
}

fn user<'a>(parts: Vec<Part<'a>>) -> Message<'a> {
    Message {
        role: Role::User,
        name: None,
        parts,
    }
}

fn assistant<'a>(parts: Vec<Part<'a>>) -> Message<'a> {
    Message {
        role: Role::Assistant,
        ..user(parts)
    }
}

fn system(text: &str) -> Message<'_> {
    Message {
        role: Role::System,
        ..user(vec![Part::text(text)])
    }
}

fn asking<'a>() -> Request<'a> {
    Request {
        messages: vec![user(vec![Part::text("Hi")])],
        ..Request::default()
    }
}

fn encoded(request: &Request<'_>, model: &str) -> (Value, Encoding) {
    let encoding = ConverseCodec.encode(request, aim(model)).unwrap();
    (serde_json::from_slice(&encoding.body).unwrap(), encoding)
}

/// The body, when nothing may be dropped.
fn body(request: &Request<'_>, model: &str) -> Value {
    let (body, encoding) = encoded(request, model);
    assert_eq!(encoding.dropped.names(), &[] as &[String]);
    body
}

/// What is dropped.
fn dropped(request: &Request<'_>, model: &str) -> Vec<String> {
    encoded(request, model).1.dropped.names().to_vec()
}

fn expect(model: &str) -> Expect {
    Expect {
        model: model.into(),
        ..Expect::default()
    }
}

fn decoded(body: &str, expect: &Expect) -> Response<'static> {
    let node = Node::parse(body.as_bytes(), 64).unwrap();
    let response = ConverseCodec.decode(&node, expect).unwrap();
    owned(&response)
}

/// A copy that borrows nothing.
fn owned(response: &Response<'_>) -> Response<'static> {
    let own = |text: &str| std::borrow::Cow::Owned(text.to_owned());
    let candidates = response.candidates.iter().map(|c| crate::wire::canonical::Candidate {
        index: c.index,
        parts: c.parts.iter().map(Part::to_static).collect(),
        finish: c.finish.as_ref().map(crate::wire::canonical::Finish::to_owned_finish),
        stop_sequence: c.stop_sequence.as_deref().map(own),
        logprobs: Vec::new(),
        safety: c.safety.as_ref().map(|(dialect, raw)| (*dialect, own(raw))),
    });
    Response {
        id: own(&response.id),
        model: own(&response.model),
        created: response.created,
        candidates: candidates.collect(),
        usage: response.usage,
        service_tier: response.service_tier.as_deref().map(own),
        fingerprint: None,
    }
}

fn raw(frame: &Frame) -> RawEvent<'_> {
    RawEvent {
        name: frame.name(),
        exception: frame.is_exception(),
        data: &frame.payload,
        max_depth: 64,
    }
}

/// A stream's answer; an error if the decoder gives one.
fn folded(events: &[(&str, &str)], expect: Expect) -> Result<Fold, String> {
    let mut decoder = ConverseCodec.decoder(expect);
    let mut fold = Fold::new();
    for (name, data) in events {
        let raw = RawEvent {
            name,
            exception: name.ends_with('!'),
            data: data.as_bytes(),
            max_depth: 64,
        };
        decoder
            .event(raw, &mut |event| fold.event(&event))
            .map_err(|error| error.0)?;
    }
    decoder
        .finish(&mut |event| fold.event(&event))
        .map_err(|error| error.0)?;
    decoder.finish(&mut |_| unreachable!("idempotent")).unwrap();
    assert_eq!(fold.disorder, None);
    Ok(fold)
}

fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> Part<'a> {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        kind: ToolCallKind::Function,
        signature: None,
        cache: None,
    })
}

fn result<'a>(id: &'a str, parts: Vec<Part<'a>>) -> Part<'a> {
    Part::ToolResult(ToolResult {
        call_id: id.into(),
        name: None,
        parts,
        is_error: true,
        kind: ToolCallKind::Function,
        cache: None,
    })
}

fn function(name: &str) -> Tool<'_> {
    Tool::Function(Function {
        name: name.into(),
        parameters: Some(r#"{"type":"object","properties":{}}"#.into()),
        ..Function::default()
    })
}

fn marked(text: &str, cache: Cache) -> Part<'_> {
    let mut part = Part::text(text);
    if let Part::Text { cache: marker, .. } = &mut part {
        *marker = Some(cache);
    }
    part
}

fn image<'a>(source: Source<'a>, media_type: &'a str) -> Part<'a> {
    Part::Media(Media::new(MediaKind::Image, source, Some(media_type.into())))
}
