//! Cohere's API v2: chat, embed, rerank.
//!
//! The idea: it looks like OpenAI's chat with four differences that decide everything here. Thoughts are content blocks
//! without signatures; prose before tool calls is a member of its own (`tool_plan`), here a text part like any other; what an
//! answer relies on stands beside the content and points into it by character; a stream has typed events and ends with
//! `message-end`.
//!
//! Usage has two sides: `tokens` is what the model read and wrote (the prompt template included), `billed_units` what is
//! paid for. [`crate::units::Usage`] takes `tokens`, falling back on `billed_units`; both are of the same call, and prices are
//! per billed unit, so what is not billed is counted apart ([`billed`] reads the other side as it is).
//!
//! Not here: v1 (`/v1/chat` with `message` and `chat_history`), connectors, classify.
//! Sources: docs.cohere.com/v2/reference/chat, /chat-stream, /embed, /rerank, docs/structured-outputs, docs/reasoning, and the
//! types of the Python SDK 7.3.1; read 2026-11.

mod embed;
mod message;
mod request;
pub mod rerank;
mod response;
mod schema;
mod stream;

#[cfg(test)]
mod tests;
pub mod vendor;

pub use self::response::billed;

use super::codec::{Aim, Codec, Encoding, Expect, StreamDecoder, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedRequest, EmbedResponse, Made, RerankRequest, RerankResponse};
use crate::wire::canonical::{Request, Response};
use crate::wire::json::Node;

/// Cohere v2.
#[derive(Debug, Clone, Copy, Default)]
pub struct CohereCodec;

impl Codec for CohereCodec {
    fn dialect(&self) -> Dialect {
        Dialect::Cohere
    }

    fn encode(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
        request::encode(request, aim)
    }

    fn decode<'d>(&self, body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
        response::decode(body, expect)
    }

    fn decoder(&self, expect: Expect) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(expect))
    }

    fn encode_embed(&self, request: &EmbedRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        embed::encode(request, aim)
    }

    fn decode_embed<'d>(&self, body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
        embed::decode(body)
    }

    fn encode_rerank(&self, request: &RerankRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        rerank::encode_rerank(request, aim, rerank::Shape::Cohere)
    }

    fn decode_rerank<'d>(&self, body: &'d Node<'_>) -> Result<RerankResponse<'d>, Undecodable> {
        rerank::decode_rerank(body)
    }
}
