//! Vendor dialects: what goes on the wire for a call, and what an answer's status means.
//!
//! Pure and sans-I/O: no sockets, no clock, no shared state, so golden files test a dialect completely. One folder per
//! dialect. Which headers a client's request may add, and which answers are relayed byte for byte, is decided here too,
//! because it is the dialect that knows.

pub mod compatible;
pub mod demo;
pub mod openai;

use crate::wire::{Call, Operation};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};

/// A request body ready to send: pieces, in order, so that a large client body is forwarded without being copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    pieces: Vec<Bytes>,
    length: usize,
}

impl Body {
    /// A body of one piece.
    pub fn whole(bytes: Bytes) -> Self {
        Self {
            length: bytes.len(),
            pieces: vec![bytes],
        }
    }

    /// Add a piece.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push(piece);
        }
    }

    /// The pieces.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All pieces as one.
    pub fn concat(&self) -> Bytes {
        match self.pieces.as_slice() {
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }
}

/// What to send for a call, and what to know about its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Body,
    /// The gateway, not the client, asked for the usage chunk of this stream: it must not reach the client.
    pub withhold_usage: bool,
}

/// How a call is to be encoded for one target.
#[derive(Debug, Clone, Copy)]
pub struct EncodeOptions<'a> {
    /// The target's own name of the model.
    pub model: &'a str,
    /// Ask for usage on streams.
    pub stream_usage: bool,
}

/// Whose fault a non-2xx answer is, and so what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The client's: pass it on, no retry, no penalty.
    Client,
    /// The gateway's own credential: try elsewhere.
    Credential,
    /// Too much asked of this target: leave it alone for a while, try elsewhere.
    RateLimit,
    /// The provider's: counts against the target, try elsewhere.
    Server,
}

/// A non-2xx answer, judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whose.
    pub blame: Blame,
    /// When the provider says to try again.
    pub retry_after: Option<Duration>,
}

/// One vendor's dialect.
pub trait Provider: Send + Sync {
    /// Name used in metrics, OpenTelemetry's `gen_ai.provider.name` where there is one.
    fn name(&self) -> &'static str;
    /// Whether it has this operation.
    fn supports(&self, operation: Operation) -> bool;
    /// The API root when the configuration gives none.
    fn default_base_url(&self) -> Option<&'static str>;
    /// Whether to ask for usage on streams when the configuration does not say.
    fn stream_usage(&self) -> bool {
        true
    }
    /// Path of an operation below the API root.
    fn path(&self, operation: Operation) -> &'static str;
    /// Headers that carry the credential.
    fn authorize(&self, credential: &str, headers: &mut HeaderMap) -> Result<(), http::header::InvalidHeaderValue>;
    /// Turn a call into what is sent.
    fn encode(&self, call: &Call, options: EncodeOptions<'_>) -> Encoded;
    /// Judge a non-2xx answer.
    fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict;
}
