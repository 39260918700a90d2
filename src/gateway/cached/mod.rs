//! Kept answers and the wire: from what was sent to a client to the form that is kept ([`keep`]), and from that to what another
//! client is sent ([`replay`]).
//!
//! Not for looking answers up (`cache`) nor for the walk (`stages::cached`). The one idea: what is kept is what the client was
//! given, read back by the codec of its own API, so that one kept form serves every dialect, whole and as a stream.
//!
//! What a hit says of tokens is what the answer took when it was made; that it cost nothing is said by `x-cirque-cache` and
//! `x-cirque-cost-usd`.

mod pieces;
mod reading;
mod replay;
#[cfg(test)]
mod tests;
mod text;

pub(in crate::gateway) use self::reading::codec;
pub use self::reading::{Sent, keep, read};
pub use self::replay::{Pieces, Replay, replay};
