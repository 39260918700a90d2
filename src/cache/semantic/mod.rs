//! Finding an answer by the likeness of its question: retrieve candidates, gate them by their words, verify what is left.
//!
//! ```text
//! question ─tokens─► static vector ─index─► near ones ─vetoes─► verifier (a sentence encoder, off the workers) ─► hit
//!                                   none ─► miss      any ─► miss                    unsure, late, full ─► miss
//! ```
//! Only within one exact partition. The one idea: a near vector proposes, and never decides.

mod built;
pub mod encode;
pub mod encoder;
pub mod index;
pub mod pool;
pub mod tier;
pub mod vectors;
pub mod verify;

pub use built::Vetted;
pub use encode::{Embedder, Encode, Unread, Verify};
pub use tier::{Asked, Found, Listed, Semantic, Settings, Source, Stats, Terms, Why};
pub use vectors::{Near, PLACE, Place, Point, Vectors};
