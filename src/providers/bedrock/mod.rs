//! Amazon Bedrock's Converse API: one shape for the models of many vendors.
//!
//! The idea: the shape is Anthropic's in other words (content blocks, tool results in user turns, thinking with signatures,
//! cache points), but behind it stand models of which each refuses something with a 400. So the encoder asks `model` what
//! the target takes before it writes, and names the rest. `additionalModelRequestFields` carries what Converse has no word
//! for, in the model's own.
//!
//! Streams are AWS event streams ([`crate::wire::eventstream`]): a message's name is the event's name here, its payload the data.
//! Embeddings and rerank go through InvokeModel; Claude by InvokeModel is the Anthropic codec's.
//! Not here: addresses and statuses (`vendor`), signatures of requests (`upstream::credential`), guardrail and agent APIs.
//! Sources: Bedrock API reference and user guide, and the service model in botocore 1.44 (bedrock-runtime 2023-09-30); read
//! 2026-11.

mod content;
mod fields;
mod media;
mod model;
mod naming;
mod request;
mod response;
mod schema;
mod stream;
mod tools;
mod vectors;

#[cfg(test)]
mod tests;
pub mod vendor;

use super::codec::{Aim, Codec, Encoding, Expect, Framing, StreamDecoder, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedRequest, EmbedResponse, Made, RerankRequest, RerankResponse, TokenCount};
use crate::wire::canonical::{Request, Response};
use crate::wire::json::Node;

/// Converse and ConverseStream.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConverseCodec;

impl Codec for ConverseCodec {
    fn dialect(&self) -> Dialect {
        Dialect::Bedrock
    }

    fn framing(&self) -> Framing {
        Framing::AwsEventStream
    }

    fn encode(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
        request::encode(request, aim)
    }

    /// Claude as by its own API, the first Nova (docs.aws.amazon.com/nova/latest/userguide, "prefill"); others answer that the
    /// conversation must end with the user's message, or are not known.
    fn continues(&self, model: &str) -> bool {
        let model = model::Model::of(model);
        let nova = model.base.starts_with("amazon.nova") && !model.base.starts_with("amazon.nova-2");
        nova || model.takes.claude.is_some_and(|claude| claude.continues())
    }

    fn decode<'d>(&self, body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
        response::decode(body, expect)
    }

    fn decoder(&self, expect: Expect) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(expect))
    }

    fn encode_count(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        request::encode_count(request, aim)
    }

    fn decode_count(&self, body: &Node<'_>) -> Result<TokenCount, Undecodable> {
        response::decode_count(body)
    }

    fn encode_embed(&self, request: &EmbedRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        vectors::encode_embed(request, aim)
    }

    fn decode_embed<'d>(&self, body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
        vectors::decode_embed(body)
    }

    fn encode_rerank(&self, request: &RerankRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        vectors::encode_rerank(request, aim)
    }

    fn decode_rerank<'d>(&self, body: &'d Node<'_>) -> Result<RerankResponse<'d>, Undecodable> {
        vectors::decode_rerank(body)
    }
}
