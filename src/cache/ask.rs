//! What the cache makes of a request: its name, or why it has none.
//!
//! ```text
//! body ─► tree ─► canonical request ─► reasons against? ─► partition (all but the last user turn's text) ─► key (and that text)
//! ```
//! The one idea: a request whose every member the canonical model holds is named by what it means, so that the same question in
//! another dialect finds the same answer (`plain`); any other is named by its JSON, spelling aside, and by its dialect
//! (`structure`). So nothing that decides an answer can be lost by a reader that does not know it. What is left out on purpose
//! stands in `structure::unrelated`. Media behind an address are named by the address. Not for lookups, nor for what may be
//! stored of an answer ([`super::form::storable`]).

mod digest;
mod objections;
mod plain;
mod structure;
#[cfg(test)]
mod tests;
mod turn;

use self::digest::Digest;
use self::turn::Turn;
use super::{Key, Partition, Policy};
use crate::wire::canonical::Request;
use crate::wire::client::{self, Reply, ReplyWriter};
use crate::wire::json::Node;
use crate::wire::{Call, Dialect, Operation};

/// Most JSON values of a request that is looked at: as a tree each takes twenty times the two bytes that it may have in the body.
const MOST_VALUES: usize = 1 << 18;

/// Longest question that is judged by likeness, in bytes: nothing reads more than some hundred tokens of it.
const LONGEST_QUESTION: usize = 8 * 1024;

/// What decides a request's name, besides the request.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// What may be kept.
    pub policy: &'a Policy,
    /// Who shares answers with the caller, chosen by the policy's scope (`key\0ci`); empty: there are no tenants.
    pub owner: &'a str,
    /// The public model, as asked.
    pub model: &'a str,
    /// The target, where the policy keeps answers by it.
    pub target: Option<&'a str>,
    /// What else decides the answer and does not stand in the body (`anthropic-beta`).
    pub also: Option<&'a str>,
    /// Deepest nesting of JSON.
    pub max_depth: usize,
    /// Now, milliseconds since 1970: for the replayed answer's `created`.
    pub now_ms: u64,
}

/// A request that may be looked up and stored.
pub struct Asked {
    /// Its name.
    pub key: Key,
    /// What it may share with.
    pub partition: Partition,
    /// The last user turn, if it is text only and short enough to be judged by likeness.
    pub question: Option<Box<str>>,
    /// Writes an answer as this client wants it, under a fresh id; only for answers of a model.
    pub reply: Option<Box<dyn ReplyWriter>>,
    /// The client wants a stream.
    pub stream: bool,
    /// With usage on it.
    pub stream_usage: bool,
    /// Answers it wants side by side.
    pub candidates: u32,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("key", &self.key)
            .field("partition", &self.partition)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// Why a request is neither looked up nor stored, or an answer not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// The request's temperature is above the policy's.
    Temperature,
    /// It offers tools, or goes on from their results.
    Tools,
    /// It asks for what changes with time.
    TimeBound,
    /// It is about the asker.
    Personal,
    /// It needs, or leaves, something at the provider: an earlier answer, a file, a conversation, a container.
    Stateful,
    /// The request or the answer is too long.
    TooLarge,
    /// Nothing is kept of this operation.
    Operation,
    /// The request or the answer cannot be read.
    Unreadable,
    /// The answer did not end, or has fewer candidates than were asked for.
    Incomplete,
    /// It ended in another way than the policy keeps.
    Finish,
    /// It ended in tool calls.
    ToolCalls,
    /// It was cut off by its length.
    Length,
    /// The model or a filter declined.
    Refused,
    /// It says nothing.
    Empty,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Temperature,
        Self::Tools,
        Self::TimeBound,
        Self::Personal,
        Self::Stateful,
        Self::TooLarge,
        Self::Operation,
        Self::Unreadable,
        Self::Incomplete,
        Self::Finish,
        Self::ToolCalls,
        Self::Length,
        Self::Refused,
        Self::Empty,
    ];

    /// Its word, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Tools => "tools",
            Self::TimeBound => "time_bound",
            Self::Personal => "personal",
            Self::Stateful => "stateful",
            Self::TooLarge => "too_large",
            Self::Operation => "operation",
            Self::Unreadable => "unreadable",
            Self::Incomplete => "incomplete",
            Self::Finish => "finish",
            Self::ToolCalls => "tool_calls",
            Self::Length => "length",
            Self::Refused => "refused",
            Self::Empty => "empty",
        }
    }
}

