//! Anthropic Messages as the API of a target: Anthropic itself, Claude on Vertex AI, Claude on Bedrock by `InvokeModel`.
//!
//! Requests out (`request` and what it is put together from), whole answers in (`decode`), streams in (`stream`). What a
//! model takes is told by its name ([`model`]). What both sides of the dialect share is in [`crate::wire::messages`].
//!
//! The one idea: the API is strict about order and shape (turns alternate, results follow their calls, no blank text, no
//! thinking it did not sign) and models differ in what they take, so a request is *arranged* before it is written, and
//! everything that did not fit is named.
//!
//! Source: platform.claude.com/docs/en/api/messages and the pages named in the files here; Vertex: cloud.google.com, "Use
//! Claude models"; Bedrock: docs.aws.amazon.com, "Anthropic Claude Messages API"; read 2026-11. Bodies are those of
//! `anthropic-version: 2023-06-01`, the last that takes `temperature`: send that header.

mod content;
mod decode;
pub mod model;
mod names;
mod request;
pub(super) mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod thinking;
mod tools;
mod turns;
pub mod vendor;

use crate::providers::codec::{Aim, Codec, Encoding, Expect, Framing, StreamDecoder, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::aux::{Made, TokenCount};
use crate::wire::canonical::{Request, Response};
use crate::wire::json::Node;

/// Whose address the body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Anthropic's own, and all that speak exactly it.
    Direct,
    /// Vertex AI `rawPredict` and `streamRawPredict`.
    Vertex,
    /// Bedrock `InvokeModel` and `InvokeModelWithResponseStream`, whose frames hold the same events wrapped.
    BedrockInvoke,
}

/// The codec.
#[derive(Debug, Clone, Copy)]
pub struct AnthropicCodec {
    /// Whose address.
    pub variant: Variant,
}

impl Codec for AnthropicCodec {
    fn dialect(&self) -> Dialect {
        Dialect::Anthropic
    }

    fn framing(&self) -> Framing {
        match self.variant {
            Variant::Direct | Variant::Vertex => Framing::Sse,
            Variant::BedrockInvoke => Framing::AwsEventStream,
        }
    }

    fn encode(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
        request::encode(request, aim, self.variant, true)
    }

    /// A name that is no Claude's says nothing of its version.
    fn continues(&self, model: &str) -> bool {
        model.to_ascii_lowercase().contains("claude") && model::Model::named(model).continues()
    }

    fn decode<'d>(&self, body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
        decode::response(body, expect)
    }

    fn decoder(&self, expect: Expect) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(expect, self.variant == Variant::BedrockInvoke))
    }

    /// The same body without what an answer needs. On Vertex it goes to `models/count-tokens:rawPredict` and names the model;
    /// Bedrock counts by another operation.
    fn encode_count(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        if self.variant == Variant::BedrockInvoke {
            return Err(Unfit::Operation);
        }
        let encoding = request::encode(request, aim, self.variant, false)?;
        Ok(Made {
            body: encoding.body,
            dropped: encoding.dropped,
        })
    }

    /// `{"input_tokens":14}`
    fn decode_count(&self, body: &Node<'_>) -> Result<TokenCount, Undecodable> {
        Ok(TokenCount {
            input: body.req("input_tokens", Node::u64)?,
            cached: None,
        })
    }
}

/// The Messages event in the payload of a Bedrock `InvokeModelWithResponseStream` chunk: `{"bytes":"<base64>","p":"…"}`.
pub fn invoke_chunk(payload: &[u8]) -> Option<Vec<u8>> {
    let node = Node::parse(payload, 4).ok()?;
    content::decode_base64(node.get_str("bytes")?)
}
