//! OpenAI Chat Completions as applications speak it, with legacy completions and embeddings beside it.
//!
//! Reference: OpenAI API reference, chat/create, chat/object, chat/streaming, completions, embeddings, and the types of the
//! `openai` Python package 3.54, read 2026-11. Habits of clients that also talk to OpenRouter, LiteLLM, DeepSeek or Google
//! through this shape (`reasoning`, `reasoning_content`, `reasoning_details`, `cache_control`, `thinking`,
//! `extra_content.google.thought_signature`) are understood, and the same members carry what the shape itself has no place for
//! in answers. Unknown members of the request are kept for targets of the same family.
//!
//! Not for what the gateway sends to such a target: that is `providers::chat`.

mod completions;
mod embeddings;
pub mod grammar;
mod message;
mod read;
pub mod reasoning;
mod stream;
#[cfg(test)]
mod tests;
mod write;

use super::canonical::Request;
use super::canonical::aux::{EmbedRequest, EmbedResponse};
use super::client::{ClientDialect, Reply, ReplyWriter};
use super::json::{Invalid, Node};

/// Chat Completions and embeddings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chat;

/// Legacy completions, answered by chat models.
#[derive(Debug, Clone, Copy, Default)]
pub struct Completions;

impl ClientDialect for Chat {
    fn read<'d>(&self, body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
        read::request(body, stream)
    }

    fn writer(&self, request: &Request<'_>, reply: Reply) -> Box<dyn ReplyWriter> {
        Box::new(write::ChatWriter::new(request, reply))
    }

    fn read_embed<'d>(&self, body: &'d Node<'_>) -> Result<EmbedRequest<'d>, Invalid> {
        embeddings::read(body)
    }

    fn write_embed(&self, request: &EmbedRequest<'_>, response: &EmbedResponse<'_>, reply: &Reply, out: &mut Vec<u8>) {
        embeddings::write(request, response, reply, out);
    }
}

impl ClientDialect for Completions {
    fn read<'d>(&self, body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
        completions::read(body, stream)
    }

    fn writer(&self, request: &Request<'_>, reply: Reply) -> Box<dyn ReplyWriter> {
        Box::new(completions::TextWriter::new(request, reply))
    }
}
