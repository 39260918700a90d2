//! What travels: operations, the parts of a body the gateway must know, the canonical model that dialects translate through,
//! client dialects, event streams, usage, error bodies.
//!
//! Knows bytes, not sockets. Everything here is pure and fed from both sides by hostile input.

pub mod beginning;
pub mod call;
pub mod canonical;
pub mod chat;
pub mod client;
mod dialect;
pub mod edit;
pub mod endpoint;
pub mod errors;
pub mod eventstream;
pub mod gemini;
pub mod json;
pub mod media;
pub mod messages;
pub mod models;
pub mod needs;
pub mod prose;
pub mod rerank;
pub mod responses;
pub mod sse;
pub mod told;
pub mod usage;

pub use beginning::Beginning;
pub use call::{Call, Envelope, Given, Operation, Reading, Searches, Unseen};
pub use dialect::Dialect;
pub use endpoint::Endpoint;
