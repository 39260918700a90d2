//! What travels: operations, the parts of a body the gateway must know, event streams, usage, error bodies.
//!
//! Knows bytes, not sockets. Everything here is pure and fed from both sides by hostile input.

pub mod call;
pub mod errors;
pub mod json;
pub mod models;
pub mod sse;
pub mod usage;

pub use call::{Call, Envelope, Operation, Reading};

/// The API a client speaks; decides the shape of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's.
    OpenAi,
}
