//! Anthropic Messages as a dialect that applications speak: `POST /v1/messages` and `/v1/messages/count_tokens`.
//!
//! Reads requests (`read`, `content`, `tools`), writes answers whole (`write`) and as events (`stream`), and finds
//! usage in passing on the same-dialect path ([`mod@facts`]). [`blocks`], [`figures`] and [`stop`] hold what both sides of the
//! dialect share; the provider side is `providers::anthropic`.
//!
//! The one idea: an answer is a list of content blocks; a stream numbers them from 0 and opens each with
//! `content_block_start`. Canonical parts map one to one to blocks, except that a Gemini thought signature, for which blocks
//! have no place, travels as a block of its own ([`blocks`] tells how it is found again).
//!
//! Source: platform.claude.com/docs/en/api/messages, …/messages-streaming, …/messages-count-tokens, …/api/versioning and the
//! types of the `anthropic` Python SDK 2.12.0, read 2026-11. Both API versions, `2023-06-01` and `2026-10-21`, have this
//! shape; the newer one refuses `temperature`, `top_p` and `top_k`, which are read here all the same.

pub mod blocks;
mod content;
pub mod facts;
pub mod figures;
mod read;
pub mod stop;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod write;

pub use self::facts::facts;
pub use self::write::error_body;

use super::canonical::aux::TokenCount;
use super::canonical::{Event, Request, Response};
use super::client::{ClientDialect, Reply, ReplyWriter};
use super::json::{Invalid, JsonWriter, Node};
use crate::error::GatewayError;

/// The dialect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Messages;

impl ClientDialect for Messages {
    fn read<'d>(&self, body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
        read::request(body, stream, true)
    }

    fn writer(&self, _request: &Request<'_>, reply: Reply) -> Box<dyn ReplyWriter> {
        Box::new(Writer {
            stream: stream::Stream::new(reply),
        })
    }

    fn read_count<'d>(&self, body: &'d Node<'_>) -> Result<Request<'d>, Invalid> {
        read::request(body, false, false)
    }

    /// `{"input_tokens":14}`
    fn write_count(&self, count: &TokenCount, out: &mut Vec<u8>) {
        let mut json = JsonWriter::over(std::mem::take(out));
        json.object(|json| json.field("input_tokens", count.input));
        *out = json.finish();
    }
}

struct Writer {
    stream: stream::Stream,
}

impl ReplyWriter for Writer {
    fn whole(&mut self, response: &Response<'_>, out: &mut Vec<u8>) {
        write::message(response, self.stream.reply(), out);
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        self.stream.event(event, out);
    }

    fn fail(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        stream::fail(error, out);
    }

    fn passed(&mut self, data: &[u8], max_depth: usize) {
        self.stream.passed(data, max_depth);
    }
}
