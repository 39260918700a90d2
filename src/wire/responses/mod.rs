//! OpenAI Responses, spoken to applications: `POST /v1/responses` and `POST /v1/responses/input_tokens`.
//!
//! A request is a list of *items*; what one turn of the model left behind (reasoning, message, calls) are several items and
//! become one assistant [`Message`](crate::wire::canonical::Message). An answer is a list of items too, and its stream
//! repeats every text whole once it is done. The API may keep conversations: what only makes sense with that is found by
//! [`needs_state`], because a target without memory cannot serve it.
//!
//! Source: OpenAI API reference, responses/create, responses/streaming, and the Python SDK's types (3.54), read 2026-11.
//! Not for OpenAI as a target (`providers::responses`), nor for same-dialect traffic, of which only [`facts()`] reads.

mod content;
pub mod facts;
mod items;
mod own;
mod read;
mod shape;
mod tools;
mod write;

pub(crate) use self::content::citation;
pub(crate) use self::items::joined;
pub use self::own::as_functions;
pub(crate) use self::read::{ENCRYPTED, LOGPROBS};
pub(crate) use self::shape::{put_choice, put_text, put_tool};

use super::Dialect;
use super::canonical::aux::TokenCount;
use super::canonical::{Part, Request};
use super::client::{ClientDialect, Reply, ReplyWriter};
use super::json::{Invalid, JsonWriter, Node};

/// The dialect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Responses;

impl ClientDialect for Responses {
    fn read<'d>(&self, body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
        read::request(body, stream)
    }

    fn writer(&self, request: &Request<'_>, reply: Reply) -> Box<dyn ReplyWriter> {
        Box::new(write::Writer::new(request, reply))
    }

    fn write_count(&self, count: &TokenCount, out: &mut Vec<u8>) {
        let mut json = JsonWriter::over(std::mem::take(out));
        json.object(|json| {
            json.field("object", "response.input_tokens");
            json.field("input_tokens", count.input);
        });
        *out = json.finish();
    }
}

/// Whether the request relies on what the provider keeps: an earlier answer, a conversation, an item or a prompt by its id.
/// Targets without memory cannot serve it; the client must send the whole conversation instead.
pub fn needs_state(request: &Request<'_>) -> bool {
    let kept = |key: &str| {
        request
            .extras
            .iter()
            .any(|extra| extra.dialect == Dialect::Responses && extra.key == key)
    };
    request.previous_response_id.is_some()
        || kept("conversation")
        || kept("prompt")
        || request.messages.iter().flat_map(|message| &message.parts).any(
            |part| matches!(part, Part::Opaque { dialect: Dialect::Responses, kind, .. } if kind == "item_reference"),
        )
}

pub use self::facts::facts;
