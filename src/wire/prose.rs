//! The texts of a JSON document that a person or a model wrote or will read: visited in the order of the document, replaced in
//! their place.
//!
//! ```text
//!  body ─► every member ─► names.rs: what its value is ─► a text ─────────────────► edit ─► spliced, every other byte stays
//!                              │                          JSON in a string ─► its leaves, the same way
//!                              └─ no text: identifiers, encodings, parameters
//! ```
//! Not what is looked for in them (`guardrails`), nor what follows (`gateway::stages::guard`). The one idea: the lists name what is
//! *no* text, so that a member nobody here knows is one, and so is one whose value does not look like what its name says.
//!
//! Texts are given as they read: escapes are resolved, an escape of half a character reads U+FFFD. Of what a tool is called with
//! (`arguments`, `input`, `args`) and answers as an object, every leaf is a text of its own, long numbers among them; names of members
//! are not. Not looked into: files and media (base64), identifiers (`user`, `metadata`, ids), names and schemas of tools.
//! Every one of repeated members is visited.

mod names;
mod strings;
#[cfg(test)]
mod tests;
mod walk;

use self::names::Mode;
use self::walk::Walk;
use super::json::{self, JsonError, Kind};
use super::{Dialect, Operation};
use bytes::Bytes;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// What a client asks for.
    Request(Operation, Dialect),
    /// What it gets.
    Answer(Operation, Dialect),
}

/// What a text is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// What is said, whoever says it: messages, instructions, results of tools.
    Text,
    /// What a model thinks.
    Thinking,
    /// What a tool is called with.
    Arguments,
    /// What a model thought, sent back with the signature of its provider, which refuses any other text: it is shown, and what
    /// `edit` gives for it is not taken. Only in requests.
    Signed,
}

/// Show every text of a document to `edit`. Where that gives another, the string is written anew with the fewest escapes; every
/// other byte stays, and `body` itself is given back when nothing changes. Where something does, the tokens that an answer was
/// written in (`logprobs`) are emptied, which would spell out what was replaced; and in an answer the signature beside it, which no
/// longer proves it.
///
/// # Errors
/// The document is no JSON, or is nested more than `max_depth` deep.
pub fn rewrite(
    body: &Bytes,
    document: Document,
    max_depth: usize,
    edit: &mut dyn FnMut(Channel, &str) -> Option<String>,
) -> Result<Bytes, JsonError> {
    json::scan_value(body, max_depth)?;
    let mut walk = Walk::new(document, max_depth, edit);
    walk.run(body, Mode::Body);
    Ok(walk.spliced(body).map_or_else(|| body.clone(), Bytes::from))
}

/// The same for what a tool is called with, where it is a string: what it holds if that is JSON, else the whole of it. What is to
/// stand in its place, if it must change.
pub fn arguments(
    text: &str,
    max_depth: usize,
    edit: &mut dyn FnMut(Channel, &str) -> Option<String>,
) -> Option<String> {
    let document = Document::Answer(Operation::Chat, Dialect::OpenAi);
    Walk::new(document, max_depth, edit).arguments(text, Channel::Arguments)
}

/// Whether what is to be read by the model stands there as numbers of tokens (completions, embeddings): texts that nobody can see.
pub fn holds_tokens(body: &[u8], operation: Operation, max_depth: usize) -> bool {
    let name = match operation {
        Operation::Completions => "prompt",
        Operation::Embeddings => "input",
        _ => return false,
    };
    let mut found = false;
    let _ = json::scan_object(body, max_depth, |member| {
        found |= member.is(name)
            && member.kind == Kind::Array
            && strings::holds_numbers(body.get(member.value).unwrap_or_default());
    });
    found
}
