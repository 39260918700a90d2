//! Mistral's API: Chat Completions in outline, with differences that break requests.
//!
//! Reference: docs.mistral.ai/api (chat, embeddings), docs.mistral.ai/capabilities/reasoning and the types of the Python
//! package 3.7, read 2026-11; recordings mistral/*. What differs in members is the row [`MISTRAL`] of the chat codec
//! (`random_seed`, `max_tokens`, `tool_choice: any`, ids of nine letters, thinking as chunks of content, `document_url`,
//! `output_dimension`, no `stream_options`, no developer role, no `name`); its answers are read by that codec too. Here is only
//! the order of messages, which Mistral is strict about:
//!
//! ```text
//! system* then (user | assistant | tool)*      a system message later on is moved to the others
//! tool → assistant | tool                      what a user says right after results is put behind the last result
//! last: user, tool, or assistant with `prefix` a last assistant message is to be continued, and says so
//! ```
//! Newer models of theirs take user after tool; older ones answer 400, and which is which is not documented.

use super::chat::quirks::MISTRAL;
use super::chat::{ChatCodec, Quirks};
use super::codec::{Aim, Codec, Encoding, Expect, StreamDecoder, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedRequest, EmbedResponse, Made};
use crate::wire::canonical::{Dropped, Message, Part, Request, Response, Role, ToolResult};
use crate::wire::json::Node;

/// A target that speaks it.
#[derive(Debug, Clone, Copy, Default)]
pub struct MistralCodec;

const QUIRKS: &Quirks = &MISTRAL;
const CHAT: ChatCodec = ChatCodec { quirks: QUIRKS };

impl Codec for MistralCodec {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn encode(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
        let mut moved = Dropped::default();
        let mut encoding = match ordered(&request.messages, &mut moved) {
            None => CHAT.encode(request, aim)?,
            Some(messages) => {
                let request = Request {
                    messages,
                    ..request.clone()
                };
                CHAT.encode(&request, aim)?
            }
        };
        for name in moved.names() {
            encoding.dropped.push(name.as_str());
        }
        Ok(encoding)
    }

    fn continues(&self, model: &str) -> bool {
        CHAT.continues(model)
    }

    fn decode<'d>(&self, body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
        CHAT.decode(body, expect)
    }

    fn decoder(&self, expect: Expect) -> Box<dyn StreamDecoder> {
        CHAT.decoder(expect)
    }

    fn encode_embed(&self, request: &EmbedRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
        CHAT.encode_embed(request, aim)
    }

    fn decode_embed<'d>(&self, body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
        CHAT.decode_embed(body)
    }
}

fn instructs(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

fn is_result(part: &Part<'_>) -> bool {
    matches!(part, Part::ToolResult(_))
}

/// The messages in an order Mistral takes; nothing when they are in one.
fn ordered<'a>(messages: &[Message<'a>], moved: &mut Dropped) -> Option<Vec<Message<'a>>> {
    let leading = messages.iter().take_while(|message| instructs(message)).count();
    let late = messages.iter().skip(leading).any(instructs);
    let mut after_result = false;
    let follows = messages.iter().any(|message| {
        let results = message.parts.iter().any(is_result);
        let says = message.parts.iter().any(|part| !is_result(part));
        let follows = message.role == Role::User && says && (results || after_result);
        after_result = message.role == Role::User && (results || after_result);
        follows
    });
    if !late && !follows {
        return None;
    }
    let mut all: Vec<Message<'a>> = Vec::with_capacity(messages.len());
    let mut instructions = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if instructs(message) {
            if at >= leading {
                moved.push(format!("messages[{at}] (position of a system message)"));
            }
            instructions.push(message.clone());
        } else if message.role == Role::User {
            user(&mut all, message, at, moved);
        } else {
            all.push(message.clone());
        }
    }
    instructions.append(&mut all);
    Some(instructions)
}

/// A user's message: what it says after results goes behind the last of them.
fn user<'a>(all: &mut Vec<Message<'a>>, message: &Message<'a>, at: usize, moved: &mut Dropped) {
    let (mut results, said): (Vec<_>, Vec<_>) = message.parts.iter().cloned().partition(is_result);
    let before = all
        .last_mut()
        .filter(|last| last.role == Role::User)
        .and_then(|last| last.parts.last_mut());
    let result = match (results.last_mut(), before) {
        (Some(Part::ToolResult(result)), _) | (None, Some(Part::ToolResult(result))) => Some(result),
        _ => None,
    };
    match result {
        Some(result) if !said.is_empty() => {
            moved.push(format!("messages[{at}] (position behind a tool result)"));
            append(result, said);
            if !results.is_empty() {
                all.push(Message {
                    role: Role::User,
                    name: None,
                    parts: results,
                });
            }
        }
        _ => all.push(message.clone()),
    }
}

fn append<'a>(result: &mut ToolResult<'a>, said: Vec<Part<'a>>) {
    result.parts.extend(said);
}

#[cfg(test)]
mod tests;
pub mod vendor;
