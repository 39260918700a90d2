//! OpenAI Responses as a target: OpenAI itself, Azure's v1 surface, OpenRouter and other servers that speak it.
//!
//! Requests are written for a target that keeps nothing (`"store":false`), unless the client said otherwise or goes on from
//! what is kept; reasoning then comes and goes as `encrypted_content`. The API has no stop texts, seeds, penalties or
//! several answers: those are named as dropped.
//!
//! Source: OpenAI API reference, responses/create, responses/object, responses/streaming, responses/input-tokens, read
//! 2026-11; recordings of OpenAI, Azure and OpenRouter. Not for applications that speak it (`wire::responses`).

mod decode;
mod encode;
mod input;
mod model;
mod names;
mod schema;
mod stream;

use crate::providers::codec::{Aim, Codec, Encoding, Expect, StreamDecoder, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::aux::{Made, TokenCount};
use crate::wire::canonical::{Request, Response};
use crate::wire::json::Node;

/// The codec.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponsesCodec;

impl Codec for ResponsesCodec {
    fn dialect(&self) -> Dialect {
        Dialect::Responses
    }

    fn encode(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
        encode::body(request, aim, encode::Purpose::Answer)
    }

    fn decode<'d>(&self, body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
        decode::response(body, expect)
    }

    fn decoder(&self, expect: Expect) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(expect))
    }

    /// For `POST …/responses/input_tokens`.
    fn encode_count(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        let made = encode::body(request, aim, encode::Purpose::Count)?;
        Ok(Made {
            body: made.body,
            dropped: made.dropped,
        })
    }

    fn decode_count(&self, body: &Node<'_>) -> Result<TokenCount, Undecodable> {
        let input = body.req("input_tokens", Node::u64)?;
        Ok(TokenCount { input, cached: None })
    }
}

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod tests;
