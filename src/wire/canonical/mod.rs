//! The canonical model: what every dialect's requests, answers and streams have in common.
//!
//! ```text
//! client bytes ─ClientDialect::read─► Request ─Codec::encode─► provider bytes
//! client bytes ◄─ReplyWriter── Response / Event… ◄─Codec::decode, StreamDecoder── provider bytes
//! ```
//! Values borrow from the document they were read from; nothing here is kept across an await. The model is a union: a
//! dialect fills what it has, and a target that cannot take something says so in [`Dropped`], by the names used here.
//! Parts that only one API knows travel as [`Part::Opaque`] or [`Extra`], as they were written, and reach only that API.
//!
//! Not for the same-dialect path, which never builds it.

pub mod aux;
mod fold;
mod message;
mod request;
mod response;
mod signature;

pub use self::fold::Fold;
pub use self::message::{
    Cache, Citation, Media, MediaKind, Message, Part, Role, Source, Thinking, ToolCall, ToolCallKind, ToolResult,
};
pub use self::request::{
    Builtin, Dropped, Effort, Extra, Format, Function, Reasoning, Request, Sampling, Tool, ToolChoice,
};
pub use self::response::{Candidate, Delta, Event, Finish, Logprob, PartStart, Response};
pub use self::signature::Signature;

use std::borrow::Cow;

/// Text that is usually a slice of the document it came from.
pub type Text<'a> = Cow<'a, str>;

/// JSON text of one value, exactly as written.
pub type Raw<'a> = Cow<'a, str>;