/// The name of a request, and what is needed to answer it from what is kept. Costs a read of the whole body.
pub fn ask(call: &Call, terms: &Terms<'_>) -> Result<Asked, Skip> {
    if call.body.len() > terms.policy.max_request {
        return Err(Skip::TooLarge);
    }
    let body = Node::parse_up_to(&call.body, terms.max_depth, MOST_VALUES).map_err(|_| Skip::Unreadable)?;
    match call.operation {
        Operation::Chat | Operation::Completions => conversation(call, &body, terms),
        Operation::Embeddings | Operation::Rerank | Operation::Moderations | Operation::CountTokens => {
            Ok(aside(call, &body, terms))
        }
    }
}

/// A request for an answer of a model.
fn conversation(call: &Call, body: &Node<'_>, terms: &Terms<'_>) -> Result<Asked, Skip> {
    let client = client::of(call);
    let request = client.read(body, call.streamed()).map_err(|_| Skip::Unreadable)?;
    // They are not read back from a stream of legacy completions.
    if call.operation == Operation::Completions && request.sampling.logprobs == Some(true) {
        return Err(Skip::Operation);
    }
    objections::raised(call, body, &request, terms.policy)?;
    let turn = turn::last(call, body);
    let mut partition = begin(call, terms);
    if !plain::put(call, body, &request, turn.as_ref(), &mut partition) {
        structure(call, body, turn.as_ref(), &mut partition);
    }
    let partition = Partition(partition.finish());
    Ok(Asked {
        key: key(partition, turn.as_ref()),
        partition,
        question: turn.as_ref().and_then(|turn| turn.question(LONGEST_QUESTION)),
        reply: Some(client.writer(&request, Reply::to(call, terms.now_ms))),
        stream: call.streamed(),
        stream_usage: request.stream_usage,
        candidates: wanted(call, &request),
    })
}

fn wanted(call: &Call, request: &Request<'_>) -> u32 {
    // Dialects with one answer only have no such member; what stands there is an unknown one of that name.
    let several = matches!(call.dialect, Dialect::OpenAi | Dialect::Gemini);
    let n = request.sampling.n.filter(|_| several).unwrap_or(1);
    u32::try_from(n).unwrap_or(u32::MAX).max(1)
}

/// A smaller operation: its answer is kept as it was sent, for requests that say the same in the same dialect.
fn aside(call: &Call, body: &Node<'_>, terms: &Terms<'_>) -> Asked {
    let mut partition = begin(call, terms);
    structure(call, body, None, &mut partition);
    let partition = Partition(partition.finish());
    Asked {
        key: key(partition, None),
        partition,
        question: None,
        reply: None,
        stream: false,
        stream_usage: false,
        candidates: 1,
    }
}

/// What every partition is a hash of.
fn begin(call: &Call, terms: &Terms<'_>) -> Digest {
    let mut digest = Digest::new("cirque cache partition 1", call.body.len() + 512);
    digest.text(terms.owner);
    digest.text(terms.model);
    digest.maybe(terms.target, Digest::text);
    digest.maybe(terms.also, Digest::text);
    digest.text(call.operation.as_str());
    digest
}

/// By its JSON, and its dialect.
fn structure(call: &Call, body: &Node<'_>, turn: Option<&Turn<'_>>, digest: &mut Digest) {
    digest.tag(b'j');
    digest.text(call.dialect.as_str());
    let walk = structure::Walk {
        dialect: call.dialect,
        without: turn.map_or(&[], |turn| turn.texts()),
    };
    walk.body(body, digest);
}

fn key(partition: Partition, turn: Option<&Turn<'_>>) -> Key {
    let length = turn.map_or(0, |turn| turn.texts().iter().map(|text| text.raw.len()).sum());
    let mut digest = Digest::new("cirque cache key 1", length + 128);
    digest.fixed(&partition.0);
    digest.maybe(turn, |digest, turn| {
        digest.length(turn.texts().len());
        turn.texts()
            .iter()
            .for_each(|text| digest.text(text.as_str().unwrap_or_default()));
    });
    Key(digest.finish())
}
