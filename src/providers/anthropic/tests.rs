//! What the tests of this codec share: recordings, feeding a stream, writing an answer and reading it back.
//!
//! [`recorded`] puts every recording through the codec and the client side of the same dialect, [`requests`] has requests of
//! other dialects, [`streams`] what the recordings lack. Without `../shared/transcripts` the tests that read it say so and pass.

mod recorded;
mod requests;
mod streams;

use super::{AnthropicCodec, Variant, invoke_chunk};
use crate::providers::codec::{Aim, Codec, Encoding, Expect, RawEvent, StreamDecoder, Unfit};
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Cache, Delta, Effort, Event, Extra, Finish, Fold, Format, Function, Message, Part, PartStart, Reasoning, Request,
    Response, Role, Signature, Thinking, Tool, ToolCall, ToolCallKind, ToolChoice, ToolResult,
};
use crate::wire::client::{ClientDialect, Reply};
use crate::wire::json::Node;
use crate::wire::messages::{Messages, facts};
use crate::wire::sse::{SseReader, events};
use serde_json::{Value, json};
use std::path::PathBuf;

const DIRECT: AnthropicCodec = AnthropicCodec {
    variant: Variant::Direct,
};

/// A recording: its name, the request's body, the path, and the answer.
struct Recording {
    name: String,
    request: Value,
    path: String,
    answer: Answer,
}

enum Answer {
    Whole(u64, Value),
    Stream(Vec<Vec<u8>>, Vec<u8>),
}

fn recordings() -> Vec<Recording> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = ["../shared/transcripts", "../../shared/transcripts"]
        .iter()
        .map(|path| here.join(path))
        .find(|path| path.is_dir());
    let Some(root) = found else {
        eprintln!("skipped: no recordings at ../shared/transcripts");
        return Vec::new();
    };
    let mut all = Vec::new();
    for (folder, begins) in [("anthropic", ""), ("vertex", "claude"), ("bedrock", "invoke-claude")] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            if !name.starts_with(begins) || !name.ends_with(".json") {
                continue;
            }
            let document: Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
            all.push(recording(format!("{folder}/{name}"), &document));
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(all.len(), 39);
    all
}

fn recording(name: String, document: &Value) -> Recording {
    let response = &document["response"];
    let answer = if let Some(sse) = response["sse"].as_str() {
        Answer::Stream(sse_events(sse.as_bytes(), sse.len()), sse.as_bytes().to_vec())
    } else if let Some(base64) = response["base64"].as_str() {
        let bytes = super::content::decode_base64(base64).unwrap();
        Answer::Stream(
            frames(&bytes)
                .iter()
                .map(|chunk| invoke_chunk(chunk).unwrap())
                .collect(),
            bytes,
        )
    } else {
        Answer::Whole(response["status"].as_u64().unwrap(), response["body"].clone())
    };
    Recording {
        name,
        request: document["request"]["body"].clone(),
        path: document["request"]["path"].as_str().unwrap_or_default().to_owned(),
        answer,
    }
}

/// The data of every event, the bytes fed `step` at a time.
fn sse_events(bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut reader = SseReader::new(1 << 20);
    let mut all = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
        reader.space().extend_from_slice(piece);
        let batch = reader.take().unwrap();
        all.extend(events(&batch).filter_map(|event| event.data.map(|data| data.into_owned())));
    }
    all
}

/// The payloads of an AWS event stream.
fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let size = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap()) as usize;
    while !bytes.is_empty() {
        let (total, headers) = (size(&bytes[..4]), size(&bytes[4..8]));
        all.push(bytes[12 + headers..total - 4].to_vec());
        bytes = &bytes[total..];
    }
    all
}

fn aim(model: &str) -> Aim<'_> {
    Aim {
        model,
        stream_usage: true,
    }
}

fn feed(decoder: &mut dyn StreamDecoder, datas: &[Vec<u8>], mut each: impl FnMut(&Event<'_>)) -> Result<(), String> {
    for data in datas {
        let raw = RawEvent {
            name: "",
            exception: false,
            data,
            max_depth: 128,
        };
        decoder
            .event(raw, &mut |event| each(&event))
            .map_err(|error| error.to_string())?;
    }
    decoder
        .finish(&mut |event| each(&event))
        .map_err(|error| error.to_string())
}

fn fold_with(expect: Expect, datas: &[Vec<u8>]) -> Fold {
    let mut fold = Fold::new();
    feed(&mut *DIRECT.decoder(expect), datas, |event| fold.event(event)).unwrap();
    assert_eq!(fold.disorder, None);
    fold
}

fn fold(datas: &[Vec<u8>]) -> Fold {
    fold_with(Expect::default(), datas)
}

/// What must be the same however an answer travelled: not its id and model, which are the client's.
fn essence(response: &Response<'_>) -> Response<'static> {
    let candidates = response
        .candidates
        .iter()
        .map(|candidate| crate::wire::canonical::Candidate {
            index: candidate.index,
            parts: candidate.parts.iter().map(Part::to_static).collect(),
            finish: candidate.finish.as_ref().map(Finish::to_owned_finish),
            stop_sequence: candidate.stop_sequence.as_deref().map(|stop| stop.to_owned().into()),
            ..Default::default()
        });
    Response {
        candidates: candidates.collect(),
        usage: response.usage,
        service_tier: response.service_tier.as_deref().map(|tier| tier.to_owned().into()),
        ..Response::default()
    }
}

fn reply() -> Reply {
    Reply {
        id: "x1".into(),
        created: 1,
        model: "public-name".into(),
        json_array: false,
    }
}

/// Write whole, read back.
fn whole_again(response: &Response<'_>) -> Response<'static> {
    let mut out = Vec::new();
    Messages.writer(&Request::default(), reply()).whole(response, &mut out);
    let node = Node::parse(&out, 128).unwrap();
    assert_eq!(node.get_str("id"), Some("msg_x1"));
    assert_eq!(node.get_str("model"), Some("public-name"));
    essence(&DIRECT.decode(&node, &Expect::default()).unwrap())
}

/// Write these events, read what was written.
fn stream_again(datas: &[Vec<u8>]) -> Response<'static> {
    let mut writer = Messages.writer(&Request::default(), reply());
    let mut out = Vec::new();
    feed(&mut *DIRECT.decoder(Expect::default()), datas, |event| {
        writer.event(event, &mut out)
    })
    .unwrap();
    essence(fold(&sse_events(&out, out.len())).response())
}

fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
