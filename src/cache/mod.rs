//! The cache: what may be kept of answers, under which name, where, and how it is found again.
//!
//! Not the walk (`gateway::stages::cached`) and not the wire form that a kept answer is served in. The one idea: the partition,
//! a hash over everything that decides an answer and over whose it is, is the only way to an answer; nothing is ever looked for
//! outside of it.

pub mod ask;
pub mod entry;
pub mod feedback;
pub mod form;
pub mod key;
pub mod memory;
pub mod policy;
pub mod semantic;
pub mod shared;
pub mod wish;
pub mod words;

pub use ask::{Asked, Skip, Terms, ask};
pub use entry::{Answer, Entry, Form, Owner, Selection, State};
pub use feedback::{HitId, may_report};
pub use key::{Key, NoDigest, Partition};
pub use memory::Memory;
pub use policy::{Mode, Pace, Policy, Scope};
pub use shared::{News, Outage, Shared, Wrong};
pub use wish::Wish;
