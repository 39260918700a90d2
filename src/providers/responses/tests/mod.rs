//! The codec: what its tests share.

mod answers;
mod encoding;
mod recorded;

use super::ResponsesCodec;
use crate::providers::codec::{Aim, Codec, Expect, RawEvent, Undecodable};
use crate::wire::canonical::{
    Cache, Effort, Event, Finish, Fold, Format, Function, Media, MediaKind, Message, Part, Reasoning, Request,
    Response, Role, Sampling, Signature, Source, Thinking, Tool, ToolCall, ToolCallKind, ToolChoice, ToolResult,
};
use crate::wire::client::ClientDialect;
use crate::wire::json::Node;
use crate::wire::responses::Responses;
use crate::wire::sse::{SseReader, events};
use crate::wire::{Dialect, canonical::Extra};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Recordings of this API; empty (with a message) where they are not at hand.
fn recordings() -> Vec<(String, Value)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = ["../shared/transcripts", "../../shared/transcripts"];
    let Some(root) = roots.iter().map(|root| here.join(root)).find(|root| root.is_dir()) else {
        eprintln!("skipped: no recordings beside the repository");
        return Vec::new();
    };
    let files = |folder: &str| -> Vec<PathBuf> {
        let read = std::fs::read_dir(root.join(folder)).unwrap();
        read.map(|entry| entry.unwrap().path()).collect()
    };
    let mut paths = files("openai-responses");
    for folder in ["azure-openai", "openrouter", "xai"] {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("responses-");
        paths.extend(files(folder).into_iter().filter(name));
    }
    assert!(paths.len() >= 25, "{}", paths.len());
    let load = |path: &PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    paths
        .iter()
        .map(|path| (path.display().to_string(), load(path)))
        .collect()
}

/// A stream in pieces of this many bytes.
fn fold(sse: &[u8], piece: usize) -> Result<Fold, Undecodable> {
    let mut decoder = ResponsesCodec.decoder(Expect::default());
    let mut reader = SseReader::new(1 << 24);
    let mut fold = Fold::new();
    for bytes in sse.chunks(piece) {
        reader.space().extend_from_slice(bytes);
        let batch = reader.take().unwrap();
        feed(&mut *decoder, &batch, &mut fold)?;
    }
    let rest = reader.take_rest();
    feed(&mut *decoder, &rest, &mut fold)?;
    decoder.finish(&mut |event| fold.event(&event))?;
    Ok(fold)
}

fn feed(
    decoder: &mut dyn crate::providers::codec::StreamDecoder,
    batch: &[u8],
    fold: &mut Fold,
) -> Result<(), Undecodable> {
    for event in events(batch) {
        let Some(data) = event.data else { continue };
        let raw = RawEvent {
            name: "",
            exception: false,
            data: &data,
            max_depth: 64,
        };
        decoder.event(raw, &mut |event| fold.event(&event))?;
    }
    Ok(())
}

fn stream_of(documents: &[Value]) -> Vec<u8> {
    documents
        .iter()
        .flat_map(|d| format!("data: {d}\n\n").into_bytes())
        .collect()
}

fn whole(body: &Value) -> Result<Response<'static>, Undecodable> {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    let expect = Expect::default();
    let response = ResponsesCodec.decode(&node, &expect)?;
    Ok(own(&response))
}

fn own(response: &Response<'_>) -> Response<'static> {
    let candidates = response
        .candidates
        .iter()
        .map(|candidate| crate::wire::canonical::Candidate {
            index: candidate.index,
            parts: candidate.parts.iter().map(Part::to_static).collect(),
            finish: candidate.finish.as_ref().map(Finish::to_owned_finish),
            stop_sequence: None,
            logprobs: candidate.logprobs.iter().map(|l| l.to_static()).collect(),
            safety: None,
        });
    Response {
        id: response.id.to_string().into(),
        model: response.model.to_string().into(),
        created: response.created,
        candidates: candidates.collect(),
        usage: response.usage,
        service_tier: None,
        fingerprint: None,
    }
}

fn aim(model: &str) -> Aim<'_> {
    Aim {
        model,
        stream_usage: true,
    }
}

fn encoded(request: &Request<'_>, model: &str) -> (Value, Vec<String>) {
    let encoding = ResponsesCodec.encode(request, aim(model)).unwrap();
    (
        serde_json::from_slice(&encoding.body).unwrap(),
        encoding.dropped.names().to_vec(),
    )
}
