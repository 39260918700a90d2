//! The Gemini dialect as applications speak it: `generateContent`, `streamGenerateContent`, `countTokens`, `embedContent`,
//! `batchEmbedContents`, in AI Studio's and Vertex's form alike.
//!
//! Not the provider side (`providers::gemini`), which shares the pieces that are the same both ways.
//!
//! Lossy, by decision: a refusal ends with `SAFETY`; the stop text that came up is not told (the API has no field for it); a
//! declaration's `response` schema and `VALIDATED` without names are read as nothing; part members that tune Google's own
//! reading of media (`videoMetadata`) are not read.
//! Source: ai.google.dev/api, Vertex AI REST reference v1, google-genai 2.34, read 2026-11.

mod aux;
mod carried;
mod contents;
mod facts;
mod fields;
mod json_array;
mod offsets;
mod parts;
mod read;
mod schema;
mod signature;
#[cfg(test)]
mod tests;
mod tools;
mod usage;
mod write;

pub use self::facts::facts;
pub use self::json_array::{ArrayError, JsonArrayReader};
pub use self::signature::WRAPPED_BASE64;

pub(crate) use self::aux::task_out;
pub(crate) use self::contents::media_at;
pub(crate) use self::fields::same as same_field;
pub(crate) use self::offsets::Offsets;
pub(crate) use self::parts::{arguments, finish_in, has_form, is_object, media};
pub(crate) use self::usage::read as read_usage;

use super::canonical::Request;
use super::canonical::aux::{EmbedRequest, EmbedResponse, TokenCount};
use super::client::{ClientDialect, Reply, ReplyWriter};
use super::json::{Invalid, Node};

/// The dialect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gemini;

impl ClientDialect for Gemini {
    fn read<'d>(&self, body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
        read::request(body, stream)
    }

    fn writer(&self, _request: &Request<'_>, reply: Reply) -> Box<dyn ReplyWriter> {
        Box::new(write::Writer::new(reply))
    }

    fn read_count<'d>(&self, body: &'d Node<'_>) -> Result<Request<'d>, Invalid> {
        aux::read_count(body)
    }

    fn write_count(&self, count: &TokenCount, out: &mut Vec<u8>) {
        aux::write_count(count, out);
    }

    fn read_embed<'d>(&self, body: &'d Node<'_>) -> Result<EmbedRequest<'d>, Invalid> {
        aux::read_embed(body)
    }

    fn write_embed(&self, request: &EmbedRequest<'_>, response: &EmbedResponse<'_>, _reply: &Reply, out: &mut Vec<u8>) {
        aux::write_embed(request, response, out);
    }
}
