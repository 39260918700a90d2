//! Google's Gemini as a target: AI Studio (`generativelanguage`) and Vertex AI, which share the body but for a few fields.
//!
//! Decided here, where the two differ: Vertex gets no call ids (it refuses unknown fields), no own tools beside functions, and
//! vectors by `:predict`. Not here: addresses and credentials.
//!
//! Lossy, by decision: `strict` of a function (calls that must be made follow their schema anyway), the name, description and
//! strictness of a response schema, `prompt_cache_key` and cache markers (this API caches by itself) are passed over in
//! silence; a `RECITATION` and its like are content filters to everyone; what Google's search shows beside its sources
//! travels on the first citation and reaches clients of this dialect only.
//! Source: ai.google.dev/api, Vertex AI REST reference v1, google-genai 2.34, read 2026-11.

mod aux;
mod config;
mod contents;
mod decode;
mod model;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
pub mod vendor;

pub use self::aux::is_batch;

use super::codec::{Aim, Codec, Encoding, Expect, StreamDecoder, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedRequest, EmbedResponse, Made, TokenCount};
use crate::wire::canonical::{Request, Response};
use crate::wire::json::Node;

/// The API.
#[derive(Debug, Clone, Copy, Default)]
pub struct GeminiCodec {
    /// Vertex AI's form.
    pub vertex: bool,
}

impl Codec for GeminiCodec {
    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }

    fn encode(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
        let made = request::body(request, aim, self.vertex)?;
        Ok(Encoding {
            body: made.json,
            headers: Vec::new(),
            dropped: made.dropped,
            expect: Expect {
                structured_tool: None,
                renamed_tools: made.names.renamed,
                model: aim.model.into(),
            },
        })
    }

    /// Google documents nothing. Tried by others: up to 2.5 (and in 3.5 Flash) the answer goes on from the last letter; 3.6 Flash
    /// and 3.5 Flash-Lite answer 400 (LibreChat-AI/agents#323, 2026-07). What is between is not relied on.
    fn continues(&self, model: &str) -> bool {
        let model = model::Model::of(model);
        matches!(model.version, (1 | 2, _)) && !model.special
    }

    fn decode<'d>(&self, body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
        decode::response(body, expect)
    }

    fn decoder(&self, expect: Expect) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(expect))
    }

    fn encode_count(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        aux::count(request, aim, self.vertex)
    }

    fn decode_count(&self, body: &Node<'_>) -> Result<TokenCount, Undecodable> {
        aux::read_count(body)
    }

    fn encode_embed(&self, request: &EmbedRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        aux::embed(request, aim, self.vertex)
    }

    fn decode_embed<'d>(&self, body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
        aux::read_embed(body)
    }
}
