//! What a model answers, whole or as a stream of events.

use super::{Citation, Part, Raw, Signature, Text, ToolCallKind};
use crate::units::Usage;
use crate::wire::Dialect;

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response<'a> {
    /// The provider's id of it; empty when it gives none.
    pub id: Text<'a>,
    /// The provider's name of the model; empty when it gives none.
    pub model: Text<'a>,
    /// When it was made, Unix seconds.
    pub created: Option<u64>,
    /// One, or as many as `n` asked for.
    pub candidates: Vec<Candidate<'a>>,
    /// Tokens.
    pub usage: Option<Usage>,
    /// The tier that served it.
    pub service_tier: Option<Text<'a>>,
    /// OpenAI `system_fingerprint`.
    pub fingerprint: Option<Text<'a>>,
}

/// One of the answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidate<'a> {
    /// Which.
    pub index: u32,
    /// What was said.
    pub parts: Vec<Part<'a>>,
    /// Why it ended.
    pub finish: Option<Finish<'a>>,
    /// The stop text that ended it.
    pub stop_sequence: Option<Text<'a>>,
    /// How likely the tokens of its text were.
    pub logprobs: Vec<Logprob<'a>>,
    /// Safety verdicts, as their own API writes them.
    pub safety: Option<(Dialect, Raw<'a>)>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish<'a> {
    /// The model was done.
    Stop,
    /// A stop text came up (see `stop_sequence`).
    StopSequence,
    /// `max_tokens` reached.
    Length,
    /// The context window is full.
    ContextWindow,
    /// Tools are to be run.
    ToolCalls,
    /// A filter of the provider stopped it.
    ContentFilter,
    /// The model declined.
    Refusal,
    /// The provider paused a long turn; send it back to go on (Anthropic `pause_turn`).
    Pause,
    /// The model wrote a call that cannot be read (Gemini `MALFORMED_FUNCTION_CALL`).
    MalformedCall,
    /// The provider failed in the middle.
    Error,
    /// Something else, in the provider's word.
    Other(Text<'a>),
}

/// How likely one token was.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprob<'a> {
    /// The token.
    pub token: Text<'a>,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The likeliest tokens in its place.
    pub top: Vec<(Text<'a>, f64)>,
}

/// One thing that happens in a stream. Decoders keep this order, and writers rely on it:
///
/// ```text
/// Start (PartStart Delta* PartEnd)* Finish Usage* End      for each candidate; parts of several may interleave
/// ```
/// Part numbers count up from 0 in each candidate. Parallel tool calls may be open together; a text or thinking part is
/// ended before the next part starts. `Usage` may also come early and again; figures are of the whole answer so far.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The answer begins. Comes once, first.
    Start {
        /// As in [`Response`].
        id: Text<'a>,
        /// As in [`Response`].
        model: Text<'a>,
        /// As in [`Response`].
        created: Option<u64>,
        /// What is known of the input's tokens already (Anthropic).
        usage: Option<Usage>,
        /// As in [`Response`].
        service_tier: Option<Text<'a>>,
        /// As in [`Response`].
        fingerprint: Option<Text<'a>>,
    },
    /// A part begins.
    PartStart {
        /// Of which answer.
        candidate: u32,
        /// Its number.
        part: u32,
        /// What it is.
        start: PartStart<'a>,
    },
    /// More of an open part.
    Delta {
        /// Of which answer.
        candidate: u32,
        /// Its number.
        part: u32,
        /// What.
        delta: Delta<'a>,
    },
    /// A part is complete.
    PartEnd {
        /// Of which answer.
        candidate: u32,
        /// Its number.
        part: u32,
    },
    /// An answer is complete.
    Finish {
        /// Which.
        candidate: u32,
        /// Why.
        finish: Finish<'a>,
        /// The stop text that ended it.
        stop_sequence: Option<Text<'a>>,
    },
    /// Safety verdicts on an answer, as their own API writes them.
    Safety {
        /// On which answer.
        candidate: u32,
        /// Whose form.
        dialect: Dialect,
        /// They.
        raw: Raw<'a>,
    },
    /// Tokens of the whole answer so far.
    Usage(Usage),
    /// The provider shows that it lives.
    Ping,
    /// The end marker. Comes once, last.
    End,
    /// The provider reports a failure inside its stream; nothing follows. `message` may be shown to the client.
    Error {
        /// The provider's word for the sort of failure (`overloaded_error`).
        kind: Text<'a>,
        /// Its text.
        message: Text<'a>,
    },
}

/// How a part begins.
#[derive(Debug, Clone, PartialEq)]
pub enum PartStart<'a> {
    /// Prose; deltas follow.
    Text,
    /// A refusal in words; text deltas follow.
    Refusal,
    /// Reasoning; thinking and signature deltas follow.
    Thinking {
        /// Its id at the vendor.
        id: Option<Text<'a>>,
    },
    /// A call; argument deltas follow.
    ToolCall {
        /// As in [`super::ToolCall`].
        id: Text<'a>,
        /// As in [`super::ToolCall`].
        name: Text<'a>,
        /// As in [`super::ToolCall`].
        kind: ToolCallKind,
        /// As in [`super::ToolCall`].
        signature: Option<Signature<'a>>,
    },
    /// A part that comes whole (media, redacted thinking, opaque): no deltas follow.
    Whole(Box<Part<'a>>),
}

/// More of an open part.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta<'a> {
    /// Of prose or a refusal.
    Text(Text<'a>),
    /// Of reasoning.
    Thinking(Text<'a>),
    /// The signature of reasoning or of a text part, whole.
    Signature(Signature<'a>),
    /// Of a call's arguments: a piece of JSON text.
    Arguments(Text<'a>),
    /// What the text relies on.
    Citation(Box<Citation<'a>>),
    /// How likely the tokens of the text just sent were.
    Logprobs(Vec<Logprob<'a>>),
}
