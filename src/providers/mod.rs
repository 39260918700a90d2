//! Vendors: where they are, what proves who asks, which API answers a call, and what an answer's status means.
//!
//! Pure and sans-I/O: no sockets, no clock, no shared state, so golden files test a dialect completely. A vendor is a
//! [`Provider`]; the body format of one of its APIs is a [`codec::Codec`], one folder per dialect. When the client speaks the
//! API that answers, the call is *native*: bytes pass, see [`native`].

pub mod anthropic;
pub mod azure;
pub mod bedrock;
mod blame;
pub mod chat;
pub mod codec;
pub mod cohere;
pub mod compatible;
pub mod demo;
pub mod free_text;
pub mod gemini;
#[cfg(test)]
mod hostile_tests;
pub mod mistral;
pub mod native;
pub mod openai;
pub mod responses;
mod retry_after;
pub mod vertex;

pub use self::blame::{Blame, Reason, Verdict};
pub use self::codec::Codec;

use crate::wire::{Dialect, Operation};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, InvalidHeaderValue};
use http::{HeaderMap, StatusCode};
use std::borrow::Cow;
use std::time::SystemTime;

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

/// A call, as far as the way to its answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// What is asked.
    pub operation: Operation,
    /// In which dialect.
    pub client: Dialect,
    /// The target's own name of the model.
    pub model: &'a str,
    /// As a stream.
    pub stream: bool,
    /// More than one input (embeddings).
    pub several: bool,
}

/// A codec by value, for whoever outlives the vendor it came from.
#[derive(Clone, Copy)]
pub enum Speaks {
    /// One without settings.
    Fixed(&'static dyn Codec),
    /// OpenAI's chat with some vendor's quirks.
    Chat(chat::ChatCodec),
}

impl std::ops::Deref for Speaks {
    type Target = dyn Codec;

    fn deref(&self) -> &(dyn Codec + 'static) {
        match self {
            Self::Fixed(codec) => *codec,
            Self::Chat(codec) => codec,
        }
    }
}

/// The API that answers a call.
pub struct Api {
    /// What translates, should the call not be native.
    pub codec: Speaks,
    /// How a client that speaks this very API is passed on.
    pub native: Option<native::Native>,
    /// Path below the API root, query included.
    pub path: Cow<'static, str>,
}

/// One vendor.
pub trait Provider: Send + Sync {
    /// Name used in metrics, OpenTelemetry's `gen_ai.provider.name` where there is one.
    fn name(&self) -> &'static str;
    /// The API root when the configuration gives none.
    fn default_base_url(&self) -> Option<&'static str>;
    /// What is put before every path when the configured base URL has none.
    fn default_path(&self) -> &'static str {
        ""
    }
    /// Whether to ask for usage on streams when the configuration does not say.
    fn stream_usage(&self) -> bool {
        true
    }
    /// Which API answers a call; nothing when the vendor has none for it.
    fn api(&self, asked: Asked<'_>) -> Option<Api>;
    /// Headers of every request, besides the credential.
    fn headers(&self, _headers: &mut HeaderMap) {}
    /// Headers that carry the credential.
    fn authorize(&self, credential: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        bearer(credential, headers)
    }
    /// Judge an answer that is not 200. The table is in `blame`, docs/blame.md shows it.
    fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict {
        blame::judge(self.name(), status, headers, body, now)
    }
    /// Judge an event of a stream, or the body of a 200; nothing unless it is an error. `name` is the event's (SSE) or the
    /// exception's (`:exception-type` of an AWS event stream), else empty.
    fn classify_event(&self, name: &str, data: &[u8], now: SystemTime) -> Option<Verdict> {
        blame::judge_event(self.name(), name, data, now)
    }
}

/// `authorization: Bearer …`
fn bearer(credential: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
    secret(AUTHORIZATION, &format!("Bearer {credential}"), headers)
}

fn secret(name: HeaderName, text: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// A model's name as one segment of a path.
fn segment(model: &str) -> percent_encoding::PercentEncode<'_> {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(model, KEPT)
}
