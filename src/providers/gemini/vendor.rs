//! Google AI Studio as a vendor: addresses and key. Shared with Vertex where they are the same.
//!
//! `POST {root}/models/{model}:generateContent`, streams by `:streamGenerateContent?alt=sse`, key in `x-goog-api-key`.
//! Errors are google.rpc.Status, judged in `providers::blame`. Source: Gemini API reference, read 2026-11.

use super::GeminiCodec;
use crate::providers::native::Native;
use crate::providers::{Api, Asked, Provider, Speaks, secret, segment};
use crate::wire::{Dialect, Operation};
use http::HeaderMap;
use http::header::{HeaderName, InvalidHeaderValue};

static CODEC: GeminiCodec = GeminiCodec { vertex: false };

/// The vendor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gemini;

/// The method of a call.
pub fn method(asked: Asked<'_>) -> Option<&'static str> {
    Some(match (asked.operation, asked.stream, asked.several) {
        (Operation::Chat, false, _) => "generateContent",
        // Asked for as events also when the client wants an array: those can be cut at any time.
        (Operation::Chat, true, _) => "streamGenerateContent?alt=sse",
        (Operation::CountTokens, ..) => "countTokens",
        (Operation::Embeddings, _, false) => "embedContent",
        (Operation::Embeddings, _, true) => "batchEmbedContents",
        _ => return None,
    })
}

/// Clients of this dialect are passed on as they are. Other operations repeat the model in the body, so are translated.
pub fn native(asked: Asked<'_>) -> Option<Native> {
    (asked.client == Dialect::Gemini && asked.operation == Operation::Chat).then_some(Native::Unchanged)
}

impl Provider for Gemini {
    fn name(&self) -> &'static str {
        "gcp.gemini"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://generativelanguage.googleapis.com/v1beta")
    }

    fn default_path(&self) -> &'static str {
        "/v1beta"
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        let model = asked.model.strip_prefix("models/").unwrap_or(asked.model);
        Some(Api {
            codec: Speaks::Fixed(&CODEC),
            native: native(asked),
            path: format!("/models/{}:{}", segment(model), method(asked)?).into(),
        })
    }

    fn authorize(&self, credential: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        secret(HeaderName::from_static("x-goog-api-key"), credential, headers)
    }
}
