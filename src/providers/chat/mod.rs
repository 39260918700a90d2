//! The Chat Completions shape as targets speak it: OpenAI, Azure OpenAI, and everyone who copied it.
//!
//! References: OpenAI API reference, chat/create, chat/object, chat/streaming, embeddings, read 2026-11; for vendors see
//! [`quirks`]. Requests hold only what the row of the vendor says it takes; answers are read with all variants at once, because
//! routers (OpenRouter, Hugging Face) pass on those of many.
//!
//! What this shape has no place for, and where it goes: images and documents inside a tool's result become a user message after
//! the results, introduced by the call's id; a failed result's text begins with "Error"; thinking goes back only where
//! the vendor takes it; documents of plain text become text. Not for addresses, credentials and statuses: `providers::openai`.

mod answer;
mod decode;
mod embeddings;
mod encode;
mod families;
mod messages;
mod names;
mod pieces;
pub mod quirks;
mod rerank;
mod schema;
mod stream;
mod stream_calls;
mod stream_choice;
#[cfg(test)]
pub(super) mod tests;
mod text_stream;
mod tools;
mod vendors;

pub use self::quirks::{PLAIN, Quirks};
pub use self::text_stream::TextDecoder;
pub use self::vendors::for_vendor;

use super::codec::{Aim, Codec, Encoding, Expect, StreamDecoder, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedRequest, EmbedResponse, Made, RerankRequest, RerankResponse};
use crate::wire::canonical::{Request, Response};
use crate::wire::json::Node;

/// A target of this shape.
#[derive(Debug, Clone, Copy)]
pub struct ChatCodec {
    /// What it does differently.
    pub quirks: &'static Quirks,
}

impl ChatCodec {
    /// For the vendor of this name.
    pub fn for_vendor(name: &str) -> Self {
        Self {
            quirks: for_vendor(name),
        }
    }
}

impl Codec for ChatCodec {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn encode(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
        encode::request(request, aim, self.quirks)
    }

    fn continues(&self, model: &str) -> bool {
        families::continues(self.quirks, model)
    }

    fn decode<'d>(&self, body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
        decode::response(body, expect)
    }

    fn decoder(&self, expect: Expect) -> Box<dyn StreamDecoder> {
        Box::new(stream::ChatDecoder::new(expect))
    }

    fn encode_embed(&self, request: &EmbedRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        embeddings::encode(request, aim, self.quirks)
    }

    fn decode_embed<'d>(&self, body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
        embeddings::decode(body)
    }

    fn encode_rerank(&self, request: &RerankRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        rerank::encode(request, aim, self.quirks)
    }

    fn decode_rerank<'d>(&self, body: &'d Node<'_>) -> Result<RerankResponse<'d>, Undecodable> {
        rerank::decode(body)
    }
}
